"""Following a file that grows."""

from mlstacks_dagster.engines.log_tail import LogTail


def test_lines_come_as_they_are_completed(tmp_path):
    lines: list[str] = []
    tail = LogTail(tmp_path / "log", lines.append)
    tail.poll()
    assert lines == [], "the file need not exist yet"
    with (tmp_path / "log").open("wb", buffering=0) as log:
        log.write(b"one\ntw")
        tail.poll()
        assert lines == ["one"]
        log.write("o\r\n\u00e9\n\xff".encode("latin-1"))
        tail.poll()
        assert lines == ["one", "two", "\ufffd"]
    tail.finish()
    tail.close()
    assert lines == ["one", "two", "\ufffd", "\ufffd"], "a last line needs no end"


def test_from_the_end_only_what_is_new_comes(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    lines: list[str] = []
    tail = LogTail(log, lines.append, from_end=True)
    tail.poll()
    with log.open("a") as more:
        more.write("new\n")
    tail.poll()
    tail.close()
    assert lines == ["new"]
