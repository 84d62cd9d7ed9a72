from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.discovery import Catalog, load_catalog
from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.errors import CatalogError
from mlstacks_dagster.settings import Settings
from tests.unit.catalog.building import Folder, Stacks

FLAVOR = ("data_lake", "iceberg")


def settings(tmp_path: Path, *roots: Path) -> Settings:
    path = os.pathsep.join(map(str, roots))
    return Settings.load({"MLSTACKS_HOME": str(tmp_path), "MLSTACKS_CATALOG_PATH": path})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that installs a package with one module and one entry point."""

    def install(code: str, target: str) -> None:
        site = tmp_path / "site"
        info = site / "foreign_flavors-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "foreign_flavors.py").write_text(code)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-flavors\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            f"[mlstacks_dagster.catalog]\nforeign = foreign_flavors:{target}\n"
        )
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "foreign_flavors", raising=False)

    return install


def test_units_are_found_at_any_depth_and_sorted(folder: Folder) -> None:
    folder.unit("b")
    folder.unit("a", folder="x/y/z/a")
    folder.unit("hidden", folder=".git/hidden")
    assert [unit.name for unit in folder.read().units] == ["a", "b"]


def test_the_catalog_answers_by_component_capability_and_provider(cluster: Folder) -> None:
    catalog = cluster.read()
    assert [u.name for u in catalog.by_component("aws", "artifact_store", "s3")] == ["bucket"]
    assert catalog.by_component("gcp", "artifact_store", "s3") == ()
    assert [u.name for u in catalog.providers_of("network", "aws")] == ["network"]
    assert catalog.providers_of("network", "gcp") == ()
    assert [u.name for u in catalog.base_units("aws")] == ["cluster", "network"]
    assert catalog.kinds("aws") == (
        ("artifact_store", "s3"),
        ("container_registry", "aws"),
        ("orchestrator", "kubernetes"),
    )
    assert ("aws", "artifact_store", "s3") in catalog.triples
    assert catalog.get("aws", "bucket").name == "bucket"
    with pytest.raises(KeyError):
        catalog.get("gcp", "bucket")


def test_a_flavor_from_the_catalog_path_is_deployable(tmp_path: Path, folder: Folder) -> None:
    """One folder outside of this program is all that a new flavor needs."""
    folder.component(
        "lake", *FLAVOR, variables={"size": "number"}, config={"size": {"variable": "size"}}
    )
    outside = settings(tmp_path, folder.path)
    stacks = Stacks(tmp_path, outside)
    plan = load_plan(stacks.write({"kind": FLAVOR, "config": {"size": 3}}), outside)
    assert [(u.name, u.variables) for u in plan.units] == [("lake", {"size": 3})]


@pytest.mark.parametrize("target", ["ROOT", "TEXT", "root"])
def test_a_flavor_from_an_installed_package_is_deployable(
    tmp_path: Path, folder: Folder, install: Callable[[str, str], None], target: str
) -> None:
    folder.component("lake", *FLAVOR)
    install(
        f"from pathlib import Path\nTEXT = {str(folder.path)!r}\nROOT = Path(TEXT)\n"
        "def root():\n    return ROOT\n",
        target,
    )
    plain = settings(tmp_path)
    plan = load_plan(Stacks(tmp_path, plain).write({"kind": FLAVOR}), plain)
    assert [unit.name for unit in plan.units] == ["lake"]


@pytest.mark.parametrize(
    ("code", "target", "words"),
    [
        ("import nothing_of_that_name", "root", "No module named 'nothing_of_that_name'"),
        ("def root():\n    raise RuntimeError('no')", "root", "fails: RuntimeError: no"),
        ("ROOT = 5", "ROOT", "gives int, not a path"),
        ("ROOT = '/no/such/folder'", "ROOT", "gives /no/such/folder, which is no folder"),
        ("", "absent", "fails: AttributeError"),
    ],
)
def test_a_broken_entry_point_is_named(
    tmp_path: Path, install: Callable[[str, str], None], code: str, target: str, words: str
) -> None:
    install(code, target)
    with pytest.raises(CatalogError) as caught:
        load_catalog(settings(tmp_path))
    text = str(caught.value)
    assert words in text
    assert f"foreign = foreign_flavors:{target} of foreign-flavors" in text
    assert "repair or uninstall foreign-flavors" in text


def test_a_catalog_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"absent is no folder\s+-> correct MLSTACKS_CATALOG"):
        load_catalog(settings(tmp_path, tmp_path / "absent"))


def test_the_catalog_is_kept_until_a_file_changes(folder: Folder) -> None:
    path = folder.unit("one", variables={"a": "string"})
    first = folder.read()
    assert folder.read() is first
    (path / "variables.tf").write_text(
        (path / "variables.tf").read_text() + 'variable "b" {\n  default = 1\n}\n'
    )
    second = folder.read()
    assert second is not first
    folder.unit("two")
    assert [unit.name for unit in folder.read().units] == ["one", "two"]


def test_a_root_that_is_named_twice_counts_once(folder: Folder, tmp_path: Path) -> None:
    folder.unit("zzz_one")
    catalog = load_catalog(settings(tmp_path, folder.path, folder.path / "aws"))
    assert [u.name for u in catalog.units].count("zzz_one") == 1


def test_an_empty_catalog_has_nothing(folder: Folder) -> None:
    assert folder.read() == Catalog(())
