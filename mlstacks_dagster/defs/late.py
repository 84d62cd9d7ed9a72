"""The sensor that looks again, later, for what comes back after a teardown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.teardown_runs import (
    TAG_ATTEMPT,
    TAG_LOOK,
    TAG_REASON,
    TAG_STACK_ID,
    looks,
)
from mlstacks_dagster.engines.wiring import load_wiring
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.due import late_look, next_attempt
from mlstacks_dagster.settings import Settings

__all__ = ["LATE", "late_sensor"]

LATE = "late_leftovers"


def late_sensor(
    job: Any, site: Site, clock: Callable[[], float] = time.time
) -> dg.SensorDefinition:
    """Return the sensor; ``job`` verifies one destroyed stack, ``clock`` gives Unix seconds."""

    @dg.sensor(
        name=LATE,
        job=job,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks again for what is left of a destroyed stack, 20 minutes and a day "
        "after its end: the log group of a cluster comes back. A look that fails is repeated.",
    )
    def look(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now, asked = clock(), 0
        with Ledger.open(site.settings.ledger_url) as ledger:
            stacks = ledger.stacks(include_destroyed=True)
        for stack in stacks:
            number = late_look(stack, now)
            if number is None or not _can_be_looked_at(stack, site.settings):
                continue
            failed = looks(context.instance, stack, number)
            attempt = None if failed is None else next_attempt(failed, now)
            if attempt is not None:
                asked += 1
                yield _request(stack, number, attempt)
        if not asked:
            yield dg.SkipReason("no destroyed stack is to be looked at now")

    return look


def _request(stack: StackRecord, number: int, attempt: int) -> dg.RunRequest:
    again = "" if attempt == 1 else f":{attempt}"
    return dg.RunRequest(
        run_key=f"{stack.stack_id}:late:{number}{again}",
        run_config={"ops": {_OP: {"config": {"stack_id": stack.stack_id}}}},
        tags={
            TAG_STACK_ID: stack.stack_id,
            TAG_REASON: "late look",
            TAG_LOOK: str(number),
            TAG_ATTEMPT: str(attempt),
        },
    )


_OP = names.op_name(names.VERIFY_JOB, names.SWEEP_GROUP, "verified_again")


def _can_be_looked_at(stack: StackRecord, settings: Settings) -> bool:
    """Tell whether the stack was destroyed in a place that is still there."""
    if stack.live or stack.close_reason:
        return False
    if stack.target == "cloud":
        return True
    try:
        wiring = load_wiring("sandbox", settings.sandbox_dir)
    except MlstacksError:
        return False
    return stack.sandbox_id == wiring.instance_id
