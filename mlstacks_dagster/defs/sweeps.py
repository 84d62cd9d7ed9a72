"""Sweeps of accounts as Dagster assets: list on a schedule, delete what was approved."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.coordinator import TAG_ACTION
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors
from mlstacks_dagster.defs.verified import row_table, verify_metadata
from mlstacks_dagster.errors import LeftoversError
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.accounts import unswept_accounts
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.report import (
    delete_markdown,
    entry_row,
    plan_json,
    plan_markdown,
)

__all__ = [
    "CLEAN",
    "REACHED",
    "SWEEP_SCHEDULE",
    "SweepApproval",
    "VerifyConfig",
    "sweep_assets",
    "sweep_jobs",
    "sweep_schedules",
]

CLEAN = "clean"
REACHED = "reached"
SWEEP_SCHEDULE = "daily_sweep"
DAILY = "0 4 * * *"
_UNSWEPT_SECONDS = 7 * 86_400
_LEFTOVERS = names.sweep_key("leftovers")
_DELETED = names.sweep_key("deleted")
_AGAIN = names.sweep_key("verified_again")


class SweepApproval(dg.ConfigurableResource[Any]):
    """Who allows which plan: given at launch, never a default.

    ``plan`` is the hash that the listing shows, ``account`` the account's alias (its id when it
    has none) typed anew, ``approved_by`` a name for the record.
    """

    plan: str
    account: str
    approved_by: str


class VerifyConfig(dg.Config):
    """``stack_id`` is the id of a destroyed stack."""

    stack_id: str


def sweep_assets(accounts: Sequence[str], site: Site) -> list[dg.AssetsDefinition]:
    """Return the assets about ``accounts``, a partition each, and that of late looks.

    Those need no account: which one a destroyed stack was in is its ledger's to say.
    """
    if not accounts:
        return [_verified_again(site)]
    partitions = dg.StaticPartitionsDefinition(list(accounts))
    return [_leftovers(partitions, site), _deleted(partitions, site), _verified_again(site)]


def _leftovers(partitions: dg.PartitionsDefinition[str], site: Site) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        _LEFTOVERS,
        group_name=names.SWEEP_GROUP,
        partitions_def=partitions,
        description="Lists a whole account and says what is left over from destroyed stacks. "
        "Deletes nothing: its `plan` is what an approval must name.",
        kinds={"sweep"},
    )
    check = dg.AssetCheckSpec(
        CLEAN,
        asset=_LEFTOVERS,
        description="Passes when everything could be listed and nothing is left over.",
    )
    reached = dg.AssetCheckSpec(
        REACHED,
        asset=_LEFTOVERS,
        description="Passes when each account that holds or held stacks was listed within a week.",
    )

    @dg.multi_asset(
        specs=[spec],
        check_specs=[check, reached],
        name=names.op_name(names.SWEEP_JOB, names.SWEEP_GROUP, "leftovers"),
        pool=names.pool(names.SWEEP_GROUP),
    )
    def leftovers(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]  # dagster infers it
        with dagster_errors(context, site):
            plan = site.backend.sweep_account(
                context.partition_key, site.settings, StepReporter(context, site)
            )
        yield dg.MaterializeResult(asset_key=_LEFTOVERS, metadata=_plan_metadata(plan))
        yield dg.AssetCheckResult(
            asset_key=_LEFTOVERS,
            check_name=CLEAN,
            passed=plan.verdict == "clean",
            severity=dg.AssetCheckSeverity.ERROR,
            description=_words(plan),
            metadata={"account": context.partition_key},
        )
        yield _all_reached(site)

    return leftovers


def _all_reached(site: Site) -> dg.AssetCheckResult:
    with Ledger.open(site.settings.ledger_url) as ledger:
        since = time.time() - _UNSWEPT_SECONDS
        unswept = unswept_accounts(ledger, site.settings, since)
    return dg.AssetCheckResult(
        asset_key=_LEFTOVERS,
        check_name=REACHED,
        passed=not unswept,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"no sweep looked at {', '.join(unswept)}: name credentials of it in "
        "MLSTACKS_SWEEP_ACCOUNTS"
        if unswept
        else "each account of the ledger was listed within a week",
    )


def _deleted(partitions: dg.PartitionsDefinition[str], site: Site) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        _DELETED,
        deps=[_LEFTOVERS],
        group_name=names.SWEEP_GROUP,
        partitions_def=partitions,
        description="Deletes what an approved plan names, each thing read again first, and proves "
        "that it is gone. Needs the approval: `resources: {sweep_approval: {config: {plan: HASH, "
        "account: ALIAS, approved_by: NAME}}}`",
        kinds={"sweep"},
    )

    @dg.multi_asset(
        specs=[spec],
        name=names.op_name(names.SWEEP_DELETE_JOB, names.SWEEP_GROUP, "deleted"),
        pool=names.pool(names.SWEEP_GROUP),
    )
    def deleted(context: dg.AssetExecutionContext, sweep_approval: SweepApproval):  # type: ignore[no-untyped-def]  # dagster infers it
        with dagster_errors(context, site):
            report = site.backend.delete_sweep(
                context.partition_key,
                sweep_approval.plan,
                sweep_approval.account,
                sweep_approval.approved_by,
                site.settings,
                StepReporter(context, site),
            )
            _raise_unless_complete(report)
        metadata = _delete_metadata(report)
        yield dg.MaterializeResult(asset_key=_DELETED, metadata=metadata)

    return deleted


def _verified_again(site: Site) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        _AGAIN,
        group_name=names.SWEEP_GROUP,
        description="Looks again for what is left of a destroyed stack: some things come back "
        "late, such as the log group of a cluster.",
        kinds={"sweep"},
    )

    @dg.multi_asset(
        specs=[spec], name=names.op_name(names.VERIFY_JOB, names.SWEEP_GROUP, "verified_again")
    )
    def again(context: dg.AssetExecutionContext, config: VerifyConfig):  # type: ignore[no-untyped-def]  # dagster infers it
        with dagster_errors(context, site):
            outcome = site.backend.verify_stack(
                "", config.stack_id, site.settings, StepReporter(context, site)
            )
        yield dg.MaterializeResult(asset_key=_AGAIN, metadata=verify_metadata(outcome))

    return again


def sweep_jobs(assets: Sequence[dg.AssetsDefinition]) -> list[Any]:
    """Return the jobs of :func:`sweep_assets`."""
    there = {key for asset in assets for key in asset.keys}
    return [
        dg.define_asset_job(
            job,
            selection=dg.AssetSelection.assets(key),
            description=text,
            run_tags={TAG_ACTION: job},
        )
        for job, key, text in (
            (names.SWEEP_JOB, _LEFTOVERS, "Lists an account. Reads only."),
            (names.SWEEP_DELETE_JOB, _DELETED, "Deletes what an approved sweep plan names."),
            (names.VERIFY_JOB, _AGAIN, "Looks again for what is left of a destroyed stack."),
        )
        if key in there
    ]


def sweep_schedules(jobs: Sequence[Any], accounts: Sequence[str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule that lists every account once a day."""
    found = [job for job in jobs if job.name == names.SWEEP_JOB]
    return [_schedule(found[0], accounts)] if found else []


