"""``validate``, ``plan``, ``catalog``, ``status``, ``output``, ``tools``: what they print."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.discovery import load_catalog
from tests.unit.cli.conftest import Said, Terminal

S3 = ("artifact_store", "s3")
ECR = ("container_registry", "aws")


def table(said: Said) -> list[list[str]]:
    """Return the cells of a printed table, split where two spaces are."""
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in said.out.splitlines()]


def read_json(said: Said) -> Any:
    assert said.code == 0
    return json.loads(said.out)


def test_validate_counts_the_units(terminal: Terminal) -> None:
    said = terminal.run("validate", "-f", terminal.stack())
    assert (said.code, said.out, said.err) == (0, "demo: valid, 1 units\n", "")


def test_validate_as_json(terminal: Terminal) -> None:
    assert read_json(terminal.run("validate", "-f", terminal.stack(), "--json")) == {
        "stack": "demo",
        "units": ["artifact_store_s3"],
        "warnings": [],
    }


def test_validate_names_file_and_line_of_every_problem(terminal: Terminal) -> None:
    path = terminal.stack(ttl="soon", protect="perhaps")
    said = terminal.run("validate", "-f", path)
    assert said.code == 2
    assert said.err.count(f"{path}:") >= 2
    assert said.out == ""


def test_plan_shows_order_and_what_is_there(terminal: Terminal) -> None:
    path = terminal.stack("demo", S3, ECR)
    terminal.deployed(path)
    with_more = terminal.stack("demo", S3, ECR, ("step_operator", "sagemaker"))
    head, *rows = table(terminal.run("plan", "-f", with_more))
    assert head == ["UNIT", "COMPONENT", "REGION", "AFTER", "NOW", "DEPLOY"]
    assert {row[0]: tuple(row[-2:]) for row in rows} == {
        "artifact_store_s3": ("applied", "change"),
        "container_registry_ecr": ("applied", "change"),
        "step_operator_sagemaker": ("not deployed", "create"),
    }


def test_plan_shows_what_is_no_longer_in_the_file(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack("demo", S3, ECR))
    found = read_json(terminal.run("plan", "-f", terminal.stack("demo", S3), "--json"))
    assert {u["unit"]: (u["status"], u["deploy"]) for u in found["units"]} == {
        "artifact_store_s3": ("applied", "change"),
        "container_registry_ecr": ("no longer in the file", "stays"),
    }


def test_plan_as_json(terminal: Terminal) -> None:
    found = read_json(terminal.run("plan", "-f", terminal.stack(), "--json"))
    assert set(found) == {"stack", "units", "warnings"}
    (unit,) = found["units"]
    assert set(unit) == {"unit", "component", "region", "after", "settings", "status", "deploy"}
    assert unit["component"] == "my_artifact_store"


def test_plan_never_prints_environment_variables(terminal: Terminal) -> None:
    path = terminal.stack()
    component = terminal.folder / "demo-artifact_store.yaml"
    component.write_text(
        component.read_text() + "metadata: {environment_variables: {TOKEN: letmein}}\n"
    )
    said = terminal.run("plan", "-f", path, "--json")
    assert said.code == 0
    assert "letmein" not in said.out + said.err


def test_catalog_lists_every_unit(terminal: Terminal) -> None:
    names = {u.name for u in load_catalog(terminal.settings).units}
    head, *rows = table(terminal.run("catalog"))
    assert head == ["PROVIDER", "UNIT", "COMPONENT", "ENGINE", "NEEDS"]
    assert {row[1] for row in rows} == names
    assert {u["name"] for u in read_json(terminal.run("catalog", "--json"))} == names


def test_catalog_writes_its_files(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal.run("catalog", "--write", tmp_path / "out")
    assert said.code == 0
    assert (tmp_path / "out" / "docs" / "catalog.md").is_file()
    assert (tmp_path / "out" / "schemas" / "stack.schema.json").is_file()


def test_status_of_nothing(terminal: Terminal) -> None:
    assert terminal.run("status").out == "nothing is deployed\n"
    assert read_json(terminal.run("status", "--json")) == []


def test_status_lists_stacks(terminal: Terminal) -> None:
    end = (datetime.now(UTC) + timedelta(days=99)).replace(second=0, microsecond=0)
    terminal.deployed(terminal.stack("one", expires_at=end.isoformat()))
    terminal.deployed(terminal.stack("two"))
    head, *rows = table(terminal.run("status"))
    assert head == ["STACK", "WHERE", "REGION", "UNITS", "RESOURCES", "EXPIRES"]
    assert {row[0]: row[-1] for row in rows} == {"one": f"{end:%Y-%m-%d %H:%M} UTC", "two": "never"}
    assert rows[0][3] == "1/1 applied"


def test_status_shows_the_others_when_one_record_can_not_be_read(terminal: Terminal) -> None:
    broken = terminal.deployed(terminal.stack("broken"))
    terminal.deployed(terminal.stack("whole"))
    with sqlite3.connect(terminal.settings.home / "ledger.db") as ledger:
        change = "UPDATE mlstacks_stacks SET plan = '{}' WHERE stack_id = ?"
        ledger.execute(change, (broken.stack_id,))
    said = terminal.run("status")
    assert {row[0]: row[3] for row in table(said)[1:]} == {
        "broken": "1/? applied",
        "whole": "1/1 applied",
    }
    assert "recorded plan of stack broken" in said.err
    found = read_json(terminal.run("status", "broken", "--json"))
    assert "written by another version" in found[0]["problem"]
    assert found[0]["units"][0]["status"] == "applied"


def test_status_of_one_stack(terminal: Terminal) -> None:
    stack = terminal.deployed(terminal.stack())
    said = terminal.run("status", "demo")
    first, *rest = said.out.splitlines()
    assert first == f"demo ({stack.stack_id}) in the cloud, eu-north-1; expires: never"
    assert rest[0].split() == ["UNIT", "STATUS", "RESOURCES", "SINCE", "RUN"]
    assert rest[1].startswith("artifact_store_s3  applied")


def test_status_as_json(terminal: Terminal) -> None:
    stack = terminal.deployed(terminal.stack())
    with_json = read_json(terminal.run("status", "demo", "--json"))
    assert with_json == read_json(terminal.run("status", "--json"))
    assert set(with_json[0]) == {
        "name", "stack_id", "target", "region", "expires", "protect", "summary", "problem",
        "resources", "units",
    }  # fmt: skip
    assert with_json[0]["stack_id"] == stack.stack_id
    assert set(with_json[0]["units"][0]) == {
        "unit", "status", "resources", "drifted", "since", "run_id",
    }  # fmt: skip


@pytest.fixture
def two_units(terminal: Terminal) -> Terminal:
    terminal.deployed(
        terminal.stack("demo", S3, ECR),
        artifact_store_s3={"bucket": "b", "region": "r", "list": ["a", "b"]},
        container_registry_ecr={"uri": "u", "region": "r"},
    )
    return terminal


def test_output_prints_everything(two_units: Terminal) -> None:
    said = two_units.run("output", "demo")
    assert "artifact_store_s3.bucket = b\n" in said.out
    assert read_json(two_units.run("output", "demo", "--json")) == {
        "artifact_store_s3.bucket": "b",
        "artifact_store_s3.list": ["a", "b"],
        "artifact_store_s3.region": "r",
        "container_registry_ecr.region": "r",
        "container_registry_ecr.uri": "u",
    }


@pytest.mark.parametrize("key", ["bucket", "artifact_store_s3.bucket"])
def test_output_of_one_key_is_the_bare_value(two_units: Terminal, key: str) -> None:
    assert two_units.run("output", "demo", "-k", key).out == "b\n"
    assert two_units.run("output", "demo", "-k", key, "--json").out == '"b"\n'


def test_output_of_a_list_is_json(two_units: Terminal) -> None:
    assert json.loads(two_units.run("output", "demo", "-k", "list").out) == ["a", "b"]


def test_output_of_an_ambiguous_key_names_the_choices(two_units: Terminal) -> None:
    said = two_units.run("output", "demo", "-k", "region")
    assert said.code == 2
    assert "artifact_store_s3.region, container_registry_ecr.region" in said.err


def test_output_of_an_unknown_key_suggests_the_nearest(two_units: Terminal) -> None:
    said = two_units.run("output", "demo", "-k", "bukcet")
    assert said.code == 2
    assert "did you mean bucket?" in said.err
    assert "list them" in two_units.run("output", "demo", "-k", "zzzzzz").err


def test_output_by_file_and_by_a_path_for_a_name(two_units: Terminal) -> None:
    path = two_units.folder / "demo.yaml"
    for argv in (["-f", path], [path]):
        assert two_units.run("output", *argv, "-k", "uri").out == "u\n"


def test_output_of_what_is_not_deployed_is_bad_input(terminal: Terminal) -> None:
    said = terminal.run("output", "-f", terminal.stack())
    assert said.code == 2
    assert "stack demo is not deployed" in said.err


def fake_terraform(folder: Path, version: str) -> Path:
    path = folder / "terraform"
    path.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}"}}\'\n')
    path.chmod(0o755)
    return path


def test_tools_names_the_terraform_and_its_source(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTACKS_TERRAFORM", str(fake_terraform(tmp_path, "1.12.3")))
    said = terminal.run("tools")
    assert said.code == 0
    assert said.out.startswith("terraform 1.12.3 (")
    found = read_json(terminal.run("tools", "--json"))
    assert (found["name"], found["version"]) == ("terraform", "1.12.3")
    assert set(found) == {"name", "version", "source", "helm"}


def test_tools_names_the_helm_and_says_how_to_get_one(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTACKS_TERRAFORM", str(fake_terraform(tmp_path, "1.12.3")))
    monkeypatch.setenv("MLSTACKS_HELM", str(tmp_path / "helm"))
    said = terminal.run("tools")
    assert said.code == 0
    assert "no such file" in said.out
    assert "tools install" in said.out
    (tmp_path / "helm").write_text("#!/bin/sh\nprintf v4.1.2\n")
    (tmp_path / "helm").chmod(0o755)
    assert "helm 4.1.2 (MLSTACKS_HELM)" in terminal.run("tools").out
    found = read_json(terminal.run("tools", "--json"))
    assert found["helm"] == {"version": "4.1.2", "source": "MLSTACKS_HELM"}


def test_tools_of_a_program_that_is_not_there_is_an_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTACKS_TERRAFORM", "/nowhere/terraform")
    said = terminal.run("tools")
    assert said.code in (1, 2)
    assert "/nowhere/terraform" in said.err
