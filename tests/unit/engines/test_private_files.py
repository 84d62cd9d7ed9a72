"""Private files and folders, and following a file that grows."""

import os
import stat

import pytest

from mlstacks_dagster.engines.files import disk_errors, private_folder, write_private
from mlstacks_dagster.engines.log_tail import LogTail
from mlstacks_dagster.errors import MlstacksError


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_and_its_new_parents_are_private(tmp_path):
    private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_an_existing_folder_is_made_private(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    private_folder(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o700


def test_a_file_is_private_whatever_the_umask_and_replaces_an_open_one(tmp_path):
    path = tmp_path / "f"
    path.write_text("public")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_private(path, b"x")
    finally:
        os.umask(before)
    assert (mode(path), path.read_text()) == (0o600, "x")


def test_a_failed_write_leaves_the_old_content_and_no_rest(tmp_path):
    target = tmp_path / "f"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(target, b"x")
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_permission_names_the_file(tmp_path):
    with pytest.raises(MlstacksError, match="here/f"), disk_errors(tmp_path, "trying"):
        raise PermissionError(13, "Permission denied", "here/f")


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
