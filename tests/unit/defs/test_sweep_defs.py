"""Sweeps and verified teardowns in Dagster: what can be launched, and what it takes."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fake_lifecycle import entry_of

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.late import LATE, late_sensor
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.sweeps import CLEAN, REACHED, SWEEP_SCHEDULE
from mlstacks_dagster.ledger import Ledger
from mlstacks_dagster.lifecycle.models import StackSnapshot

CHAIN: dict[str, Any] = {"network": {}, "cluster": {"needs": ["network"]}}
ACCOUNTS = ("aws", "gcp:lab")
DAY = 86_400
CONFIG = {"resources": {"sweep_approval": {"config": {"plan": "h", "account": "lab"}}}}


def definitions(site: Site, *accounts: str) -> dg.Definitions:
    return build_defs(StackSnapshot(stacks=(entry_of("demo", CHAIN),), accounts=accounts), site)


def test_each_account_is_a_partition_of_the_sweep(site: Site) -> None:
    graph = definitions(site, *ACCOUNTS).resolve_asset_graph()
    for name in ("leftovers", "deleted"):
        partitions = graph.get(names.sweep_key(name)).partitions_def
        assert partitions is not None
        assert partitions.get_partition_keys() == list(ACCOUNTS)


def test_without_an_account_there_is_no_sweep(site: Site) -> None:
    built = definitions(site)
    found = set(filter(names.is_sweep, built.resolve_asset_graph().get_all_asset_keys()))
    assert found == {names.sweep_key("verified_again")}
    assert SWEEP_SCHEDULE not in {s.name for s in built.schedules or ()}


def test_the_schedule_lists_every_account_once_a_day(site: Site) -> None:
    built = definitions(site, *ACCOUNTS)
    schedule = built.resolve_schedule_def(SWEEP_SCHEDULE)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
        repository_def=built.get_repository_def(),
    )
    requests = schedule.evaluate_tick(context).run_requests or ()
    assert [r.partition_key for r in requests] == list(ACCOUNTS)
    assert len({r.run_key for r in requests}) == 2


def test_the_verification_comes_after_all_other_cleanup_of_its_stack(site: Site) -> None:
    graph = definitions(site, "aws").resolve_asset_graph()
    last = graph.get(names.cleanup_key("demo", names.VERIFIED))
    assert last.parent_keys == {names.cleanup_key("demo", unit) for unit in CHAIN}
    assert not last.child_keys


def test_deleting_needs_an_approval_that_nothing_gives_by_default(site: Site) -> None:
    job = definitions(site, "aws").resolve_job_def(names.SWEEP_DELETE_JOB)
    with pytest.raises(dg.DagsterInvalidConfigError, match="sweep_approval"):
        job.execute_in_process(partition_key="aws")
    with pytest.raises(dg.DagsterInvalidConfigError, match="approved_by"):
        job.execute_in_process(partition_key="aws", run_config=CONFIG)


def test_materializing_everything_can_not_be_launched_without_confirmations(site: Site) -> None:
    built = definitions(site, "aws")
    with pytest.raises(dg.DagsterInvalidConfigError):
        built.resolve_implicit_global_asset_job_def().execute_in_process(partition_key="aws")


def test_a_sweep_shows_its_plan_and_fails_its_check_while_something_is_left(
    site: Site, tmp_path: Path
) -> None:
    for verdict in ("clean", "leftovers", "unverified"):
        (site.settings.home / "sweep.json").write_text(json.dumps({"verdict": verdict}))
        job = definitions(site, "aws").resolve_job_def(names.SWEEP_JOB)
        with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
            done = job.execute_in_process(partition_key="aws", instance=instance)
        [event] = done.get_asset_materialization_events()
        shown = event.step_materialization_data.materialization.metadata
        assert shown["plan"].value
        assert shown["verdict"].value == verdict
        checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
        assert checks[CLEAN].passed == (verdict == "clean")
        assert checks[REACHED].passed


def test_an_account_that_no_sweep_reaches_fails_a_check(site: Site, tmp_path: Path) -> None:
    with Ledger.open(site.settings.ledger_url) as ledger:
        plan = entry_of("demo", CHAIN).plan
        assert plan is not None
        stack = ledger.register_stack(plan, target="cloud", expires_at=None)
        ledger.begin(
            stack.stack_id, "network", engine="terraform", kind="deploy", run_id="r", account="999"
        )
    (site.settings.home / "sweep.json").write_text(json.dumps({"verdict": "clean"}))
    job = definitions(site, "aws").resolve_job_def(names.SWEEP_JOB)
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        done = job.execute_in_process(partition_key="aws", instance=instance)
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert checks[CLEAN].passed
    assert not checks[REACHED].passed
    assert "aws 999" in (checks[REACHED].description or "")


class Late:
    """A stack that was destroyed two days ago, and the sensor that looks at it."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.now = self.zero = time.time() - 2 * DAY
        with Ledger.open(site.settings.ledger_url, lambda: self.now) as ledger:
            plan = entry_of("demo", CHAIN).plan
            assert plan is not None
            self.stack = ledger.register_stack(plan, target="cloud", expires_at=None)
            other = plan.model_copy(update={"stack": "live"})
            ledger.register_stack(other, target="cloud", expires_at=None)
            ledger.destroy_finished(self.stack.stack_id)
        self.built = build_defs(StackSnapshot(), site)
        self.job = self.built.resolve_job_def(names.VERIFY_JOB)
        self.sensor = late_sensor(self.job, site, lambda: self.now)

    def look(self, after: float) -> list[dg.RunRequest]:
        """Evaluate the sensor so many seconds after the stack's end."""
        self.now = self.zero + after
        with dg.build_sensor_context(self.instance, definitions=self.built) as context:
            return list(self.sensor.evaluate_tick(context).run_requests or ())

    def keys(self, after: float) -> list[str]:
        """Return the run keys without the stack's id."""
        return [str(r.run_key).removeprefix(f"{self.stack.stack_id}:") for r in self.look(after)]

    def run(self, request: dg.RunRequest, status: str) -> None:
        """Record the requested run, with that status."""
        run = self.instance.create_run_for_job(
            self.job,
            run_config=dict(request.run_config),
            status=dg.DagsterRunStatus.STARTED,
            tags=dict(request.tags),
        )
        if status == "failed":
            self.instance.report_run_failed(run)
        elif status == "ok":
            kind = dg.DagsterEventType.RUN_SUCCESS.value
            self.instance.report_dagster_event(dg.DagsterEvent(kind, run.job_name), run.run_id)


