"""How sensors launch teardowns: once, confirmed, one after the other, over restarts."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from fake_lifecycle import entry_of, journal
from sensor_world import BORN, CHAIN, LIFE, Status, World, at_end_of, expired, held_alive

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.coordinator import TAG_STACK
from mlstacks_dagster.defs.instance import DAGSTER_YAML, open_instance
from mlstacks_dagster.defs.origin import remote_job_origin
from mlstacks_dagster.defs.sensors import EXPIRED, FAILED, REMOVED
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.teardown_runs import TAG_REASON
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StackOptions


def test_an_end_that_has_come_launches_the_stack_s_teardown_confirmed_and_tagged(
    world: World,
) -> None:
    stack = world.deploy(ends=BORN + LIFE)
    world.deploy("other", ends=BORN + 10 * LIFE)
    [request] = expired(world)
    assert request.run_key == f"{stack.stack_id}:1:1"
    assert names.confirmed_stack(request.run_config) == "demo"
    assert request.tags[TAG_REASON] == "expired"
    keys = set(request.asset_selection or ())
    assert keys == {names.cleanup_key("demo", unit) for unit in CHAIN}


def test_the_requested_run_destroys_that_stack_only(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    world.deploy("other")
    marks = world.site.settings.home / "deployed"
    marks.mkdir()
    for name in ("demo", "other"):
        for unit in CHAIN:
            (marks / f"{name}.{unit}").touch()
    [request] = expired(world)
    done = (
        world.definitions()
        .resolve_job_def("teardown")
        .get_subset(asset_selection=set(request.asset_selection or ()))
        .execute_in_process(
            run_config=dict(request.run_config), tags=dict(request.tags), instance=world.instance
        )
    )
    assert done.success
    assert {(e["stack"], e["unit"]) for e in journal(world.site.settings)} == {
        ("demo", "network"),
        ("demo", "bucket"),
    }


def test_a_daemon_that_restarts_asks_for_the_same_key_again(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    [first] = expired(world)
    [again] = world.look(EXPIRED)
    assert again.run_key == first.run_key


@pytest.mark.parametrize("status", [Status.STARTED, Status.QUEUED])
def test_while_a_run_works_on_the_stack_nothing_is_launched(world: World, status: Status) -> None:
    world.deploy(ends=BORN + LIFE)
    job = world.definitions().resolve_job_def("deploy")
    run = world.instance.create_run_for_job(
        job,
        status=status,
        tags={TAG_STACK: "a,demo"},
        remote_job_origin=remote_job_origin("deploy"),
    )
    assert expired(world) == []
    assert "waiting for the run" in world.notes
    world.instance.report_run_failed(run)
    assert world.look(EXPIRED)


def test_a_run_whose_process_died_does_not_block_for_ever(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    [request] = expired(world)
    run = world.record_run(Status.STARTED, request)
    assert world.look(EXPIRED) == []
    world.now = at_end_of(world, run) + 300
    world.look(EXPIRED)
    found = world.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == Status.FAILURE


def test_a_teardown_in_progress_is_seen_by_a_daemon_that_starts_anew(
    site: Site, tmp_path: Path
) -> None:
    """Whatever of the daemon's memory is lost: cursors are kept by Dagster, or begin anew."""
    folder = str(tmp_path / "instance")
    Path(folder).mkdir()
    with dg.instance_for_test(temp_dir=folder) as instance:
        world = World(site, instance)
        world.deploy(ends=BORN + LIFE)
        [request] = expired(world)
        run = world.record_run(Status.STARTED, request)
        world.ledger.close()
    for cursor in (world.cursors[EXPIRED], None):
        with dg.instance_for_test(temp_dir=folder) as instance:
            again = World(site, instance)
            again.entries, again.now = world.entries, world.now + 30
            again.cursors[EXPIRED] = cursor
            with held_alive(site.settings, run.run_id):
                for _ in range(3):
                    assert again.look(EXPIRED) == []
                    again.now += 30
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            assert found.status == Status.STARTED
            assert "waiting for the run" in again.notes
            again.ledger.close()


