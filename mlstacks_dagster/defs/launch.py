"""Runs launched by the command line: the same jobs, assets and steps as in the UI.

The run executes in this process; Dagster's instance records it, so the UI shows it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.snap import snapshot_from_execution_plan

from mlstacks_dagster.defs import alembic_cache, names
from mlstacks_dagster.defs.checks import DRIFT
from mlstacks_dagster.defs.coordinator import TAG_ACTION, TAG_STACK
from mlstacks_dagster.defs.executor import PRELOAD
from mlstacks_dagster.defs.instance import open_instance
from mlstacks_dagster.defs.origin import remote_job_origin
from mlstacks_dagster.defs.pinned import PinnedRun, pin_path, reconstructable
from mlstacks_dagster.defs.reconcile import reconcile
from mlstacks_dagster.defs.requests import LaunchRequest
from mlstacks_dagster.defs.results import UnitResult, run_error, unit_results
from mlstacks_dagster.defs.site import LIFECYCLE, Site
from mlstacks_dagster.defs.stack_lock import hold_run
from mlstacks_dagster.defs.steps import TAG_REPLAN, TAG_TARGET
from mlstacks_dagster.engines.forkserver import warm
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.lifecycle.models import Progress, StackSnapshot
from mlstacks_dagster.lifecycle.progress import read_progress
from mlstacks_dagster.settings import Settings

__all__ = ["LaunchResult", "UnitResult", "launch"]

_JOBS = {"deploy": names.DEPLOY_JOB, "destroy": names.TEARDOWN_JOB, "drift": names.DRIFT_JOB}
_FOLLOW_SECONDS = 0.1


@dataclass(frozen=True)
class LaunchResult:
    """How a run ended; ``units`` is keyed by unit, ``error`` is what no unit can be blamed for.

    ``verified`` tells of the teardown's verification; None when it wasn't part of the run.
    """

    run_id: str
    success: bool
    cancelled: bool
    units: Mapping[str, UnitResult] = field(default_factory=dict)
    error: str = ""
    verified: UnitResult | None = None


def launch(
    request: LaunchRequest,
    settings: Settings,
    *,
    lifecycle: str = LIFECYCLE,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_log: Callable[[str], None] = lambda _: None,
) -> LaunchResult:
    """Run ``request`` and return how it went; SIGINT and SIGTERM cancel the run.

    ``on_progress`` and ``on_log`` are called from another thread. Waits when another run works
    on the stack. Raises InputError for an unknown unit or a stack without a plan.
    """
    units = _units(request)
    run_id = str(uuid.uuid4())
    pin = pin_path(settings, run_id)
    warm([PRELOAD])
    alembic_cache.install()
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(settings))
        reconcile(instance, settings)
        stack.enter_context(hold_run(settings, run_id))
        stack.callback(pin.unlink, missing_ok=True)
        snapshot = StackSnapshot(stacks=(request.entry,))
        PinnedRun.of(snapshot, Site(settings, lifecycle), [_JOBS[request.kind]]).write(pin)
        progress = settings.runs_dir / f"{run_id}.progress.jsonl"
        stack.enter_context(_follow(progress, on_progress, on_log))
        run = _execute(instance, request, units, run_id, pin)
        asked = (*units, names.VERIFIED) if _is_whole_teardown(request) else units
        results = unit_results(instance, run_id, request.entry.name, asked, _JOBS[request.kind])
        verified = results.pop(names.VERIFIED, None)
        return LaunchResult(
            run_id=run_id,
            success=run.status == dg.DagsterRunStatus.SUCCESS,
            cancelled=run.status == dg.DagsterRunStatus.CANCELED,
            units=results,
            error=run_error(instance, run_id),
            verified=verified,
        )


def _units(request: LaunchRequest) -> tuple[str, ...]:
    plan = request.entry.plan
    if plan is None:
        raise InputError("\n".join(request.entry.problems) or f"no stack {request.entry.name}")
    known = tuple(unit.name for unit in plan.units)
    unknown = [name for name in request.units or () if name not in known]
    if unknown:
        raise InputError(
            f"stack {plan.stack} has no unit {', '.join(unknown)}",
            remedy=f"its units are: {', '.join(known)}",
        )
    return known if request.units is None else request.units


def _execute(
    instance: dg.DagsterInstance,
    request: LaunchRequest,
    units: tuple[str, ...],
    run_id: str,
    pin: Path,
) -> dg.DagsterRun:
    """Create the run, execute it here, and return it as it ended."""
    name = _JOBS[request.kind]
    assets, checks = _selection(request, units)
    job = reconstructable(pin, name)
    subset = job.get_subset(asset_selection=assets, asset_check_selection=checks)
    job_def = subset.get_definition()
    plan = create_execution_plan(job_def, run_config := _run_config(request))
    run = instance.create_run(
        job_name=name,
        run_id=run_id,
        run_config=run_config,
        status=None,
        tags=_tags(request),
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=snapshot_from_execution_plan(plan, job_def.get_job_snapshot_id()),
        job_snapshot=job_def.get_job_snapshot(),
        parent_job_snapshot=job_def.get_parent_job_snapshot(),
        asset_selection=assets,
        asset_check_selection=checks,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=remote_job_origin(name),
        job_code_origin=job.get_python_origin(),
        asset_graph=job_def.asset_layer.asset_graph,
    )
    try:
        execute_run(subset, run, instance)
    finally:
        ended = instance.get_run_by_id(run_id) or run
        if not ended.is_finished:
            ended = _closed(instance, ended)
    return ended


def _closed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """Close the record of a run that was interrupted before its first step."""
    instance.report_run_canceled(run, "The launching process was interrupted.")
    return instance.get_run_by_id(run.run_id) or run


def _selection(
    request: LaunchRequest, units: tuple[str, ...]
) -> tuple[frozenset[dg.AssetKey] | None, frozenset[dg.AssetCheckKey]]:
    """Return the run's assets and checks; without the second, Dagster adds all checks."""
    stack = request.entry.name
    if request.kind == "drift":
        keys = (names.deploy_key(stack, unit) for unit in units)
        return None, frozenset(dg.AssetCheckKey(key, DRIFT) for key in keys)
    key = names.deploy_key if request.kind == "deploy" else names.cleanup_key
    last = (names.VERIFIED,) if _is_whole_teardown(request) else ()
    return frozenset(key(stack, unit) for unit in (*units, *last)), frozenset()


