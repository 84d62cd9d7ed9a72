"""Settings come from the environment, and nowhere else."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

import mlstacks_dagster
from mlstacks_dagster import settings as module
from mlstacks_dagster.errors import SettingError
from mlstacks_dagster.settings import Settings, data_root, process_environment


def test_an_empty_environment_gives_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = Settings.load({})
    assert loaded.home.is_absolute()
    assert "mlstacks-dagster" in loaded.home.name
    assert loaded.stacks_dir == data_root() / "examples"
    assert loaded.ledger_url == f"sqlite:///{loaded.home / 'ledger.db'}"
    assert loaded.catalog_path == ()
    assert loaded.terraform is None
    assert loaded.helm is None
    assert loaded.chart_mirror is None
    assert loaded.sandbox is False
    assert loaded.extra_regions == ()
    assert loaded.lock_timeout == 3600.0


def test_every_variable_sets_its_field(tmp_path: Path) -> None:
    loaded = Settings.load(
        {
            "MLSTACKS_HOME": str(tmp_path / "home"),
            "MLSTACKS_STACKS_DIR": str(tmp_path / "stacks"),
            "MLSTACKS_CATALOG_PATH": os.pathsep.join(
                [str(tmp_path / "a"), "", str(tmp_path / "b")]
            ),
            "MLSTACKS_LEDGER_URL": "postgresql+psycopg://x/y",
            "MLSTACKS_TERRAFORM": str(tmp_path / "tofu"),
            "MLSTACKS_HELM": str(tmp_path / "helm"),
            "MLSTACKS_CHART_MIRROR": str(tmp_path / "charts"),
            "MLSTACKS_SANDBOX": "1",
            "MLSTACKS_SWEEP_ACCOUNTS": "aws, aws:lab,, gcp:ml",
            "MLSTACKS_SWEEP_PROTECTED": "prod, live",
            "MLSTACKS_EXTRA_REGIONS": "mars-1, , venus-2",
            "MLSTACKS_IDLE_AFTER": "60",
            "MLSTACKS_LOCK_TIMEOUT": "1.5",
        }
    )
    assert loaded == Settings(
        home=tmp_path / "home",
        stacks_dir=tmp_path / "stacks",
        catalog_path=(tmp_path / "a", tmp_path / "b"),
        ledger_url="postgresql+psycopg://x/y",
        terraform=tmp_path / "tofu",
        helm=tmp_path / "helm",
        chart_mirror=tmp_path / "charts",
        sandbox=True,
        sweep_accounts=("aws", "aws:lab", "gcp:ml"),
        sweep_protected=("prod", "live"),
        extra_regions=("mars-1", "venus-2"),
        idle_after=60.0,
        lock_timeout=1.5,
    )
    assert len(fields(Settings)) == 13, "a new setting needs a line above"


def test_the_process_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTACKS_HOME", str(tmp_path))
    assert Settings.load().home == tmp_path


def test_relative_paths_become_absolute_and_tilde_is_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    loaded = Settings.load({"MLSTACKS_HOME": "h", "MLSTACKS_STACKS_DIR": "~/s"})
    assert loaded.home == tmp_path / "h"
    assert loaded.stacks_dir == tmp_path / "user" / "s"


def test_a_stacks_folder_in_the_current_directory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stacks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Settings.load({}).stacks_dir == tmp_path / "stacks"


@pytest.mark.parametrize("value", ["1", "true", "YES", " yes "])
def test_the_sandbox_is_on(value: str) -> None:
    assert Settings.load({"MLSTACKS_SANDBOX": value}).sandbox is True


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_the_sandbox_is_off(value: str) -> None:
    assert Settings.load({"MLSTACKS_SANDBOX": value}).sandbox is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLSTACKS_SANDBOX", "maybe"),
        ("MLSTACKS_LOCK_TIMEOUT", "soon"),
        ("MLSTACKS_LOCK_TIMEOUT", "-1"),
    ],
)
def test_a_value_that_can_not_be_used_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.load({name: value})
    assert name in str(caught.value)
    assert caught.value.remedy


def test_all_folders_lie_in_the_home() -> None:
    loaded = Settings(home=Path("/h"), stacks_dir=Path("/s"))
    folders = [
        loaded.dagster_home,
        loaded.sandbox_dir,
        loaded.plugin_cache,
        loaded.locks_dir,
        loaded.runs_dir,
        loaded.work_dir("s1", "network"),
        loaded.state_dir("s1", "network"),
    ]
    assert all(f.is_relative_to("/h") for f in folders)
    assert len(set(folders)) == len(folders)
    assert loaded.state_dir("s1", "a") != loaded.state_dir("s2", "a")


def test_the_data_root_has_the_catalog_and_the_examples() -> None:
    for name in ("terraform", "charts", "examples"):
        assert (data_root() / name).is_dir()


def test_a_copy_of_the_environment_does_not_change_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLSTACKS_TEST_X", "1")
    copy = process_environment()
    assert copy["MLSTACKS_TEST_X"] == "1"
    copy["MLSTACKS_TEST_X"] = "2"
    assert os.environ["MLSTACKS_TEST_X"] == "1"


def test_every_variable_is_in_the_docstring() -> None:
    source = Path(module.__file__ or "").read_text()
    docstring = module.__doc__ or ""
    read = set(re.findall(r'"(MLSTACKS_[A-Z_]+)"', source.replace(docstring, "")))
    assert read
    assert read == set(re.findall(r"``(MLSTACKS_[A-Z_]+)``", docstring))


def test_nothing_else_reads_the_process_environment() -> None:
    package = Path(mlstacks_dagster.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if "_data" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if _reads_environment(node)
    }
    assert found == {"settings.py"}


def _reads_environment(node: ast.AST) -> bool:
    names = ("environ", "environb", "getenv", "getenvb")
    if isinstance(node, ast.Attribute):
        return node.attr in names and isinstance(node.value, ast.Name) and node.value.id == "os"
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return False
