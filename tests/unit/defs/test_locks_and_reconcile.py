from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlstacks_dagster.defs.reconcile import reconcile
from mlstacks_dagster.defs.stack_lock import alive_path, hold_run, hold_stacks, lock_path
from mlstacks_dagster.errors import StackBusyError
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.settings import Settings


def test_a_second_run_waits_says_for_whom_and_gives_up(settings: Settings) -> None:
    waited: list[str] = []

    def on_wait(stack: str, other: dict[str, str]) -> None:
        waited.append(f"{stack}:{other['run']}")

    naps: list[float] = []
    with hold_stacks(settings, ["b", "a"], "run-1", on_wait):
        holder = locks.holder(lock_path(settings, "a"))
        assert holder is not None
        assert holder["run"] == "run-1"
        hurried = Settings(home=settings.home, stacks_dir=settings.stacks_dir, lock_timeout=0.0)
        with (
            pytest.raises(StackBusyError, match="run-1"),
            hold_stacks(hurried, ["a"], "run-2", on_wait, naps.append),
        ):
            pass
    assert waited == ["a:run-1"]
    assert locks.holder(lock_path(settings, "a")) is None


def test_the_wait_ends_when_the_first_run_does(settings: Settings) -> None:
    first = hold_stacks(settings, ["a"], "run-1", lambda *_: None)
    first.__enter__()

    def nap(_: float) -> None:
        first.__exit__(None, None, None)

    with hold_stacks(settings, ["a"], "run-2", lambda *_: None, nap):
        holder = locks.holder(lock_path(settings, "a"))
        assert holder is not None
        assert holder["run"] == "run-2"


def start_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    return instance.create_run_for_job(job, status=status)


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def later() -> float:
    return (datetime.now(UTC) + timedelta(minutes=5)).timestamp()


def test_a_run_whose_process_is_gone_is_reported_failed(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run = start_run(instance, dg.DagsterRunStatus.STARTED)
    path = alive_path(settings, run.run_id)
    path.parent.mkdir()
    path.write_text("{}")
    assert reconcile(instance, settings) == [run.run_id]
    assert status(instance, run) == dg.DagsterRunStatus.FAILURE
    assert not path.exists()


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance, settings: Settings) -> None:
    run = start_run(instance, dg.DagsterRunStatus.STARTED)
    with hold_run(settings, run.run_id):
        assert reconcile(instance, settings, clock=later) == []
    assert status(instance, run) == dg.DagsterRunStatus.STARTED


def test_a_run_that_is_just_starting_gets_time(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run = start_run(instance, dg.DagsterRunStatus.STARTING)
    assert reconcile(instance, settings) == []
    assert reconcile(instance, settings, clock=later) == [run.run_id]


def test_a_dead_run_that_was_being_cancelled_counts_as_cancelled(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run = start_run(instance, dg.DagsterRunStatus.CANCELING)
    reconcile(instance, settings, clock=later)
    assert status(instance, run) == dg.DagsterRunStatus.CANCELED
