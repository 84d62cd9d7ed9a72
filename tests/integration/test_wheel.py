"""The wheel, made of the tracked files alone and unpacked away from them, is all one needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.discovery import load_catalog
from mlstacks_dagster.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def _run(*argv: object, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        [str(a) for a in argv],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files, as they are now, and of nothing else."""
    folder = tmp_path_factory.mktemp("source") / "tree"
    listed = _run("git", "ls-files", "-z", cwd=REPOSITORY)
    for name in filter(None, listed.split("\0")):
        path = REPOSITORY / name
        if path.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _run(
        *(sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation"),
        *("--no-index", "--disable-pip-version-check", "-w", out),
        cwd=out,
    )
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    _run(
        *(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"),
        *("--disable-pip-version-check", "--target", target, wheel),
        cwd=target,
    )
    return target


def python(installed: Path, code: str, *argv: object) -> str:
    """Run ``code`` where only the installed wheel has our package."""
    elsewhere = installed.parent
    environ = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return _run(sys.executable, "-c", code, *argv, cwd=elsewhere, **environ)


_MAIN = "from mlstacks_dagster.cli.main import main; main()"


def test_the_package_and_its_data_are_those_of_the_wheel(installed: Path) -> None:
    code = (
        "import mlstacks_dagster, mlstacks_dagster.settings as s;"
        "print(mlstacks_dagster.__file__); print(s.data_root())"
    )
    package, data = map(Path, python(installed, code).splitlines())
    assert package == installed / "mlstacks_dagster" / "__init__.py"
    assert data == installed / "mlstacks_dagster" / "_data"


def test_the_catalog_of_the_wheel_is_that_of_the_checkout(installed: Path) -> None:
    found = json.loads(python(installed, _MAIN, "catalog", "--json"))
    assert {unit["name"] for unit in found} == {u.name for u in load_catalog(Settings.load()).units}
    assert all(Path(unit["path"]).is_relative_to(installed) for unit in found)


def test_a_packaged_example_is_valid(installed: Path) -> None:
    file = installed / "mlstacks_dagster" / "_data" / "examples" / "aws-quickstart" / "stack.yaml"
    assert python(installed, _MAIN, "validate", "-f", file).startswith("quickstart: valid")


def test_a_ledger_can_be_made_with_the_packaged_migrations(installed: Path) -> None:
    assert python(installed, _MAIN, "status") == "nothing is deployed\n"


def test_the_definitions_can_be_loaded(installed: Path) -> None:
    code = "import mlstacks_dagster.definitions as d; print(type(d.defs).__module__)"
    assert "dagster" in python(installed, code)


def test_every_tracked_file_that_is_needed_is_in_the_wheel(source: Path, names: set[str]) -> None:
    for folder in ("terraform", "examples", "charts"):
        for path in (source / folder).rglob("*"):
            inside = path.relative_to(source).as_posix()
            assert path.is_dir() or f"mlstacks_dagster/_data/{inside}" in names, inside
    for path in (source / "mlstacks_dagster").rglob("*"):
        assert path.is_dir() or path.relative_to(source).as_posix() in names, path


@pytest.mark.parametrize(
    "name",
    [
        "mlstacks_dagster/py.typed",
        "mlstacks_dagster/ledger/migrations/versions/0001_initial.py",
        "mlstacks_dagster/sandbox/server.py",
        "mlstacks_dagster/sandbox/mirror.py",
    ],
)
def test_what_is_easily_forgotten_is_in_the_wheel(names: set[str], name: str) -> None:
    assert name in names


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    tops = {name.split("/", 1)[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mlstacks_dagster"}
    unwanted = ("tests", "__pycache__", ".terraform", ".git", ".venv")
    assert [n for n in names if set(n.split("/")) & set(unwanted)] == []
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert any(name.endswith("/entry_points.txt") for name in names)