@pytest.fixture
def late(site: Site, instance: dg.DagsterInstance) -> Late:
    return Late(site, instance)


def test_late_looks_are_launched_at_their_time_and_only_for_destroyed_stacks(late: Late) -> None:
    assert late.sensor.name == LATE
    found = [late.keys(after) for after in (0, 21 * 60, DAY + 60, 8 * DAY)]
    assert found == [[], ["late:1"], ["late:2"], []]


def test_a_late_look_that_succeeded_or_runs_is_not_repeated(late: Late) -> None:
    for after, status in ((21 * 60, "ok"), (DAY + 60, "open")):
        [request] = late.look(after)
        late.run(request, status)
        assert late.look(after + 7 * 3600) == []


def test_a_late_look_that_fails_is_repeated_with_pauses_until_the_week_is_over(late: Late) -> None:
    now = 2 * DAY  # the machine's time, at which runs end
    [request] = late.look(now)
    assert request.run_key == f"{late.stack.stack_id}:late:2"
    for attempt, pause in ((2, 600), (3, 1200), (4, 2400)):
        late.run(request, "failed")
        assert late.look(now + pause - 60) == []
        [request] = late.look(now + pause + 60)
        assert request.run_key == f"{late.stack.stack_id}:late:2:{attempt}"
    assert late.look(8 * DAY) == []


def test_the_late_looks_are_there_without_any_stack_or_account(site: Site) -> None:
    """The only stack was destroyed: its file and its account's credentials may be gone."""
    built = build_defs(StackSnapshot(), site)
    found = {s.name: s.default_status for s in built.sensors or ()}
    assert found[LATE] == dg.DefaultSensorStatus.RUNNING
    assert built.resolve_job_def(names.VERIFY_JOB)
