"""The check `expiry`: a warning before a stack ends, reported by a sensor and asked by jobs."""

from __future__ import annotations

import dagster as dg
import pytest
from fake_lifecycle import entry_of
from sensor_world import BORN, CHAIN, LIFE, World

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.expiry import EXPIRY
from mlstacks_dagster.defs.sensors import EXPIRED


def test_the_warning_is_reported_once_and_taken_back(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    world.look(EXPIRED)
    assert world.events == []
    world.now = BORN + LIFE * 0.95
    world.look(EXPIRED)
    [event] = world.events
    assert event.asset_key == names.deploy_key("demo", "network")
    assert not event.passed
    assert "will be destroyed" in (event.description or "")
    world.look(EXPIRED)
    assert world.events == []
    world.deploy(run="longer", ends=BORN + 9 * LIFE)
    world.look(EXPIRED)
    assert [e.passed for e in world.events] == [True]
    world.look(EXPIRED)
    assert world.events == []


def test_a_warning_can_be_stored_by_dagster(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    world.now = BORN + LIFE * 0.95
    world.look(EXPIRED)
    for event in world.events:
        world.instance.report_runless_asset_event(event)
    key = dg.AssetCheckKey(names.deploy_key("demo", "network"), EXPIRY)
    store = world.instance.event_log_storage
    assert store.get_asset_check_execution_history(key, limit=1)


@pytest.mark.parametrize("chosen", [{EXPIRY}, {"drift"}, {EXPIRY, "drift"}])
def test_the_expiry_check_runs_alone_or_with_the_others(world: World, chosen: set[str]) -> None:
    world.deploy(ends=BORN + LIFE)
    key = names.deploy_key("demo", "network")
    checks = {dg.AssetCheckKey(key, name) for name in chosen}
    job = world.definitions().resolve_job_def("drift").get_subset(asset_check_selection=checks)
    done = job.execute_in_process(instance=world.instance)
    assert {e.check_name: e.passed for e in done.get_asset_check_evaluations()} == {
        name: name == "drift" for name in chosen
    }


def test_each_check_of_a_release_can_be_selected_alone(world: World) -> None:
    entry = entry_of("demo", CHAIN)
    assert entry.plan is not None
    units = tuple(
        u.model_copy(update={"definition": u.definition.model_copy(update={"engine": "helm"})})
        for u in entry.plan.units
    )
    plan = entry.plan.model_copy(update={"units": units})
    world.entries["demo"] = entry.model_copy(update={"plan": plan})
    drift = {dg.AssetCheckKey(names.deploy_key("demo", unit), "drift") for unit in CHAIN}
    job = world.definitions().resolve_job_def("drift").get_subset(asset_check_selection=drift)
    done = job.execute_in_process(instance=world.instance)
    assert [e.check_name for e in done.get_asset_check_evaluations()] == ["drift", "drift"]
