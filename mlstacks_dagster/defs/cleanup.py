"""A unit's teardown as a Dagster asset, and the confirmation that it needs."""

from typing import Any

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.assets import code_references, kinds, owners
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors, resource_table, unit_job
from mlstacks_dagster.lifecycle.models import DestroyOutcome, StackEntry

__all__ = ["Teardown", "cleanup_asset", "is_confirmed"]


class Teardown(dg.ConfigurableResource[Any]):
    """The confirmation of a teardown run: one for the whole run, given at launch.

    ``confirm`` is the name of the stack to destroy; ``reason`` is kept with the proof.
    """

    confirm: str
    reason: str = "manual"


def cleanup_asset(entry: StackEntry, unit: PlannedUnit, site: Site) -> dg.AssetsDefinition:
    """Return the asset that destroys ``unit`` of the stack ``entry``.

    A run may span several stacks (the job ``teardown`` spans all): steps of stacks other than
    the confirmed one are skipped. When the confirmed stack isn't part of the run, they fail.
    """
    stack = entry.name
    dependents = entry.plan.dependents(unit.name) if entry.plan else ()
    key, deployed = names.cleanup_key(stack, unit.name), names.deploy_key(stack, unit.name)
    spec = dg.AssetSpec(
        key=key,
        deps=[names.cleanup_key(stack, other) for other in dependents],
        group_name=names.cleanup_group(stack),
        description=f"Destroys **{unit.definition.title}** of stack `{stack}`. Needs the stack's "
        "name as confirmation: `resources: {teardown: {config: {confirm: " + stack + "}}}`",
        kinds=kinds(unit),
        owners=owners(unit),
        tags={"mlstacks/unit": unit.name},
        metadata=code_references(entry, unit),
        skippable=True,
    )

    @dg.multi_asset(
        specs=[spec],
        name=names.op_name(names.TEARDOWN_JOB, stack, unit.name),
        pool=names.pool(stack),
    )
    def destroy(context: dg.AssetExecutionContext, teardown: Teardown):  # type: ignore[no-untyped-def]  # dagster infers it
        if not is_confirmed(context, teardown, stack):
            return
        with dagster_errors(context, site):
            job = unit_job(context, entry, unit.name, site)
            outcome = site.backend.destroy_unit(job, site.settings, StepReporter(context, site))
        _mark_destroyed(context, deployed, outcome)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(outcome, teardown))

    return destroy


def is_confirmed(context: dg.AssetExecutionContext, teardown: Teardown, stack: str) -> bool:
    """Return whether this stack is to be destroyed; raises Failure when none of the run is."""
    if teardown.confirm == stack:
        return True
    if teardown.confirm in _cleanup_stacks(context):
        context.log.info(f"skipped: only stack {teardown.confirm} was confirmed, not {stack}")
        return False
    raise dg.Failure(
        description=f"confirm must be the stack's name ({stack}), not {teardown.confirm!r}; "
        "nothing was destroyed",
        allow_retries=False,
    )


def _cleanup_stacks(context: dg.AssetExecutionContext) -> set[str]:
    """Return the stacks whose cleanup is planned in this run."""
    planned = context.instance.all_logs(
        context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )
    keys = [e.dagster_event.asset_key for e in planned if e.dagster_event]
    return {key.path[1] for key in keys if key and names.is_cleanup(key)}


def _mark_destroyed(
    context: dg.AssetExecutionContext, deployed: dg.AssetKey, outcome: DestroyOutcome
) -> None:
    """Show the unit's asset as not materialized, with a note of what happened.

    The wipe comes first: it would take the observation with it.
    """
    if context.instance.get_latest_materialization_event(deployed) is not None:
        context.instance.wipe_assets([deployed])
    if outcome.action == "destroyed":
        context.log_event(
            dg.AssetObservation(
                asset_key=deployed,
                description="destroyed",
                metadata={
                    "by_run": dg.MetadataValue.dagster_run(context.run.run_id),
                    "destroyed": outcome.destroyed,
                },
            )
        )


def _metadata(outcome: DestroyOutcome, teardown: Teardown) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "action": outcome.action,
        "destroyed": outcome.destroyed,
        "resources": resource_table(outcome.resources),
        "seconds": outcome.seconds,
        "tool_seconds": outcome.tool_seconds,
        "target": outcome.target,
        "reason": teardown.reason,
        "stack_closed": outcome.stack_closed,
    }
    if outcome.action == "never_deployed":
        metadata["note"] = "was never deployed"
    if outcome.stack_id:
        metadata["stack_id"] = outcome.stack_id
    return metadata
