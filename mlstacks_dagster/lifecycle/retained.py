"""The brake of ``data: retain``: what holds users' data isn't destroyed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.lifecycle.drain import goes_with_claim

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.session import Session

__all__ = ["Claim", "claim_words", "claimed_volumes", "refuse_data"]

_SHOWN = 10

Claim = tuple[str, str]
"""Namespace and name of a volume claim."""


def claimed_volumes(kube: KubeClient) -> tuple[Claim, ...]:
    """Return the claims whose volumes the cluster deletes with them.

    A claim that has no volume yet holds nothing, and a volume that is to be kept outlives both
    its claim and the cluster.
    """
    volumes = kube.list("v1", "PersistentVolume")
    refs = [v["spec"]["claimRef"] for v in volumes if goes_with_claim(v)]
    return tuple(sorted((str(r.get("namespace", "")), str(r.get("name", ""))) for r in refs))


def claim_words(claims: Iterable[Claim]) -> tuple[str, ...]:
    """Return claims for people."""
    return tuple(f"volume claim {namespace}/{name}" for namespace, name in claims)


def refuse_data(session: Session, held: Collection[str]) -> None:
    """Raise :class:`RefusedError` when ``held`` names anything and the stack keeps its data."""
    if not held or not session.keeps_data:
        return
    shown = ", ".join(list(held)[:_SHOWN]) + (", ..." if len(held) > _SHOWN else "")
    raise RefusedError(
        f"{session.unit.name} of stack {session.stack.name} is not destroyed, since the stack"
        f" keeps its data (`data: retain`) and this holds some: {shown}",
        remedy="save what you need, then empty these (all versions too) or delete them, and destroy"
        " again; or set `data: delete` in the stack file and deploy it, and they go with it",
    )
