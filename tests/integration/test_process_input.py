"""What a child reads from standard input, and the end of one at its deadline."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mlstacks_dagster.engines.process import Command, Patience, ProcessRunner
from mlstacks_dagster.engines.process_record import read_record
from mlstacks_dagster.errors import CommandError, CommandTimeoutError

ECHO = "import sys; print(sys.stdin.read())"
STAY = "import time; print('ready', flush=True); time.sleep(300)"


def command(folder: Path, script: str, **more: object) -> Command:
    return Command(
        argv=(sys.executable, "-I", "-S", "-c", script),
        cwd=folder,
        env={},
        log=folder / "logs" / "log",
        record=folder / "child.json",
        verb="a test",
        **more,  # type: ignore[arg-type]
    )


def test_a_child_reads_what_it_is_given_and_no_file_of_it_stays(tmp_path: Path) -> None:
    lines: list[str] = []
    given = command(tmp_path, ECHO, stdin=b"first\nsecond")
    assert ProcessRunner().run(given, lines.append) == 0
    assert lines == ["first", "second"]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["log"]
    assert "first" not in repr(given)


def test_a_child_that_is_given_nothing_reads_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    assert ProcessRunner().run(command(tmp_path, ECHO), lines.append) == 0
    assert lines == [""]


def test_a_reading_command_reads_its_input_too(tmp_path: Path) -> None:
    argv = (sys.executable, "-I", "-S", "-c", ECHO)
    done = ProcessRunner().capture(argv, tmp_path, {}, stdin=b"x" * 200_000)
    assert done.stdout == "x" * 200_000 + "\n"
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_child_is_stopped_at_its_deadline_and_its_record_stays(tmp_path: Path) -> None:
    lines: list[str] = []
    runner = ProcessRunner(patience=Patience(interrupt=5.0, terminate=1.0))
    with pytest.raises(CommandTimeoutError, match=r"a test did not end within 0\.5 s") as caught:
        runner.run(command(tmp_path, STAY, timeout=0.5), lines.append)
    assert isinstance(caught.value, CommandError)
    assert read_record(tmp_path / "child.json") is not None
    assert runner.settle(tmp_path / "child.json", lines.append).found


def test_a_child_that_ends_before_its_deadline_is_left_alone(tmp_path: Path) -> None:
    assert ProcessRunner().run(command(tmp_path, ECHO, timeout=60.0), print) == 0
