"""What holds for every unit that discovery finds, ours and contributed ones alike.

A folder named in ``MLSTACKS_TEST_CATALOG_PATH`` is tested together with our own.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from mlstacks_dagster.catalog.contract import check_catalog, check_unit
from mlstacks_dagster.catalog.discovery import Catalog, load_catalog
from mlstacks_dagster.catalog.docs import generated_files
from mlstacks_dagster.catalog.hcl import read_blocks
from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.catalog.models import UnitDefinition
from mlstacks_dagster.catalog.resolve import resolve
from mlstacks_dagster.catalog.variables import module_providers, module_variables
from mlstacks_dagster.settings import Settings, data_root
from mlstacks_dagster.spec.models import ClusterLocation, Component, Source, Stack, StackOptions


def _settings() -> Settings:
    path = os.environ.get("MLSTACKS_TEST_CATALOG_PATH", "")
    return Settings.load({"MLSTACKS_HOME": "unused", "MLSTACKS_CATALOG_PATH": path})


def _load() -> Catalog:
    """Load the catalog before the tests begin, and so before they have a home of their own."""
    with TemporaryDirectory() as home, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLSTACKS_HOME", home)
        return load_catalog(_settings())


CATALOG = _load()
EXAMPLES = sorted(
    path
    for path in (data_root() / "examples").rglob("*.yaml")
    if (yaml.safe_load(path.read_text()) or {}).get("spec_type") == "stack"
)

each_unit = pytest.mark.parametrize(
    "unit", [pytest.param(unit, id=f"{unit.provider}-{unit.name}") for unit in CATALOG.units]
)


def test_discovery_finds_units_and_examples() -> None:
    """Without any, the parametrised tests below would pass by testing nothing."""
    assert CATALOG.units
    assert EXAMPLES


@each_unit
def test_a_unit_breaks_no_rule(unit: UnitDefinition) -> None:
    assert check_unit(unit) == ()


def test_the_units_fit_together() -> None:
    assert check_catalog(CATALOG.units) == ()


@each_unit
def test_a_unit_has_a_readme_that_names_it(unit: UnitDefinition) -> None:
    readme = unit.path / "README.md"
    assert readme.is_file(), f"{unit.name} has no README.md"
    assert unit.name in readme.read_text() or unit.title in readme.read_text()


@each_unit
def test_everything_that_a_reader_sees_is_said(unit: UnitDefinition) -> None:
    for text in (unit.title, unit.description, *(c.description for c in unit.config.values())):
        assert text.strip(), f"an empty title or description in {unit.path / 'unit.yaml'}"
    if unit.engine == "terraform":
        silent = [v.name for v in module_variables(unit.path).values() if not v.description]
        assert not silent, f"variables without a description: {silent}"


@each_unit
def test_a_module_declares_the_providers_of_its_resources(unit: UnitDefinition) -> None:
    used = {
        block.labels[0].split("_")[0]
        for path in unit.path.glob("*.tf")
        for block in read_blocks(path.read_text())
        if block.type in ("resource", "data")
    }
    assert used - {"terraform"} <= module_providers(unit.path)


_COMPANIONS = {"k3d": (("artifact_store", "minio"),)}


@pytest.mark.parametrize(
    "triple", [pytest.param(triple, id="-".join(triple)) for triple in sorted(CATALOG.triples)]
)
def test_a_component_resolves_alone(triple: tuple[str, str, str]) -> None:
    """Nothing else in the stack: whatever it needs comes in by itself.

    On k3d the cluster is one that exists, and artifacts are in the stack's MinIO.
    """
    provider, kind, flavor = triple
    source = Source(Path("component.yaml"))
    config = {"project_id": "some-project"} if provider == "gcp" else {}
    wanted = dict.fromkeys([(kind, flavor), *_COMPANIONS.get(provider, ())])
    components = tuple(
        Component(k, provider, k, f, source, config)  # type: ignore[arg-type]
        for k, f in wanted
    )
    existing = ClusterLocation(kubeconfig=Path("kubeconfig")) if provider == "k3d" else None
    plan = resolve(
        Stack(
            "alone",
            provider,  # type: ignore[arg-type]
            Source(Path("stack.yaml")),
            components=components,
            options=StackOptions(cluster=existing),
        ),
        CATALOG,
    )
    own = {unit.name for unit in CATALOG.by_component(*triple)}
    assert own <= {unit.name for unit in plan.units}
    done: set[str] = set()
    for unit in plan.units:
        assert done.issuperset(unit.depends_on)
        assert done.issuperset(binding.unit for binding in unit.bindings)
        done.add(unit.name)


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.relative_to(data_root()).as_posix()) for p in EXAMPLES]
)
def test_an_example_is_a_plan_without_warnings(path: Path) -> None:
    plan = load_plan(path, _settings())
    assert plan.units
    assert plan.warnings == ()


@pytest.mark.parametrize(
    "name", ["docs/catalog.md", "schemas/stack.schema.json", "schemas/unit.schema.json"]
)
def test_a_generated_file_is_fresh(name: str) -> None:
    root = data_root()
    if root.name == "_data":
        pytest.skip("an installed package has no docs folder")
    expected = generated_files(root)[root / name]
    assert (root / name).read_text() == expected, "run: mlstacks-dagster catalog --write ."
