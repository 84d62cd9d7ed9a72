"""The real Terraform agrees with how we evaluate conditions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.settings import Settings
from tests.unit.catalog.expressions import HOLD

pytestmark = pytest.mark.slow


def test_terraform_says_of_each_condition_what_we_say(tmp_path: Path) -> None:
    tool = find_terraform(Settings.load({"MLSTACKS_HOME": str(tmp_path / "home")}))
    folder = tmp_path / "empty"
    folder.mkdir()
    question = f"jsonencode([{', '.join(f'({text})' for text, _ in HOLD)}])"
    done = subprocess.run(
        [*tool.argv, "console"],
        input=question,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(json.loads(done.stdout))
    pairs = zip(HOLD, answers, strict=True)
    assert [text for (text, expected), answer in pairs if answer is not expected] == []