def _schedule(job: Any, accounts: Sequence[str]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=SWEEP_SCHEDULE,
        job=job,
        cron_schedule=DAILY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Lists every account, in a run of its own each. Deletes nothing.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for account in accounts:
            yield dg.RunRequest(
                run_key=f"{account}:{context.scheduled_execution_time.isoformat()}",
                partition_key=account,
            )

    return daily


def _plan_metadata(plan: SweepPlan) -> dict[str, Any]:
    where = f"{plan.scope.provider} {plan.scope.account}"
    rows = [(where, entry_row(entry, plan.made_at)) for entry in (*plan.entries, *plan.others)]
    return {
        "verdict": plan.verdict,
        "plan": plan.hash,
        "account": plan.scope.account,
        "alias": plan.scope.alias or plan.scope.account,
        "would_delete": len(plan.entries),
        "usd_per_month": plan.usd_per_month,
        "refused": plan.refused or "-",
        "not_listed": len(plan.unverified),
        "left_over": row_table(rows),
        "report": dg.MetadataValue.md(plan_markdown(plan)),
        "json": dg.MetadataValue.json(plan_json(plan)),
    }


def _words(plan: SweepPlan) -> str:
    said = {
        "clean": "everything was listed and nothing is left over",
        "leftovers": f"{len(plan.entries)} things to delete, {len(plan.others)} that stay",
        "unverified": f"{len(plan.unverified)} lists failed: nothing can be said of them",
    }
    return said[plan.verdict]


def _delete_metadata(report: DeleteReport) -> dict[str, Any]:
    return {
        "plan": report.plan_hash,
        "deleted": sum(outcome.done for outcome in report.outcomes),
        "seconds": round(report.seconds, 1),
        "report": dg.MetadataValue.md(delete_markdown(report, time.time())),
    }


def _raise_unless_complete(report: DeleteReport) -> None:
    if report.complete:
        return
    left = [f"{o.entry.ref}: {o.outcome} ({o.why})" for o in report.left]
    left += [f"{c.type} in {c.region}: {c.status}" for c in report.unverified]
    raise LeftoversError(
        f"{len(left)} of the plan's things are not gone:\n  " + "\n  ".join(left[:20]),
        remedy="remove what holds them, list again and approve the new plan",
        table=delete_markdown(report, time.time()),
    )
