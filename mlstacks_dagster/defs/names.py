"""Legal, collision-free names in Dagster for stacks and units.

Dagster allows letters, digits and underscores only in the names of groups, ops and pools, where
a stack may be called ``a-b``. A name that must be changed gets a short hash, so that ``a-b`` and
``a_b`` stay two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import dagster as dg

__all__ = [
    "ASSET_JOB",
    "DEPLOY_JOB",
    "DRIFT_JOB",
    "INVALID_GROUP",
    "LOCATION",
    "SWEEP_DELETE_JOB",
    "SWEEP_GROUP",
    "SWEEP_JOB",
    "TEARDOWN_JOB",
    "VERIFIED",
    "VERIFY_JOB",
    "cleanup_group",
    "cleanup_key",
    "confirmed_stack",
    "deploy_key",
    "group",
    "invalid_key",
    "is_cleanup",
    "is_sweep",
    "op_name",
    "pool",
    "stacks_of",
    "sweep_key",
    "unit_of_op",
]

LOCATION = "mlstacks_dagster"
DEPLOY_JOB = "deploy"
TEARDOWN_JOB = "teardown"
DRIFT_JOB = "drift"
SWEEP_JOB = "sweep"
SWEEP_DELETE_JOB = "sweep_delete"
VERIFY_JOB = "verify_teardown"
ASSET_JOB = "__ASSET_JOB"
INVALID_GROUP = "invalid_stacks"
SWEEP_GROUP = "account_sweeps"
VERIFIED = "verified"

_CLEANUP = "cleanup"
_HASH_LENGTH = 6


def _stem(stack: str) -> str:
    legal = re.sub(r"[^A-Za-z0-9_]", "_", stack)
    ambiguous = "__" in legal or legal.endswith(("_", "_cleanup")) or legal == INVALID_GROUP
    if legal == stack and not ambiguous:
        return legal
    return f"{legal.strip('_')}_{hashlib.sha256(stack.encode()).hexdigest()[:_HASH_LENGTH]}"


def group(stack: str) -> str:
    """Return the asset group of a stack's units."""
    return _stem(stack)


def cleanup_group(stack: str) -> str:
    """Return the asset group of a stack's cleanup assets."""
    return f"{_stem(stack)}_cleanup"


def pool(stack: str) -> str:
    """Return the concurrency pool that all of a stack's steps share."""
    return f"stack_{_stem(stack)}"


def op_name(action: str, stack: str, unit: str) -> str:
    """Return the op's name, which is the step's key too; ``action`` is a job's name."""
    return f"{action}__{_stem(stack)}__{unit}"


def unit_of_op(action: str, stack: str, step_key: str) -> str:
    """Return the unit whose step has that key: the reverse of :func:`op_name`."""
    return step_key.removeprefix(op_name(action, stack, ""))


def deploy_key(stack: str, unit: str) -> dg.AssetKey:
    """Return the key of a unit's asset."""
    return dg.AssetKey([stack, unit])


def cleanup_key(stack: str, unit: str) -> dg.AssetKey:
    """Return the key of a unit's cleanup asset."""
    return dg.AssetKey([_CLEANUP, stack, unit])


def sweep_key(name: str) -> dg.AssetKey:
    """Return the key of an asset that is about accounts, not about one stack."""
    return dg.AssetKey([SWEEP_GROUP, name])


def is_sweep(key: dg.AssetKey) -> bool:
    """Tell whether ``key`` is of :func:`sweep_key`."""
    return key.path[0] == SWEEP_GROUP


def invalid_key(name: str) -> dg.AssetKey:
    """Return the key under which a broken stack file is shown."""
    return dg.AssetKey([INVALID_GROUP, name])


def is_cleanup(key: dg.AssetKey) -> bool:
    """Tell whether ``key`` is a cleanup asset's."""
    return len(key.path) == 3 and key.path[0] == _CLEANUP


def stacks_of(keys: Iterable[dg.AssetKey]) -> set[str]:
    """Return the stacks that the assets of ``keys`` belong to."""
    return {key.path[1 if is_cleanup(key) else 0] for key in keys}


def confirmed_stack(run_config: object) -> str:
    """Return the stack that a run's configuration confirms for teardown; empty if none."""
    found = run_config
    for part in ("resources", "teardown", "config", "confirm"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