def _is_whole_teardown(request: LaunchRequest) -> bool:
    """Tell whether the run destroys the whole stack, so that its end can be verified."""
    return request.kind == "destroy" and request.units is None


def _run_config(request: LaunchRequest) -> dict[str, Any]:
    """Return the run's configuration: Dagster's console log would garble our own output."""
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if request.kind == "destroy":
        confirm = {"confirm": request.entry.name, "reason": request.reason}
        config["resources"] = {"teardown": {"config": confirm}}
    return config


def _tags(request: LaunchRequest) -> dict[str, str]:
    tags = {TAG_STACK: request.entry.name, TAG_ACTION: _JOBS[request.kind]}
    if request.target:
        tags[TAG_TARGET] = request.target
    if request.replan:
        tags[TAG_REPLAN] = "true"
    return tags


@contextmanager
def _follow(
    path: Path, on_progress: Callable[[Progress], None], on_log: Callable[[str], None]
) -> Iterator[None]:
    """Pass on what the run's processes append to the progress file.

    An entry without a unit is about the run itself.
    """
    done = threading.Event()

    def follow() -> None:
        offset, last = 0, False
        while not last:
            last = done.wait(_FOLLOW_SECONDS)
            entries, offset = read_progress(path, offset)
            for entry in entries:
                if entry.unit:
                    on_progress(entry)
                else:
                    on_log(entry.phase)

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink(missing_ok=True)
