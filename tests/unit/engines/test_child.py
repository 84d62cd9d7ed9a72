"""A program that can't be started is an error that says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlstacks_dagster.engines.child import start_process
from mlstacks_dagster.errors import InputError, ToolNotFoundError


def _start(folder: Path, program: str, env: dict[str, str]) -> None:
    process = start_process(
        (program, "-c", ""), folder, env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.wait() == 0


def test_an_environment_that_is_too_large_names_its_largest_variable(tmp_path: Path) -> None:
    too_much = os.sysconf("SC_ARG_MAX") + (1 << 20)
    env = {"SMALL": "1", "TEAM_DATA": "secretive" * (too_much // 9)}
    with pytest.raises(InputError) as caught:
        _start(tmp_path, sys.executable, env)
    assert f"TEAM_DATA with {len(env['TEAM_DATA'])} bytes" in caught.value.message
    assert "128 KiB" in caught.value.remedy
    assert "secretive" not in str(caught.value)
    _start(tmp_path, sys.executable, {"SMALL": "1"})


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolNotFoundError, match="no-such-program"):
        _start(tmp_path, str(tmp_path / "no-such-program"), {})
