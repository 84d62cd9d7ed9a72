"""All stacks of a folder and of the ledger, whatever state their files are in."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
import yaml

from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.lifecycle import snapshot
from mlstacks_dagster.lifecycle.models import StackEntry
from mlstacks_dagster.lifecycle.snapshot import merge_retired, read_stacks
from mlstacks_dagster.settings import Settings, data_root
from tests.unit.ledger.helpers import make_plan
from tests.unit.lifecycle.world import World


def write_stack(world: World, name: str, file: str = "", **more: object) -> Path:
    path = world.settings.stacks_dir / (file or f"{name}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    component = {
        "spec_version": 1,
        "spec_type": "component",
        "name": "store",
        "provider": "aws",
        "component_type": "artifact_store",
        "component_flavor": "s3",
        **more,
    }
    stack = {
        "spec_version": 1,
        "spec_type": "stack",
        "name": name,
        "provider": "aws",
        "default_region": "eu-north-1",
        "components": ["store.yaml"],
    }
    (path.parent / "store.yaml").write_text(yaml.safe_dump(component))
    path.write_text(yaml.safe_dump(stack))
    return path


def entries(world: World) -> dict[str, StackEntry]:
    return {entry.name: entry for entry in read_stacks(world.settings).stacks}


def test_a_file_becomes_an_entry_and_component_files_are_passed_over(world: World) -> None:
    path = write_stack(world, "one")
    inner = write_stack(world, "two", "folder/stack.yml")
    found = entries(world)
    assert set(found) == {"one", "two"}
    assert (found["one"].file, found["two"].file) == (str(path), str(inner))
    assert found["one"].plan is not None
    assert [u.name for u in found["one"].plan.units] == ["artifact_store_s3"]
    assert found["one"].stack_id is None


def test_no_folder_means_no_stacks(world: World) -> None:
    world.settings.stacks_dir.rmdir()
    assert entries(world) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01",
        b"\xff\xfe\xff",
        b"name: [",
        b"name: broken\nspec_type: stack\n",
        b"[" * 5000,
        b"a: " + b"{a: " * 3000,
        b"- " * 3000 + b"x",
        b"? " * 3000,
        b"a: &a [*a]",
        b"spec_type: [1]\nname: {}\n",
        b"spec_version: 1\nspec_type: stack\nname: 1\n",
    ],
)
def test_a_broken_file_is_an_entry_with_its_problem_and_takes_nothing_else_down(
    world: World, content: bytes
) -> None:
    write_stack(world, "good")
    (world.settings.stacks_dir / "broken.yaml").write_bytes(content)
    found = entries(world)
    assert set(found) == {"good", "broken"}
    assert found["good"].problems == ()
    assert found["broken"].plan is None
    assert "broken.yaml" in found["broken"].problems[0]


def test_folders_and_dead_links_that_look_like_files_are_problems(world: World) -> None:
    (world.settings.stacks_dir / "folder.yaml").mkdir()
    (world.settings.stacks_dir / "link.yaml").symlink_to("nowhere.yaml")
    found = entries(world)
    assert set(found) == {"folder", "link"}
    assert all(entry.problems for entry in found.values())


@pytest.mark.parametrize("where", ["x" * 5000 + ".yaml", "locked/store.yaml"], ids=len)
def test_a_component_that_can_t_be_looked_up_is_a_problem_at_its_line(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    write_stack(world, "good")
    bad = write_stack(world, "bad", "folder/bad.yaml")
    bad.write_text(bad.read_text().replace("store.yaml", where))
    refuse_locked_folders(monkeypatch)
    found = entries(world)
    assert set(found) == {"good", "bad"}
    assert found["good"].problems == ()
    (problem,) = found["bad"].problems
    assert problem.startswith(f"{bad}:2: component file ")
    assert "can't be looked up" in problem
    keys = assets(world)
    assert {("good", "artifact_store_s3"), ("invalid_stacks", "bad")} <= keys
    assert ("bad", "artifact_store_s3") not in keys


def test_an_error_that_nobody_foresaw_spoils_its_own_file_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stack(world, "good")
    write_stack(world, "bad", "folder/bad.yaml")
    real = snapshot.load_plan

    def load(path: Path, settings: Settings) -> object:
        if path.name == "bad.yaml":
            raise ZeroDivisionError("boom")
        return real(path, settings)

    monkeypatch.setattr(snapshot, "load_plan", load)
    found = entries(world)
    assert found["good"].problems == ()
    assert "can't be read: ZeroDivisionError: boom" in found["bad"].problems[0]


def test_a_name_that_can_t_be_used_is_not_shown_as_one(world: World) -> None:
    write_stack(world, "a" * 5000, "long.yaml")
    assert set(entries(world)) == {"long"}
    assert ("invalid_stacks", "long") in assets(world)


def refuse_locked_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for folders named ``locked`` as the kernel does to those who may not search them."""
    real = Path.stat

    def stat(path: Path, **options: bool) -> object:
        if "locked" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)


