"""Our modules as the cloud gets them, judged by Terraform with the current provider's schemas.

The sandbox's provider is an older one, and its staging leaves out what that one doesn't know.
Here nothing is left out; the provider is a schema double (``tests/schema_provider``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.discovery import Catalog, own_roots, read_catalog
from mlstacks_dagster.catalog.hcl import read_blocks
from mlstacks_dagster.catalog.models import UnitDefinition
from mlstacks_dagster.settings import data_root
from tests.integration.current_provider import CurrentProvider, unmarked
from tests.schema_provider import ProviderSchema, load_schema, serving

CATALOG: Catalog = read_catalog(own_roots())
UNITS = [u for u in CATALOG.units if u.provider == "aws" and u.engine == "terraform"]
SCHEMA: ProviderSchema = load_schema()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[pytest.param(unit, id=unit.name) for unit in UNITS])
def unit(request: pytest.FixtureRequest) -> UnitDefinition:
    """Return each unit in turn, so that all tests of one follow each other."""
    return request.param


@pytest.fixture(scope="module")
def double() -> Iterator[dict[str, str]]:
    """Run the provider's double; return the environment by which Terraform finds it."""
    with serving() as environment:
        yield environment


@pytest.fixture(scope="module")
def cloud(double: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> CurrentProvider:
    """Return what stages and deploys units with the double."""
    return CurrentProvider(tmp_path_factory.mktemp("cloud"), CATALOG, double)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_there_are_units() -> None:
    """Without any, the tests below would pass by testing nothing."""
    assert UNITS


def test_the_schemas_know_every_type_that_a_module_uses() -> None:
    used = {
        (block.type, block.labels[0])
        for path in (data_root() / "terraform" / "aws").glob("*/*.tf")
        for block in read_blocks(path.read_text())
        if block.type in ("resource", "data") and block.labels[0].startswith("aws_")
    }
    known = {("resource", name) for name in SCHEMA.resources}
    known |= {("data", name) for name in SCHEMA.data_sources}
    assert used == known, "run: make provider-schema"


def test_the_schemas_are_of_a_version_that_the_module_takes(unit: UnitDefinition) -> None:
    """Terraform doesn't compare versions when the provider runs already."""
    for lowest, above in re.findall(
        r'version = ">= ([\d.]+), < ([\d.]+)"', (unit.path / "versions.tf").read_text()
    ):
        assert _version(lowest) <= _version(SCHEMA.version) < _version(above)


def test_a_module_is_valid(unit: UnitDefinition, cloud: CurrentProvider) -> None:
    valid, said = cloud.validate(cloud.stage(unit))
    assert valid, said
    assert "Warning" not in said


def test_no_name_is_strange_where_terraform_does_not_look(unit: UnitDefinition) -> None:
    resources = [
        block
        for path in sorted(unit.path.glob("*.tf"))
        for block in read_blocks(path.read_text())
        if block.type == "resource" and block.labels[0].startswith("aws_")
    ]
    strange = {".".join(b.labels): names for b in resources if (names := SCHEMA.strange_names(b))}
    assert strange == {}


def test_nothing_of_a_module_is_left_out(unit: UnitDefinition, cloud: CurrentProvider) -> None:
    staged = {path.name for path in cloud.stage(unit).module.glob("*.tf")}
    assert {path.name for path in unit.path.glob("*.tf")} <= staged


def test_every_resource_that_can_be_tagged_gets_the_marks(
    unit: UnitDefinition, cloud: CurrentProvider
) -> None:
    assert unmarked(cloud.life(unit).created.changes, cloud.marks(unit), SCHEMA) == []


def test_a_module_is_deployed_changes_nothing_more_and_goes(
    unit: UnitDefinition, cloud: CurrentProvider
) -> None:
    life = cloud.life(unit)
    planned = {change.address for change in life.created.changes if change.mode == "managed"}
    assert life.made == planned
    assert life.created.change == life.created.destroy == 0
    assert not life.again.has_changes, life.again
    assert life.removed.destroy == len(life.made)
    assert life.left == ()


def _altered(unit: UnitDefinition, folder: Path, file: str, old: str, new: str) -> UnitDefinition:
    """Return a copy of the unit with another text in one of its files."""
    path = folder / unit.name
    shutil.copytree(unit.path, path)
    text = (path / file).read_text()
    assert old in text, f"{file} has no {old!r} any more: this test needs another example"
    (path / file).write_text(text.replace(old, new))
    return unit.model_copy(update={"path": path, "name": f"altered_{unit.name}"})


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        ("artifact_store_s3", "main.tf", "force_destroy", "force_destory", '"force_destory"'),
        (
            "artifact_store_s3",
            "main.tf",
            "force_destroy = var.delete_data",
            "force_destroy = []",
            "bool",
        ),
        ("artifact_store_s3", "current_provider.tf", "rule {", "rules {", '"rules"'),
        ("artifact_store_s3", "current_provider.tf", '    status = "Enabled"', "", '"status"'),
        ("artifact_store_s3", "versions.tf", "default_tags", "default_tag", '"default_tag"'),
        ("cluster", "main.tf", "vpc_config {", "vpc_config {\n}\nvpc_config {", "vpc_config"),
        ("cluster", "main.tf", "identity[0].oidc[0].issuer", "identity[0].issuer", '"issuer"'),
        ("cluster", "current_provider.tf", "_on_create", "", '"resolve_conflicts"'),
        ("cluster", "current_provider_override.tf", "max_un", "maximum_un", "maximum_unavailable"),
    ],
)
def test_a_mistake_is_found(
    name: str,
    file: str,
    old: str,
    new: str,
    said: str,
    cloud: CurrentProvider,
    tmp_path: Path,
) -> None:
    """Misspelt, of a wrong type, required and missing, once too often, gone since version 6."""
    altered = _altered(CATALOG.get("aws", name), tmp_path, file, old, new)
    valid, text = cloud.validate(cloud.stage(altered))
    assert not valid
    assert said in text


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "found"),
    [
        ("artifact_store_s3", "versions.tf", "tags = var.tags", "tags = {}", "aws_s3_bucket.this"),
        (
            "cluster",
            "current_provider_override.tf",
            "= local.node_tags",
            "= {}",
            "aws_launch_template.node",
        ),
    ],
)
def test_a_resource_without_marks_is_found(
    name: str, file: str, old: str, new: str, found: str, cloud: CurrentProvider, tmp_path: Path
) -> None:
    altered = _altered(CATALOG.get("aws", name), tmp_path, file, old, new)
    changes = cloud.engine.plan(cloud.stage(altered)).changes
    assert unmarked(changes, cloud.marks(altered), SCHEMA) == [found]