def expired_and_removed(world: World, *looks: str) -> list[list[dg.RunRequest]]:
    """Let a stack's end come and its file go, then look with each sensor in turn."""
    (world.site.settings.stacks_dir / "part.yaml").write_text("spec_type: component\n")
    world.deploy(ends=BORN + LIFE)
    world.now = BORN + LIFE
    for _ in range(10):
        world.look(EXPIRED)
        world.look(REMOVED)
        world.now += 60
    found = []
    for sensor in looks:
        found.append(world.look(sensor))
        for request in found[-1]:
            job = world.definitions().resolve_job_def("teardown")
            world.instance.create_run_for_job(
                job,
                run_config=dict(request.run_config),
                status=Status.QUEUED,
                tags=dict(request.tags),
                remote_job_origin=remote_job_origin("teardown"),
            )
    return found


@pytest.mark.parametrize("order", [(EXPIRED, REMOVED), (REMOVED, EXPIRED)])
def test_two_sensors_that_are_due_for_one_stack_launch_one_teardown(
    world: World, order: tuple[str, str]
) -> None:
    """Dagster keeps run keys a sensor: it is the first one's run that holds the second back."""
    first, second = expired_and_removed(world, *order)
    assert (len(first), second) == (1, [])
    assert "waiting for the run" in world.notes


def test_sensors_are_evaluated_one_after_the_other(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert instance.get_settings("sensors")["use_threads"] is False
    shown = Path(__file__).parents[3] / "dagster.yaml"
    for text in (DAGSTER_YAML % {"storage": "x"}, shown.read_text()):
        assert yaml.safe_load(text)["sensors"] == {"use_threads": False}, "pinned, not a default"


@pytest.mark.parametrize("status", [Status.FAILURE, Status.SUCCESS])
def test_a_teardown_that_left_the_stack_is_launched_again_later(
    world: World, status: Status
) -> None:
    stack = world.deploy(ends=BORN + LIFE)
    [request] = expired(world)
    ended = at_end_of(world, world.record_run(status, request))
    world.now = ended + 60
    assert world.look(EXPIRED) == []
    assert "waiting before the next" in world.notes
    world.now = ended + 700
    [second] = world.look(EXPIRED)
    assert second.run_key == f"{stack.stack_id}:1:2"


def test_a_cancelled_teardown_waits_longest(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    [request] = expired(world)
    ended = at_end_of(world, world.record_run(Status.CANCELED, request))
    world.now = ended + 5 * 3600
    assert world.look(EXPIRED) == []
    world.now = ended + 6 * 3600
    assert world.look(EXPIRED)


def test_a_new_deploy_begins_a_new_count(world: World) -> None:
    stack = world.deploy(ends=BORN + LIFE)
    [request] = expired(world)
    world.record_run(Status.FAILURE, request)
    world.deploy(run="second", ends=BORN + LIFE)
    world.look(EXPIRED)
    [after] = world.look(EXPIRED)
    assert after.run_key == f"{stack.stack_id}:2:1"


def test_a_stack_that_is_gone_is_left_alone(world: World) -> None:
    stack = world.deploy(ends=BORN + LIFE)
    assert expired(world)
    for unit in CHAIN:
        begun = world.ledger.begin(
            stack.stack_id, unit, engine="terraform", kind="destroy", run_id="x"
        )
        world.ledger.finish(begun.id, "ok", summary={})
    assert world.ledger.destroy_finished(stack.stack_id)
    assert world.look(EXPIRED) == []


def test_a_protected_stack_is_kept_and_said_to_be(world: World) -> None:
    world.deploy(ends=BORN + LIFE, protect=True)
    assert expired(world) == []
    assert "protected" in world.notes


def test_a_file_that_protects_the_stack_counts_before_it_is_deployed(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    entry = world.entries["demo"]
    assert entry.plan is not None
    plan = entry.plan.model_copy(update={"options": StackOptions(protect=True)})
    world.entries["demo"] = entry.model_copy(update={"plan": plan})
    assert expired(world) == []
    assert "protected" in world.notes


def test_a_stack_that_the_code_location_does_not_know_makes_it_reload(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    known = world.entries.pop("demo")
    world.entries["other"] = entry_of("other", CHAIN)
    assert expired(world) == []
    assert world.reloads == [world.site.settings]
    world.entries["demo"] = known
    assert world.look(EXPIRED)


def test_a_unit_that_the_code_location_does_not_know_makes_it_reload(world: World) -> None:
    stack = world.deploy(ends=BORN + LIFE)
    world.ledger.begin(stack.stack_id, "new", engine="helm", kind="deploy", run_id="x")
    assert expired(world) == []
    assert len(world.reloads) == 1


def test_sensors_work_without_any_stack(world: World) -> None:
    assert world.look(EXPIRED) == []
    assert world.look(FAILED) == []
    assert world.look(REMOVED) == []
