"""Sensors and the schedule: a ledger, an instance, a clock that is set, and a fake lifecycle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from fake_lifecycle import entry_of, journal

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.coordinator import TAG_STACK
from mlstacks_dagster.defs.expiry import EXPIRY
from mlstacks_dagster.defs.instance import DAGSTER_YAML, open_instance
from mlstacks_dagster.defs.late import LATE
from mlstacks_dagster.defs.origin import remote_job_origin
from mlstacks_dagster.defs.schedules import DRIFT_SCHEDULE
from mlstacks_dagster.defs.sensors import EXPIRED, FAILED, IDLE, REMOVED, TeardownSensors
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.stack_lock import alive_path
from mlstacks_dagster.defs.teardown_runs import TAG_REASON
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StackOptions

CHAIN: dict[str, dict[str, Any]] = {"network": {}, "bucket": {"needs": ["network"]}}
BORN = 1_000_000
LIFE = 100_000
Status = dg.DagsterRunStatus


class World:
    """A ledger with stacks, the code location's sensors, and a clock."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.site = site
        self.instance = instance
        self.now = float(BORN)
        self.set_by = float(BORN) - 1e6  # what the clock was set to beside the uptime
        self.entries: dict[str, StackEntry] = {}
        self.ledger = Ledger.open(site.settings.ledger_url, clock=lambda: self.now)
        self.cursors: dict[str, str | None] = {}
        self.events: list[dg.AssetCheckEvaluation] = []
        self.reloads: list[Settings] = []
        self.notes = ""
        self.used_by = ""

    def deploy(
        self, name: str = "demo", *, run: str = "", ends: int | None = None, **options: Any
    ) -> StackRecord:
        """Record a deploy of the stack, by a run with that id."""
        entry = entry_of(name, CHAIN, self.site.settings.stacks_dir / f"{name}.yaml")
        assert entry.plan is not None
        plan = entry.plan.model_copy(update={"options": StackOptions(**options)})
        self.entries.setdefault(name, entry)
        stack = self.ledger.register_stack(plan, target="cloud", expires_at=ends)
        self.ledger.bump_generation(stack.stack_id, run or f"deploy-{len(self.entries)}")
        for unit in plan.units:
            begun = self.ledger.begin(
                stack.stack_id, unit.name, engine="terraform", kind="deploy", run_id=run or "r"
            )
            self.ledger.finish(begun.id, "ok", summary={})
        found = self.ledger.stack(stack.stack_id)
        assert found is not None
        return found

    def definitions(self) -> dg.Definitions:
        return build_defs(StackSnapshot(stacks=tuple(self.entries.values())), self.site)

    def look(self, sensor: str) -> list[dg.RunRequest]:
        """Evaluate a sensor as the daemon does; return what it requests."""
        definitions = self.definitions()
        keys = {
            name: [names.cleanup_key(name, unit.name) for unit in entry.plan.units]
            for name, entry in self.entries.items()
            if entry.plan
        }
        made = TeardownSensors(
            snapshot=StackSnapshot(stacks=tuple(self.entries.values())),
            site=self.site,
            job=next((j for j in definitions.jobs or () if j.name == "teardown"), None),  # type: ignore[arg-type]
            keys=keys,
            clock=lambda: self.now,
            uptime=lambda: self.now - self.set_by,
            reload=self._reload,
            use=self._use,
        )
        found = next(s for s in made.all() if s.name == sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=definitions.get_repository_def(),
        )
        result = found(context)
        assert isinstance(result, dg.SensorResult)
        self.cursors[sensor] = result.cursor
        self.events = list(result.asset_events)  # type: ignore[arg-type]
        self.notes = (result.skip_reason and result.skip_reason.skip_message) or ""
        return list(result.run_requests or ())

    def _use(self, stack: StackRecord, _settings: Settings, _ledger: Ledger, _since: float) -> str:
        if self.used_by == "nobody knows":
            raise MlstacksError(f"the cluster of {stack.name} doesn't answer")
        return self.used_by

    def _reload(self, settings: Settings) -> bool:
        self.reloads.append(settings)
        return True

    def record_run(
        self, status: Status, request: dg.RunRequest | None = None, run_id: str | None = None
    ) -> dg.DagsterRun:
        """Record a run; of a request, or of a deploy."""
        job = self.definitions().resolve_job_def("teardown" if request else "deploy")
        run = self.instance.create_run_for_job(
            job,
            run_id=run_id,
            run_config=dict(request.run_config) if request else {},
            status=Status.STARTED,
            tags=dict(request.tags) if request else {TAG_STACK: "demo"},
        )
        if status == Status.SUCCESS:
            self.instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
            )
        elif status == Status.FAILURE:
            self.instance.report_run_failed(run)
        elif status == Status.CANCELED:
            self.instance.report_run_canceled(run)
        return run


