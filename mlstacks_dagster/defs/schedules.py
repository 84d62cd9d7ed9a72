"""The schedule that compares every deployed stack with the cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.coordinator import TAG_ACTION, TAG_STACK
from mlstacks_dagster.defs.sensors import deployed_stacks
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.ledger.store import Ledger

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

__all__ = ["DAILY", "DRIFT_SCHEDULE", "drift_schedule"]

DRIFT_SCHEDULE = "daily_drift"
DAILY = "30 3 * * *"


def drift_schedule(
    job: UnresolvedAssetJobDefinition,
    keys: Mapping[str, Sequence[dg.AssetCheckKey]],
    site: Site,
) -> dg.ScheduleDefinition:
    """Return the schedule; ``keys`` are the checks of each stack's units."""

    @dg.schedule(
        name=DRIFT_SCHEDULE,
        job=job,
        cron_schedule=DAILY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compares each deployed stack with the cloud, in a run of its own. Reads only.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with Ledger.open(site.settings.ledger_url) as ledger:
            stacks = deployed_stacks(ledger, site.settings)
        known = [stack for stack in stacks if keys.get(stack.name)]
        for stack in known:
            yield dg.RunRequest(
                run_key=f"{stack.stack_id}:{context.scheduled_execution_time.isoformat()}",
                asset_check_keys=list(keys[stack.name]),
                tags={TAG_STACK: stack.name, TAG_ACTION: names.DRIFT_JOB},
            )
        if not known:
            yield dg.SkipReason("no stack is deployed")

    return daily
