"""Drift as an asset check: is the cloud still what was applied?"""

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors, unit_job
from mlstacks_dagster.lifecycle.models import DriftOutcome, StackEntry

__all__ = ["DRIFT", "drift_check"]

DRIFT = "drift"


def drift_check(entry: StackEntry, unit: PlannedUnit, site: Site) -> dg.AssetChecksDefinition:
    """Return the check that plans the unit again and warns when something would change."""
    spec = dg.AssetCheckSpec(
        name=DRIFT,
        asset=names.deploy_key(entry.name, unit.name),
        description="Plans the unit against the cloud; warns when it is not what was applied.",
    )

    @dg.multi_asset_check(
        specs=[spec],
        name=names.op_name(names.DRIFT_JOB, entry.name, unit.name),
        pool=names.pool(entry.name),
    )
    def drift(context: dg.AssetCheckExecutionContext):  # type: ignore[no-untyped-def]  # dagster infers it
        if _just_deployed(context, spec.asset_key):
            yield _result(spec, DriftOutcome(status="in_sync"))
            return
        with dagster_errors(context, site):
            job = unit_job(context, entry, unit.name, site)
            outcome = site.backend.drift_unit(job, site.settings, StepReporter(context, site))
        yield _result(spec, outcome)

    return drift


def _just_deployed(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> bool:
    """Tell whether this very run deployed the unit: the UI adds checks to what it materializes."""
    last = context.instance.get_latest_materialization_event(key)
    return last is not None and last.run_id == context.run.run_id


def _result(spec: dg.AssetCheckSpec, outcome: DriftOutcome) -> dg.AssetCheckResult:
    drifted = outcome.status == "drifted"
    notes = {"in_sync": "as applied", "not_deployed": "not deployed: nothing to compare"}
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=notes.get(outcome.status) or f"{len(outcome.changes)} differences",
        metadata={
            "status": outcome.status,
            "changes": dg.MetadataValue.md("\n".join(f"- `{c}`" for c in outcome.changes) or "-"),
            "change_list": dg.MetadataValue.json(list(outcome.changes)),
            "seconds": outcome.seconds,
        },
    )
