"""How a run's units ended, read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.checks import DRIFT

__all__ = ["Outcome", "UnitResult", "run_error", "unit_results"]

Outcome = Literal[
    "applied",
    "unchanged",
    "destroyed",
    "never_deployed",
    "in_sync",
    "drifted",
    "not_deployed",
    "not_compared",
    "verified",
    "skipped",
    "failed",
]
_Type = dg.DagsterEventType


@dataclass(frozen=True)
class UnitResult:
    """How a unit ended; ``changes`` are a drift's ``action address`` lines.

    ``exit_code`` is the one of a failed unit's error: 3 when it was refused.
    """

    outcome: Outcome
    error: str = ""
    exit_code: int = 0
    changes: tuple[str, ...] = ()


def unit_results(
    instance: dg.DagsterInstance, run_id: str, stack: str, units: Iterable[str], job: str
) -> dict[str, UnitResult]:
    """Return each unit's result; a unit whose step never ran counts as skipped."""
    results = {unit: UnitResult("skipped") for unit in units}
    kinds = {_Type.ASSET_MATERIALIZATION, _Type.ASSET_CHECK_EVALUATION, _Type.STEP_FAILURE}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        unit = names.unit_of_op(job, stack, event.step_key)
        if unit in results and not _says_something_else(event):
            results[unit] = _result(event)
    return results


def run_error(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return why the run failed, when that isn't a step's failure; else an empty text."""
    for entry in instance.all_logs(run_id, of_type=_Type.RUN_FAILURE):
        event = entry.dagster_event
        if event is None:
            continue
        error = event.job_failure_data.error
        if error is not None and error.cls_name != "DagsterSubprocessError":
            return _without_class(error.message)
        if error is None and event.job_failure_data.first_step_failure_event is None:
            return event.message or ""
    return ""


def _says_something_else(event: dg.DagsterEvent) -> bool:
    """Tell whether the event is a check's that isn't about drift."""
    if event.event_type != _Type.ASSET_CHECK_EVALUATION:
        return False
    return event.asset_check_evaluation_data.check_name != DRIFT


def _result(event: dg.DagsterEvent) -> UnitResult:
    if event.event_type == _Type.STEP_FAILURE:
        return UnitResult("failed", _failure_text(event), exit_code=_exit_code(event))
    if event.event_type == _Type.ASSET_CHECK_EVALUATION:
        metadata = event.asset_check_evaluation_data.metadata
        changes = metadata["change_list"].value
        listed = tuple(str(c) for c in changes) if isinstance(changes, list) else ()
        return UnitResult(_outcome(metadata["status"].value), changes=listed)
    metadata = event.step_materialization_data.materialization.metadata
    return UnitResult(_outcome(metadata["action"].value))


def _outcome(value: object) -> Outcome:
    known: tuple[Outcome, ...] = (
        "applied", "unchanged", "destroyed", "never_deployed", "in_sync", "drifted", "not_deployed",
        "not_compared", "verified",
    )  # fmt: skip
    for outcome in known:
        if value == outcome:
            return outcome
    return "failed"


def _exit_code(event: dg.DagsterEvent) -> int:
    failure = event.step_failure_data.user_failure_data
    known = failure.metadata.get("exit_code") if failure else None
    return known.value if isinstance(known, dg.IntMetadataValue) and known.value else 1


def _failure_text(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    if error is None:
        return event.message or "failed"
    if error.cls_name == "ChildProcessCrashException":
        return "the step's process died; run it again"
    if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
        return "cancelled"
    root = error.cause or error
    return _without_class(root.message)


def _without_class(message: str) -> str:
    """Drop the exception's class from the first line of ``message``."""
    head, colon, rest = message.partition(": ")
    return (rest if colon and " " not in head else message).strip()