@pytest.fixture
def world(site: Site, instance: dg.DagsterInstance) -> Iterator[World]:
    made = World(site, instance)
    yield made
    made.ledger.close()


def expired(world: World) -> list[dg.RunRequest]:
    """Let the stack's end pass and be seen twice."""
    world.now = BORN + LIFE
    assert world.look(EXPIRED) == []
    world.now += 30
    return world.look(EXPIRED)


def at_end_of(world: World, run: dg.DagsterRun) -> float:
    record = world.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    return record.end_time or record.update_timestamp.timestamp()


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


def test_one_evaluation_with_a_wrong_clock_destroys_nothing(world: World) -> None:
    world.deploy(ends=BORN + LIFE)
    world.now = BORN + 50 * LIFE
    assert world.look(EXPIRED) == []
    world.now = BORN + 1
    assert world.look(EXPIRED) == []
    assert expired(world)


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


def held_alive(settings: Settings, run_id: str) -> AbstractContextManager[None]:
    """Hold what a run's process holds while it lives."""
    path = alive_path(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return locks.hold(path, {}, timeout=1)


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


def test_which_sensors_run_by_themselves(world: World) -> None:
    world.deploy()
    found = {s.name: s.default_status for s in world.definitions().sensors or ()}
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    assert found == {
        EXPIRED: running,
        FAILED: running,
        REMOVED: running,
        IDLE: stopped,
        LATE: running,
    }


def test_the_schedule_compares_each_deployed_stack_in_a_run_of_its_own(world: World) -> None:
    world.deploy()
    world.deploy("other")
    world.entries["idle"] = entry_of("idle", CHAIN)
    definitions = world.definitions()
    schedule = definitions.resolve_schedule_def(DRIFT_SCHEDULE)
    context = dg.build_schedule_context(
        instance=world.instance,
        repository_def=definitions.get_repository_def(),
        scheduled_execution_time=datetime(2026, 1, 1, 3, 30, tzinfo=UTC),
    )
    requests = schedule.evaluate_tick(context).run_requests or []
    assert {r.tags[TAG_STACK] for r in requests} == {"demo", "other"}
    for request in requests:
        keys = request.asset_check_keys or ()
        assert {k.asset_key.path[0] for k in keys} == {request.tags[TAG_STACK]}
        assert {k.name for k in keys} == {"drift", EXPIRY}
        assert not request.asset_selection


def test_a_pinned_run_has_neither_sensors_nor_schedules(site: Site) -> None:
    snapshot = StackSnapshot(stacks=(entry_of("demo", CHAIN),))
    definitions = build_defs(snapshot, site, ["deploy"])
    assert not definitions.sensors
    assert not definitions.schedules


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


def test_a_stack_in_a_sandbox_that_is_stopped_is_left_alone(world: World) -> None:
    entry = entry_of("demo", CHAIN)
    assert entry.plan is not None
    world.entries["demo"] = entry
    world.ledger.register_stack(
        entry.plan, target="sandbox", sandbox_id="gone", expires_at=BORN + LIFE
    )
    assert expired(world) == []
    assert world.notes == "nothing to tear down"


def test_building_definitions_does_not_load_the_lifecycle() -> None:
    """The command line builds them for each run; the lifecycle costs a quarter of a second."""
    program = "import sys, mlstacks_dagster.defs.build; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "mlstacks_dagster.lifecycle.api" not in done.stdout.split()
