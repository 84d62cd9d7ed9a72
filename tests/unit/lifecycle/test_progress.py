"""The progress file: appended by several processes, followed by one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from mlstacks_dagster.lifecycle.models import Progress
from mlstacks_dagster.lifecycle.progress import ProgressFile, read_progress

_WRITERS, _LINES = 4, 200


def write_many(path: Path, unit: str) -> None:
    file = ProgressFile(path)
    for done in range(_LINES):
        file.write(Progress(unit=unit, phase="x" * 200, done=done, total=_LINES))


def test_what_is_written_is_read_and_not_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one.jsonl"
    assert read_progress(path) == ([], 0)
    first, second = Progress(unit="a", phase="plan"), Progress(unit="a", phase="äpply\u2028\r")
    ProgressFile(path).write(first)
    entries, offset = read_progress(path)
    assert entries == [first]
    ProgressFile(path).write(second)
    entries, end = read_progress(path, offset)
    assert entries == [second]
    assert read_progress(path, end) == ([], end)


def test_the_same_again_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    file = ProgressFile(path)
    for phase in ("plan", "plan", "apply", "plan"):
        file.write(Progress(unit="a", phase=phase))
    assert [e.phase for e in read_progress(path)[0]] == ["plan", "apply", "plan"]


def test_a_line_that_is_not_whole_yet_is_read_later(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    line = Progress(unit="ä", phase="plan").model_dump_json().encode() + b"\n"
    for cut in range(len(line)):
        path.write_bytes(line + line[:cut])
        entries, offset = read_progress(path)
        assert (len(entries), offset) == (1, len(line))
        path.write_bytes(line + line)
        assert len(read_progress(path, offset)[0]) == 1


def test_a_line_that_a_full_disk_cut_off_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    good = Progress(unit="a", phase="plan")
    line = good.model_dump_json().encode()
    path.write_bytes(line[:10] + line + b"\n" + b"\xff\n" + line + b"\n")
    entries, offset = read_progress(path)
    assert entries == [good]
    assert offset == path.stat().st_size


def test_writers_in_several_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, str(n))) for n in range(_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries, _ = read_progress(path)
    assert len(entries) == _WRITERS * _LINES
    for unit in map(str, range(_WRITERS)):
        assert [e.done for e in entries if e.unit == unit] == list(range(_LINES))


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one.jsonl"
    ProgressFile(path).write(Progress(unit="a", phase="plan"))
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"
