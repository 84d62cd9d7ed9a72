"""Why sensors launch a teardown: a failed deploy, a removed file, an idle cluster; and when not."""

from __future__ import annotations

import dagster as dg
import pytest
from fake_lifecycle import entry_of
from sensor_world import BORN, CHAIN, LIFE, Status, World, expired

from mlstacks_dagster.defs.sensors import EXPIRED, FAILED, IDLE, REMOVED
from mlstacks_dagster.defs.teardown_runs import TAG_REASON


def test_one_evaluation_with_a_wrong_clock_destroys_nothing(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    world.now = BORN + 50 * LIFE
    assert world.look(EXPIRED) == []
    world.now = BORN + 1
    assert world.look(EXPIRED) == []
    assert expired(world)


def failed_first_deploy(world: World, status: Status = Status.FAILURE) -> dg.DagsterRun:
    world.entries["demo"] = entry_of("demo", CHAIN)
    run = world.record_run(status)
    world.deploy(run=run.run_id, on_failure="destroy")
    return run


def test_a_failed_first_deploy_is_torn_down_if_asked_for(world: World) -> None:
    run = failed_first_deploy(world)
    [request] = world.look(FAILED)
    assert request.tags[TAG_REASON] == "deploy_failed"
    assert run.run_id in request.run_config["resources"]["teardown"]["config"]["reason"]
    assert len(world.look(FAILED)) == 1, "as long as Dagster has not launched it"


@pytest.mark.parametrize("status", [Status.CANCELED, Status.SUCCESS, Status.STARTED])
def test_a_deploy_that_did_not_fail_is_kept(world: World, status: Status) -> None:
    failed_first_deploy(world, status)
    assert world.look(FAILED) == []


def test_a_failed_update_of_a_stack_in_use_destroys_nothing(world: World) -> None:
    failed_first_deploy(world, Status.SUCCESS)
    run = world.record_run(Status.FAILURE)
    world.deploy(run=run.run_id, on_failure="destroy")
    assert world.look(FAILED) == []


def test_a_removed_file_must_be_gone_for_ten_minutes(world: World) -> None:
    folder = world.site.settings.stacks_dir
    world.deploy()
    (folder / "part.yaml").write_text("spec_type: component\n")
    for _ in range(10):
        assert world.look(REMOVED) == []
        world.now += 60
    [request] = world.look(REMOVED)
    assert request.tags[TAG_REASON] == "file_removed"
    (folder / "demo.yaml").write_text("spec_type: stack\nname: demo\n")
    assert world.look(REMOVED) == []


def test_an_idle_cluster_is_torn_down_after_being_idle_all_the_time(world: World) -> None:
    hours = world.site.settings.idle_after
    world.deploy()
    assert world.look(IDLE) == []
    for used_by in ("pod ml/train", "nobody knows"):
        assert not idle_for(world, hours - 600)
        world.now += 600
        world.used_by = used_by
        assert world.look(IDLE) == [], "it is in use, or may be"
        world.used_by = ""
        assert world.look(IDLE) == [], "its idle time begins anew"
    assert not idle_for(world, hours - 600)
    world.now += 600
    [request] = world.look(IDLE)
    assert request.tags[TAG_REASON] == "idle"


def idle_for(world: World, seconds: float) -> list[dg.RunRequest]:
    found = []
    for _ in range(int(seconds // 600)):
        world.now += 600
        found += world.look(IDLE)
    return found


def test_time_in_which_nobody_looked_is_not_idle_time(world: World) -> None:
    world.deploy()
    assert world.look(IDLE) == []
    world.now += world.site.settings.idle_after
    assert world.look(IDLE) == [], "the machine slept, or the daemon did not run"


def test_a_clock_that_jumps_tears_nothing_down(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    assert world.look(EXPIRED) == []
    world.now += LIFE
    world.set_by += LIFE - 30
    for _ in range(5):
        world.now += 30
        assert world.look(EXPIRED) == [], "its clock was set a moment ago"
    world.now += 600
    assert len(world.look(EXPIRED)) == 1, "it stayed so: the end has come"


def test_a_stack_in_a_sandbox_that_is_stopped_is_left_alone(world: World) -> None:
    entry = entry_of("demo", CHAIN)
    assert entry.plan is not None
    world.entries["demo"] = entry
    world.ledger.register_stack(
        entry.plan, target="sandbox", sandbox_id="gone", expires_at=BORN + LIFE
    )
    assert expired(world) == []
    assert world.notes == "nothing to tear down"
