"""What a sensor asks Dagster before it launches a teardown, and the run that it requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.coordinator import TAG_ACTION, TAG_STACK
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.due import Attempt, Ending, run_key

__all__ = [
    "TAG_ATTEMPT",
    "TAG_GENERATION",
    "TAG_LOOK",
    "TAG_REASON",
    "TAG_STACK_ID",
    "attempts",
    "busy_stacks",
    "cleanup_keys",
    "endings",
    "looks",
    "teardown_request",
]

TAG_REASON = "mlstacks/reason"
TAG_STACK_ID = "mlstacks/stack-id"
TAG_GENERATION = "mlstacks/generation"
TAG_ATTEMPT = "mlstacks/attempt"
TAG_LOOK = "mlstacks/look"

_Status = dg.DagsterRunStatus
# Not NOT_STARTED: a daemon that died between making a run and queueing it left one, and Dagster
# queues that very run when its key is asked for again.
_OPEN = [_Status.QUEUED, _Status.STARTING, _Status.STARTED, _Status.CANCELING]
_ENDED = [_Status.SUCCESS, _Status.FAILURE, _Status.CANCELED]
_ENDINGS: dict[dg.DagsterRunStatus, Ending] = {
    _Status.SUCCESS: "ok",
    _Status.FAILURE: "failed",
    _Status.CANCELED: "cancelled",
}


def busy_stacks(instance: dg.DagsterInstance) -> set[str]:
    """Return the names of the stacks that a run works on or waits for."""
    found: set[str] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=_OPEN)):
        found |= set(run.tags.get(TAG_STACK, "").split(","))
        found |= names.stacks_of(run.asset_selection or ())
        found.add(names.confirmed_stack(run.run_config))
    return found - {""}


def attempts(instance: dg.DagsterInstance, stack: StackRecord) -> list[Attempt]:
    """Return the ended teardowns that sensors launched for the stack since its last deploy."""
    tags = {TAG_STACK_ID: stack.stack_id, TAG_GENERATION: str(stack.generation)}
    records = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_ENDED))
    return list(map(_attempt, records))


def looks(instance: dg.DagsterInstance, stack: StackRecord, number: int) -> list[Attempt] | None:
    """Return the late looks of that number that have failed; None when one is open or succeeded."""
    tags = {TAG_STACK_ID: stack.stack_id, TAG_LOOK: str(number)}
    records = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=[*_OPEN, *_ENDED]))
    statuses = {record.dagster_run.status for record in records}
    if statuses & {*_OPEN, _Status.SUCCESS}:
        return None
    return list(map(_attempt, records))


def _attempt(record: dg.RunRecord) -> Attempt:
    return Attempt(
        number=int(record.dagster_run.tags.get(TAG_ATTEMPT, "1")),
        ended_at=record.end_time or record.update_timestamp.timestamp(),
        cancelled=record.dagster_run.status == _Status.CANCELED,
    )


def endings(instance: dg.DagsterInstance, runs: dict[int, str]) -> dict[int, Ending]:
    """Return how the run of each generation ended; ``unknown`` when Dagster forgot it."""
    found = instance.get_runs(dg.RunsFilter(run_ids=list(runs.values()))) if runs else ()
    by_id = {run.run_id: _ENDINGS.get(run.status, "open") for run in found}
    return {generation: by_id.get(run_id, "unknown") for generation, run_id in runs.items()}


def teardown_request(
    stack: StackRecord, attempt: int, reason: str, words: str, keys: Sequence[dg.AssetKey]
) -> dg.RunRequest:
    """Return the request for a stack's teardown: confirmed, tagged, launched once.

    ``reason`` is the tag, ``words`` are kept with the proof; ``keys`` are the cleanup assets.
    """
    confirm = {"confirm": stack.name, "reason": words}
    return dg.RunRequest(
        run_key=run_key(stack, attempt),
        run_config={"resources": {"teardown": {"config": confirm}}},
        asset_selection=list(keys),
        tags={
            TAG_STACK: stack.name,
            TAG_ACTION: names.TEARDOWN_JOB,
            TAG_REASON: reason,
            TAG_STACK_ID: stack.stack_id,
            TAG_GENERATION: str(stack.generation),
            TAG_ATTEMPT: str(attempt),
        },
    )


def cleanup_keys(assets: Iterable[dg.AssetsDefinition]) -> dict[str, list[dg.AssetKey]]:
    """Return the cleanup assets by stack."""
    found: dict[str, list[dg.AssetKey]] = {}
    for asset in assets:
        for key in asset.keys:
            if names.is_cleanup(key):
                found.setdefault(key.path[1], []).append(key)
    return found
