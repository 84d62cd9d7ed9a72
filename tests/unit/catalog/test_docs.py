from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mlstacks_dagster.catalog.docs import (
    catalog_markdown,
    generated_files,
    stack_schema,
    unit_schema,
    write_generated,
)
from mlstacks_dagster.catalog.unit_file import load_units
from mlstacks_dagster.settings import data_root
from tests.unit.catalog.building import KUBERNETES, S3, Folder, Stacks


def valid(schema: dict[str, Any], data: object) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(data))


def test_both_schemas_are_schemas(cluster: Folder) -> None:
    jsonschema.Draft202012Validator.check_schema(stack_schema(cluster.read()))
    jsonschema.Draft202012Validator.check_schema(unit_schema())


def test_what_loads_suits_the_schema(cluster: Folder, stacks: Stacks) -> None:
    schema = stack_schema(cluster.read())
    stacks.plan(
        cluster,
        {**S3, "config": {"bucket_name": "my-bucket", "zenml-version": "0.98.0"}},
        {**KUBERNETES, "config": {"node_count": "3"}, "tags": {"a": "b"}, "region": "eu-west-1"},
        ttl="8h",
        state="s3://my-states/prefix",
        protect=False,
        on_failure="destroy",
        default_tags={"a": "b"},
    )
    for path in stacks.path.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"spec_type": "foo"},
        {"spec_type": "stack"},
        {"provider": "azure"},
        {"component_type": "feature_store"},
        {"component_flavor": "gcp"},
        {"component_type": "orchestrator"},
        {"name": "-a"},
        {"more": 1},
        {"metadata": {"config": {"bucketname": "x"}}},
        {"metadata": {"config": {"bucket_name": ["x"]}}},
        {"metadata": {"config": {"bucket_name": 1.5}}},
        {"metadata": {"config": {"node_count": "many"}}},
        {"metadata": {"tags": {"a": 1}}},
    ],
)
def test_what_does_not_load_does_not_suit_the_schema(
    cluster: Folder, change: dict[str, Any]
) -> None:
    schema = stack_schema(cluster.read())
    component = {
        "spec_version": 1,
        "spec_type": "component",
        "name": "a",
        "provider": "aws",
        "component_type": "artifact_store",
        "component_flavor": "s3",
    }
    assert valid(schema, component)
    assert not valid(schema, {**component, **change})


def test_the_schema_knows_the_keys_and_what_they_mean(cluster: Folder) -> None:
    definitions = stack_schema(cluster.read())["$defs"]
    config = definitions["config_aws_orchestrator_kubernetes"]
    assert set(config["properties"]) == {"region", "zenml-version", "node_count", "vpc_cidr"}
    node_count = definitions["base_aws"]["properties"]["node_count"]
    assert node_count["description"] == "How many nodes. (of cluster, shared by the stack)"


def test_types_of_terraform_become_types_of_json(folder: Folder) -> None:
    tf = (
        'variable "sizes" {\n  type = list(object({ name = string, min = optional(number) }))\n'
        '  default = [{ name = "a" }]\n}\n'
    )
    folder.component(
        "bucket", "artifact_store", "s3", tf=tf, config={"sizes": {"variable": "sizes"}}
    )
    config = stack_schema(folder.read())["$defs"]["config_aws_artifact_store_s3"]
    schema = config["properties"]["sizes"]
    assert schema["default"] == [{"name": "a"}]
    assert valid(schema, [{"name": "a", "min": 2}])
    assert not valid(schema, [{"min": 2}])
    assert not valid(schema, {"name": "a"})


def test_the_schema_of_units_accepts_units_and_refuses_unknown_keys(cluster: Folder) -> None:
    for file in cluster.path.rglob("unit.yaml"):
        data = yaml.safe_load(file.read_text())
        jsonschema.validate(data, unit_schema())
        assert not valid(unit_schema(), {**data, "tilte": "x"})
        assert not valid(unit_schema(), {**data, "path": "/tmp"})
        assert load_units(file)[0].name == data["name"]


def test_the_page_shows_units_keys_defaults_and_what_comes_in(folder: Folder) -> None:
    folder.base("network", "network")
    folder.component(
        "bucket",
        "artifact_store",
        "s3",
        requires=[{"capability": "network"}],
        tf='variable "days" {\n  type = number\n  default = 30\n  description = "A | B"\n}\n',
        config={"days": {"variable": "days"}},
        export={"flavor": "s3"},
        leftovers=["Old objects."],
        cost_note="A little.",
    )
    page = catalog_markdown(folder.read())
    assert "| artifact_store | s3 | `bucket` | `network` |" in page
    assert "| `days` | `number` | `30` | A \\| B |" in page
    assert "- Requires `network`." in page
    assert "- In ZenML: flavor `s3`." in page
    assert "Old objects." in page
    assert "- Cost: A little." in page


def test_only_stale_files_are_written(tmp_path: Path) -> None:
    first = write_generated(tmp_path)
    assert {p.relative_to(tmp_path).as_posix() for p in first} == {
        "docs/catalog.md",
        "docs/charts.md",
        "schemas/stack.schema.json",
        "schemas/unit.schema.json",
    }
    assert write_generated(tmp_path) == ()
    (tmp_path / "docs/catalog.md").write_text("old")
    assert write_generated(tmp_path) == (tmp_path / "docs/catalog.md",)
    assert (tmp_path / "docs/catalog.md").read_text().startswith("# Catalog")


def test_our_own_units_are_shown_whatever_the_settings_say(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.unit("zzz_foreign")
    monkeypatch.setenv("MLSTACKS_CATALOG_PATH", str(folder.path))
    assert not any("zzz_foreign" in text for text in generated_files(tmp_path).values())
    assert (data_root() / "terraform").is_dir()
