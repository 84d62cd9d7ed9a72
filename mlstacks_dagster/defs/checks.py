"""Asset checks: is the cloud what was applied, is the release healthy, who can reach it?"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.expiry import EXPIRY, EXPIRY_DESCRIPTION, expiry_result
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors, unit_job
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.models import DriftOutcome, Endpoint, StackEntry

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
        fresh = _just_deployed(context, key)
        compare = DRIFT in asked and not fresh
        if not compare and asked.isdisjoint({HEALTH, EXPOSURE}):
            outcome = DriftOutcome(status="not_compared")
        else:
            outcome = _look(context, entry, unit, site, compare=compare, fresh=fresh)
        for result in _results(key, kinds, outcome):
            if result.check_name in asked:
                yield result

    return check


def _look(
    context: dg.AssetCheckExecutionContext,
    entry: StackEntry,
    unit: PlannedUnit,
    site: Site,
    *,
    compare: bool,
    fresh: bool,
) -> DriftOutcome:
    """Look at the unit. In the run that deployed it (``fresh``) an error fails the checks only.

    Else the run would count as a deploy that failed, and might be torn down for it.
    """
    try:
        with dagster_errors(context, site):
            job = unit_job(context, entry, unit.name, site)
            report = StepReporter(context, site)
            return site.backend.drift_unit(job, site.settings, report, compare=compare)
    except dg.Failure as failure:
        if not fresh:
            raise
        text = f"can't tell: {failure.description}"
        unknown = Endpoint(url=unit.name, answer=text, state="unknown")
        return DriftOutcome(status="not_compared", problems=(text,), endpoints=(unknown,))


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
    notes = {
        "in_sync": "as applied",
        "not_deployed": _NOT_DEPLOYED,
        "not_compared": "deployed by this very run: not compared again",
    }
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
    found = outcome.endpoints
    wrong = [f"{e.url}: {e.wrong}" for e in found if e.wrong]
    unknown = [e.url for e in found if e.state == "unknown"]
    severity = dg.AssetCheckSeverity.ERROR if wrong else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=EXPOSURE,
        passed=not wrong and (not unknown or len(unknown) < len(found)),
        severity=severity,
        description="; ".join(wrong) or _exposure_text(outcome),
        metadata={
            "endpoints": dg.MetadataValue.md(_bullets(_endpoint_line(e) for e in found)),
            "unknown": len(unknown),
        },
    )


def _exposure_text(outcome: DriftOutcome) -> str:
    """Say how many ways in there are, and how many of them are known not to be open."""
    if outcome.status == "not_deployed":
        return _NOT_DEPLOYED
    if not outcome.endpoints:
        return "no way in"
    states: Counter[str] = Counter(e.state for e in outcome.endpoints)
    told = {
        "answered": "{} answered, none of them open",
        "unknown": "{} can't be reached from here: unknown",
        "emulated": "{} emulated: nothing answers here",
    }
    parts = [text.format(states[state]) for state, text in told.items() if states[state]]
    return f"{len(outcome.endpoints)} ways in: {', '.join(parts)}"


def _endpoint_line(endpoint: Endpoint) -> str:
    answer = f"{endpoint.answer} (unknown)" if endpoint.state == "unknown" else endpoint.answer
    return f"{endpoint.url}: {', '.join(filter(None, (endpoint.wrong, answer)))}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "-"


_NOT_DEPLOYED = "not deployed: nothing to look at"
