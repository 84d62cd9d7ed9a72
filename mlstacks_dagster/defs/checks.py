"""Asset checks: is the cloud what was applied, is the release healthy, who can reach it?"""

import time
from collections.abc import Iterable, Iterator

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.expiry import EXPIRY, EXPIRY_DESCRIPTION, expiry_result
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors, unit_job
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.models import DriftOutcome, StackEntry

__all__ = ["DRIFT", "EXPOSURE", "HEALTH", "unit_checks"]

DRIFT = "drift"
HEALTH = "health"
EXPOSURE = "exposure"

_DESCRIPTIONS = {
    DRIFT: "Compares the unit with the cloud; warns when it is not what was applied.",
    HEALTH: "Looks at the release and its pods; fails when something isn't ready.",
    EXPIRY: EXPIRY_DESCRIPTION,
    EXPOSURE: "Asks what can be reached from outside; fails when it answers without credentials.",
}


def unit_checks(entry: StackEntry, unit: PlannedUnit, site: Site) -> dg.AssetChecksDefinition:
    """Return the unit's checks, made in one step: drift; of a release health and exposure too.

    The stack's first unit has its check ``expiry`` too. Any of them can be selected alone.
    """
    key = names.deploy_key(entry.name, unit.name)
    kinds = (DRIFT, HEALTH, EXPOSURE) if unit.definition.engine == "helm" else (DRIFT,)
    first = entry.plan is not None and entry.plan.units[0] is unit
    all_kinds = (*kinds, EXPIRY) if first else kinds
    specs = [dg.AssetCheckSpec(k, asset=key, description=_DESCRIPTIONS[k]) for k in all_kinds]

    @dg.multi_asset_check(
        specs=specs,
        name=names.op_name(names.DRIFT_JOB, entry.name, unit.name),
        pool=names.pool(entry.name),
        can_subset=len(specs) > 1,
    )
    def check(context: dg.AssetCheckExecutionContext):  # type: ignore[no-untyped-def]  # dagster infers it
        asked = {found.name for found in context.selected_asset_check_keys}
        if EXPIRY in asked:
            yield _expiry(key, entry.name, site)
        if not asked & set(kinds):
            return
        if _just_deployed(context, key):
            outcome = DriftOutcome(status="in_sync")
        else:
            with dagster_errors(context, site):
                job = unit_job(context, entry, unit.name, site)
                outcome = site.backend.drift_unit(job, site.settings, StepReporter(context, site))
        for result in _results(key, kinds, outcome):
            if result.check_name in asked:
                yield result

    return check


def _expiry(key: dg.AssetKey, stack: str, site: Site) -> dg.AssetCheckResult:
    with Ledger.open(site.settings.ledger_url) as ledger:
        return expiry_result(key, ledger.live_stack(stack), time.time())


def _just_deployed(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> bool:
    """Tell whether this very run deployed the unit: the UI adds checks to what it materializes."""
    last = context.instance.get_latest_materialization_event(key)
    return last is not None and last.run_id == context.run.run_id


def _results(
    key: dg.AssetKey, kinds: tuple[str, ...], outcome: DriftOutcome
) -> Iterator[dg.AssetCheckResult]:
    yield _drift(key, outcome)
    if HEALTH in kinds:
        yield _health(key, outcome)
        yield _exposure(key, outcome)


def _drift(key: dg.AssetKey, outcome: DriftOutcome) -> dg.AssetCheckResult:
    drifted = outcome.status == "drifted"
    notes = {"in_sync": "as applied", "not_deployed": _NOT_DEPLOYED}
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=DRIFT,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=notes.get(outcome.status) or f"{len(outcome.changes)} differences",
        metadata={
            "status": outcome.status,
            "changes": dg.MetadataValue.md(_bullets(f"`{c}`" for c in outcome.changes)),
            "change_list": dg.MetadataValue.json(list(outcome.changes)),
            "seconds": outcome.seconds,
        },
    )


def _health(key: dg.AssetKey, outcome: DriftOutcome) -> dg.AssetCheckResult:
    good = _NOT_DEPLOYED if outcome.status == "not_deployed" else "healthy"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=HEALTH,
        passed=not outcome.problems,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(outcome.problems) or good,
        metadata={"problems": dg.MetadataValue.md(_bullets(outcome.problems))},
    )


def _exposure(key: dg.AssetKey, outcome: DriftOutcome) -> dg.AssetCheckResult:
    wrong = [f"{e.url}: {e.wrong}" for e in outcome.endpoints if e.wrong]
    lines = [f"{e.url}: {e.wrong or e.answer}" for e in outcome.endpoints]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=EXPOSURE,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(wrong) or f"{len(lines)} ways in, none of them open",
        metadata={"endpoints": dg.MetadataValue.md(_bullets(lines))},
    )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "-"


_NOT_DEPLOYED = "not deployed: nothing to compare"
