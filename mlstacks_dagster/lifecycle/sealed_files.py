"""Which sealed files are still in use, and removing the others once a stack is closed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.sealing import references, remove_sealed, sealed_before
from mlstacks_dagster.lifecycle.snapshot import file_plans
from mlstacks_dagster.settings import Settings

__all__ = ["forget_sealed"]

# A command seals before it says so in the ledger, or in the file that pins its run.
_FRESH_SECONDS = 3600.0


def forget_sealed(
    closed: Iterable[StackRecord],
    ledger: Ledger,
    settings: Settings,
    *,
    run_id: str | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Remove the sealed files of the stacks ``closed``, and old ones that nothing refers to.

    In use is what a live stack refers to, a run at work other than ``run_id`` (which is closing
    the stacks), or a stack file: Dagster's code location may have read it, and its values lie
    open in that file anyway. ``clock`` returns Unix seconds.
    """
    theirs = {r for stack in closed for r in _of_stack(stack, ledger)}
    unused = sealed_before(clock() - _FRESH_SECONDS, settings) | theirs
    unused -= {r for stack in ledger.stacks() for r in _of_stack(stack, ledger)}
    unused -= set(_of_runs(settings, run_id))
    if unused:
        plans = (plan.model_dump(mode="json") for plan in file_plans(settings))
        remove_sealed(unused.difference(*map(references, plans)), settings)


def _of_stack(stack: StackRecord, ledger: Ledger) -> Iterable[str]:
    yield from references(stack.plan_json)
    for unit in ledger.units(stack.stack_id):
        yield from references(unit.planned_json)


def _of_runs(settings: Settings, but: str | None) -> Iterable[str]:
    for path in settings.runs_dir.glob("*.json"):
        if path.name.partition(".")[0] == but:
            continue
        with suppress(OSError, ValueError):
            yield from references(json.loads(path.read_text()))
