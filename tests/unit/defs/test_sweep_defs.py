"""Sweeps and verified teardowns in Dagster: what can be launched, and what it takes."""

from __future__ import annotations

import datetime
import json
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
    assert not any(map(names.is_sweep, built.resolve_asset_graph().get_all_asset_keys()))
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


def test_late_looks_are_launched_once_each_and_only_for_destroyed_stacks(site: Site) -> None:
    day = 86_400
    now = [1_900_000_000.0]
    with Ledger.open(site.settings.ledger_url, lambda: now[0]) as ledger:
        plan = entry_of("demo", CHAIN).plan
        assert plan is not None
        stack = ledger.register_stack(plan, target="cloud", expires_at=None)
        other = plan.model_copy(update={"stack": "live"})
        ledger.register_stack(other, target="cloud", expires_at=None)
        ledger.destroy_finished(stack.stack_id)
        built = definitions(site, "aws")
        sensor = late_sensor(built.resolve_job_def(names.VERIFY_JOB), site, lambda: now[0])
        keys = []
        for later in (0, 21 * 60, day + 60, 8 * day):
            now[0] = 1_900_000_000.0 + later
            with dg.build_sensor_context(definitions=built) as context:
                data = sensor.evaluate_tick(context)
            keys.append([r.run_key for r in data.run_requests or ()])
    first, second = (f"{stack.stack_id}:late:{n}" for n in (1, 2))
    assert keys == [[], [first], [first, second], []]
    assert sensor.name == LATE