def assets(world: World) -> set[tuple[str, ...]]:
    """Return the keys of the assets that Dagster is given."""
    definitions = build_defs(read_stacks(world.settings), Site(world.settings))
    return {tuple(key.path) for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def test_two_files_of_one_name_are_a_problem_that_names_both(world: World) -> None:
    write_stack(world, "one", "a.yaml")
    write_stack(world, "one", "b.yaml")
    (entry,) = read_stacks(world.settings).stacks
    (problem,) = entry.problems
    assert "a.yaml" in problem
    assert "b.yaml" in problem


def test_a_deployed_stack_stays_when_its_file_is_gone(world: World) -> None:
    world.deploy("network")
    entry = entries(world)["demo"]
    assert (entry.stack_id, entry.target) == (world.stack().stack_id, "cloud")
    assert entry.plan is not None
    assert [u.name for u in entry.plan.units] == ["network", "cluster", "bucket"]


def test_a_deployed_stack_stays_when_its_file_is_broken(world: World) -> None:
    world.deploy("network")
    write_stack(world, "demo").write_text("name: demo\nspec_type: stack\n")
    entry = entries(world)["demo"]
    assert entry.problems
    assert entry.plan is not None
    assert entry.stack_id == world.stack().stack_id


def test_units_that_are_deployed_but_not_asked_for_are_retired(world: World) -> None:
    world.deploy("network", "cluster")
    world.destroy("cluster")
    write_stack(world, "demo")
    entry = entries(world)["demo"]
    assert entry.retired == ("network",)
    assert entry.plan is not None
    assert [u.name for u in entry.plan.units] == ["artifact_store_s3", "network"]


def test_retired_units_depend_only_on_what_is_there() -> None:
    deployed = make_plan("demo", "network", "cluster", "tracker")
    units = [
        u.model_copy(update={"depends_on": ("network", "cluster")}) if u.name == "tracker" else u
        for u in deployed.units
    ]
    deployed = deployed.model_copy(update={"units": tuple(units)})
    merged, retired = merge_retired(make_plan("demo", "network"), deployed, {"network", "tracker"})
    assert retired == ("tracker",)
    assert merged.unit("tracker").depends_on == ("network",)
    assert [u.name for u in merged.units] == ["network", "tracker"]


def test_values_of_the_environment_are_sealed(world: World) -> None:
    write_stack(world, "one", metadata={"environment_variables": {"MY_TOKEN": "letmein"}})
    snapshot = read_stacks(world.settings)
    assert snapshot.stacks[0].plan is not None
    assert snapshot.stacks[0].plan.units[0].environment
    assert "letmein" not in snapshot.model_dump_json()


def test_a_record_that_can_not_be_read_spoils_only_its_own_stack(world: World) -> None:
    world.deploy("network")
    with world.ledger() as ledger:
        ledger.register_stack(world.plan("other"), target="cloud", sandbox_id=None, expires_at=None)
    write_stack(world, "file")
    with sqlite3.connect(world.settings.home / "ledger.db") as database:
        database.execute("UPDATE mlstacks_stacks SET plan = '{}' WHERE name = 'other'")
    found = entries(world)
    assert set(found) == {"demo", "other", "file"}
    assert "written by another version" in found["other"].problems[0]
    assert found["other"].stack_id is not None
    assert found["demo"].stack_id is not None
    assert not found["demo"].problems


def test_a_ledger_that_can_not_be_opened_is_an_entry_of_its_own(world: World) -> None:
    write_stack(world, "file")
    world.with_settings(ledger_url=f"sqlite:///{world.settings.stacks_dir}")
    found = entries(world)
    assert found["file"].problems == ()
    assert found["ledger"].problems


def test_the_examples_are_all_valid(world: World) -> None:
    world.with_settings(stacks_dir=data_root() / "examples")
    found = read_stacks(world.settings).stacks
    assert found
    assert [e.problems for e in found] == [()] * len(found)
