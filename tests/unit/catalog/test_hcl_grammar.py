"""python-hcl2 compiles its grammar at the first use; here it starts without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import hcl2
import pytest

pytestmark = pytest.mark.slow

_SCRIPT = """
import lark
lark.logger.setLevel("DEBUG")
from mlstacks_dagster.catalog.hcl import read_blocks
print(read_blocks("a {}")[0].type)
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Give a copy of python-hcl2 that was never used."""
    copy = tmp_path / "site" / "hcl2"
    unused = shutil.ignore_patterns(".lark_cache.bin", "__pycache__")
    shutil.copytree(Path(hcl2.__file__).parent, copy, ignore=unused)
    return copy


def _start(library: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONPATH": str(library.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_several_processes_one_compiles_the_grammar(library: Path) -> None:
    logs = []
    for process in [_start(library) for _ in range(3)]:
        found, log = process.communicate(timeout=120)
        assert (process.returncode, found) == (0, "a\n")
        logs.append(log)
    assert sum("Saving grammar to cache" in log for log in logs) == 1


def test_a_grammar_that_cannot_be_kept_is_compiled_each_time(library: Path) -> None:
    (library / ".lark_cache.bin").mkdir()  # refused to root as well
    process = _start(library)
    found, log = process.communicate(timeout=120)
    assert (process.returncode, found) == (0, "a\n")
    assert "Failed to save" in log
