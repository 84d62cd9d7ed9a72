"""The cluster of a stack: the one that it makes, or the one that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from mlstacks_dagster.catalog.helm_contract import CLUSTER
from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.engines.kube_access import ClusterAccess
from mlstacks_dagster.errors import RefusedError

__all__ = ["access_of", "cluster_unit"]

_KEYS = {"name": "cluster_name", "endpoint": "cluster_endpoint", "ca_data": "cluster_ca"}
_KINDS: dict[str, Literal["eks", "gke"]] = {"aws": "eks", "gcp": "gke"}


def cluster_unit(plan: Plan) -> PlannedUnit | None:
    """Return the unit that makes the stack's cluster, None when there is none."""
    for unit in plan.units:
        if any(provision.capability == CLUSTER for provision in unit.definition.provides):
            return unit
    return None


def access_of(plan: Plan, output_of: Callable[[str, str], Any]) -> ClusterAccess:
    """Return how the stack's cluster is reached.

    ``output_of(unit, output)`` gives a unit's output, None when it isn't deployed. Raises
    :class:`RefusedError` when the cluster isn't there.
    """
    existing = plan.options.cluster
    if existing is not None:
        return ClusterAccess(
            kind="kubeconfig",
            name=existing.context or "current context",
            kubeconfig=existing.kubeconfig,
            context=existing.context,
        )
    unit = cluster_unit(plan)
    if unit is None:
        raise RefusedError("the stack has no cluster", remedy="add `cluster:` to its file")
    names = next(p.outputs for p in unit.definition.provides if p.capability == CLUSTER)
    found = {field: output_of(unit.name, names[key]) for field, key in _KEYS.items()}
    if not all(found.values()):
        raise RefusedError(
            f"{unit.name} isn't deployed: its endpoint isn't known",
            remedy=f"deploy {unit.name} first, or select it too",
        )
    return ClusterAccess(kind=_KINDS[plan.provider], region=unit.region, **found)
