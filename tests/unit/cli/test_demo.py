"""What ``demo`` says at its end; the deploy itself is driven by the browser test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlstacks_dagster.cli.demo import hints


def program(folder: Path) -> Path:
    """Make a command that prints its home and its arguments."""
    folder.mkdir(parents=True)
    path = folder / "mlstacks-dagster"
    path.write_text('#!/bin/sh\necho "$MLSTACKS_HOME: $*"\n')
    path.chmod(0o755)
    return path


def run(lines: list[str], environ: dict[str, str]) -> list[str]:
    script = "\n".join(lines).replace("eval", "echo")
    done = subprocess.run(
        ["sh", "-ec", script], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("home", ["h", "a home's"])
def test_the_commands_work_as_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    called = program(tmp_path / "my venv" / "bin")
    environ = {"PATH": os.environ["PATH"], "MLSTACKS_HOME": home}
    lines = hints("quickstart", str(called), environ)
    assert run(lines, {"PATH": os.environ["PATH"]}) == [
        f"{tmp_path / home}: ui --sandbox",
        f"{tmp_path / home}: status quickstart",
        f"{tmp_path / home}: sandbox env",
        f"{tmp_path / home}: destroy quickstart",
    ]
    assert lines[1].startswith("'my venv/bin/"), "as short as it can be"


def test_a_command_on_the_path_is_named_alone(tmp_path: Path) -> None:
    called = program(tmp_path / "bin")
    environ = {"PATH": f"{called.parent}{os.pathsep}{os.environ['PATH']}"}
    lines = hints("quickstart", str(called), environ)
    assert [line.split()[0] for line in lines[:2]] == ["mlstacks-dagster"] * 2
    assert run(lines, environ)[1] == ": status quickstart", "the home is the usual one"


def test_another_program_of_that_name_on_the_path_is_not_taken_for_ours(tmp_path: Path) -> None:
    other, called = program(tmp_path / "other"), program(tmp_path / "bin")
    environ = {"PATH": f"{other.parent}{os.pathsep}{os.environ['PATH']}"}
    assert hints("s", str(called), environ)[0].split()[0] != "mlstacks-dagster"
