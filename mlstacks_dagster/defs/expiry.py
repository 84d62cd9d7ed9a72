"""The check ``expiry``: a warning on a stack's first unit before the stack's end comes."""

from __future__ import annotations

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.due import is_expired, moment, warns_from
from mlstacks_dagster.lifecycle.models import StackEntry

__all__ = ["EXPIRY", "EXPIRY_DESCRIPTION", "expiry_evaluation", "expiry_result", "expiry_state"]

EXPIRY = "expiry"
EXPIRY_DESCRIPTION = "Warns when the stack's end (`ttl`, `expires_at`) is near."


def expiry_state(stack: StackRecord | None, now: float) -> tuple[bool, str]:
    """Return whether there is nothing to warn of, and what to say."""
    if stack is None:
        return True, "not deployed"
    if stack.expires_at is None:
        return True, "has no end: neither `ttl` nor `expires_at` is set"
    ends, from_ = moment(stack.expires_at), warns_from(stack) or 0
    if now < from_:
        return True, f"ends {ends}"
    if stack.protect:
        return False, f"its end is {ends}, but it is protected: it will not be destroyed"
    if is_expired(stack, now):
        return False, f"ended {ends}: its teardown is launched by the sensor `expired_stacks`"
    return False, f"will be destroyed {ends}; to keep it, move `ttl` or `expires_at` and deploy"


def expiry_result(key: dg.AssetKey, stack: StackRecord | None, now: float) -> dg.AssetCheckResult:
    """Return the check's result as a step yields it; ``now`` is Unix time in seconds."""
    good, words = expiry_state(stack, now)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=EXPIRY,
        passed=good,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata=_metadata(stack),
    )


def expiry_evaluation(
    entry: StackEntry, stack: StackRecord, now: float
) -> dg.AssetCheckEvaluation | None:
    """Return the check's result as a sensor reports it; None for a stack without units."""
    if entry.plan is None or not entry.plan.units:
        return None
    good, words = expiry_state(stack, now)
    return dg.AssetCheckEvaluation(
        asset_key=names.deploy_key(entry.name, entry.plan.units[0].name),
        check_name=EXPIRY,
        passed=good,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata=_metadata(stack),
    )


def _metadata(stack: StackRecord | None) -> dict[str, dg.MetadataValue]:
    if stack is None or stack.expires_at is None:
        return {}
    return {
        "ends": dg.MetadataValue.timestamp(float(stack.expires_at)),
        "protected": dg.MetadataValue.bool(stack.protect),
    }
