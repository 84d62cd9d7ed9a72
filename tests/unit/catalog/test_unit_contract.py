"""Each rule that units are held to has a test that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.catalog.contract import check_unit, placeholders
from mlstacks_dagster.catalog.unit_file import load_units
from mlstacks_dagster.errors import CatalogError
from tests.unit.catalog.building import Folder

KIND = {"type": "artifact_store", "flavor": "s3"}


def findings(root: Folder, **keys: Any) -> str:
    path = root.unit("thing", **keys)
    return "\n".join(map(str, check_unit(load_units(path / "unit.yaml")[0])))


def test_a_sound_unit_breaks_no_rule(folder: Folder) -> None:
    assert not findings(
        folder,
        component=KIND,
        requires=[{"capability": "network", "bind": {"vpc": "vpc_id"}}],
        config={"size": {"variable": "size", "rule": "cidr"}},
        provides=[{"capability": "thing", "outputs": {"id": "id"}}],
        export={"flavor": "s3", "configuration": {"path": "s3://{id}/x"}},
        teardown={"empty": [{"resource": "s3_bucket", "output": "id"}]},
        variables={"size": "string", "vpc": "string"},
        outputs=["id"],
    )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"folder": "aws/other"}, "the folder is other, the unit thing"),
        ({"export": {"flavor": "s3"}}, "only a component has an export"),
        (
            {"config": {"region": {"variable": "a"}}, "variables": {"a": "string"}},
            "every flavor takes region already",
        ),
        (
            {"config": {"a": {"variable": "a", "rule": "cidrr"}}, "variables": {"a": "string"}},
            "there is no rule cidrr (did you mean cidr?)",
        ),
        (
            {"config": {"a": {"variable": "sise"}}, "variables": {"size": "string"}},
            "the module has no variable sise (did you mean size?)",
        ),
        (
            {"requires": [{"capability": "n", "bind": {"vpcc": "k"}}], "variables": {"vpc": "any"}},
            "the module has no variable vpcc (did you mean vpc?)",
        ),
        ({"config": {"a": {"variable": "tags"}}}, "the variable tags is filled by the program"),
        (
            {"after": [{"capability": "n", "bind": {"a": "k"}}], "tf": 'variable "a" {}\n'},
            "the variable a has no default (an `after` edge may be absent)",
        ),
        ({"tf": 'variable "a" {}\n'}, "nothing is sure to set the variable a"),
        (
            {
                "config": {"a": {"variable": "a"}},
                "requires": [{"capability": "n", "bind": {"a": "k"}}],
                "variables": {"a": "string"},
            },
            "requires.0.bind.a sets the variable a too",
        ),
        (
            {"provides": [{"capability": "n", "outputs": {"k": "idd"}}], "outputs": ["id"]},
            "the module has no output idd (did you mean id?)",
        ),
        (
            {"component": KIND, "export": {"flavor": "s3", "configuration": {"p": "x{nam}"}}},
            "the module has no output nam",
        ),
        (
            {"teardown": {"empty": [{"resource": "s3_bucket", "output": "b"}]}},
            "the module has no output b",
        ),
    ],
)
def test_a_broken_rule_is_named(folder: Folder, keys: dict[str, Any], words: str) -> None:
    found = findings(folder, **keys)
    assert words in found
    assert "unit.yaml:" in found


def test_a_module_without_the_common_variables_is_refused(folder: Folder) -> None:
    path = folder.unit("thing")
    (path / "variables.tf").write_text("")
    found = "\n".join(map(str, check_unit(load_units(path / "unit.yaml")[0])))
    for name in ("install", "name", "region", "tags"):
        assert f"the module has no variable {name}" in found


def test_a_finding_names_the_line_of_the_key(folder: Folder) -> None:
    found = findings(folder, config={"a": {"variable": "sise"}})
    lines = (folder.path / "aws/thing/unit.yaml").read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "variable: sise" in text)
    assert f"unit.yaml:{line}: the module has no variable sise" in found


def test_two_units_of_one_name_name_both_files(folder: Folder) -> None:
    folder.unit("thing")
    folder.unit("thing", folder="else/thing")
    with pytest.raises(CatalogError) as caught:
        folder.read()
    text = str(caught.value)
    assert "aws has two units named thing" in text
    assert "aws/thing/unit.yaml" in text
    assert "else/thing/unit.yaml" in text


def test_units_of_one_name_on_two_providers_are_fine(folder: Folder) -> None:
    folder.unit("thing")
    folder.unit("thing", folder="gcp/thing", provider="gcp")
    assert [u.provider for u in folder.read().units] == ["aws", "gcp"]


def test_a_bound_key_that_a_provider_lacks_is_refused(folder: Folder) -> None:
    folder.unit(
        "net", provides=[{"capability": "network", "outputs": {"vpc": "id"}}], outputs=["id"]
    )
    folder.unit(
        "user",
        requires=[{"capability": "network", "bind": {"v": "vpcs"}}],
        variables={"v": "string"},
    )
    with pytest.raises(CatalogError, match=r"net provides network without vpcs \(did you mean vpc"):
        folder.read()


def test_every_broken_unit_is_reported_at_once(folder: Folder) -> None:
    folder.unit("one", tf='variable "a" {}\n')
    folder.unit("two", tf="broken {")
    with pytest.raises(CatalogError) as caught:
        folder.read()
    assert "variable a" in str(caught.value)
    assert "two/variables.tf" in str(caught.value)


def test_placeholders_are_the_names_in_braces() -> None:
    assert placeholders("s3://{bucket}/{path}") == ("bucket", "path")
