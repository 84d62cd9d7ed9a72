"""Small things about objects that everything here needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "Key",
    "Obj",
    "condition",
    "get",
    "is_going",
    "key_of",
    "owner_reference",
    "same_content",
    "stamp",
    "with_finalizers",
]

Obj = dict[str, Any]
# Namespace (None for what has none) and name.
Key = tuple[str | None, str]


def stamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def get(obj: Any, *path: str) -> Any:
    """Return what is at ``path`` in nested maps, None when something on the way is missing."""
    for name in path:
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    return obj


def is_going(obj: Mapping[str, Any]) -> bool:
    """Say whether an object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def condition(
    kind: str, holds: bool, reason: str, message: str = "", *, now: str
) -> dict[str, str]:
    """Return an entry of ``status.conditions``."""
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }


def owner_reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reference by which a controller's object names its owner."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_finalizers(obj: Mapping[str, Any], *, add: str = "", remove: str = "") -> Obj:
    """Return an object with a finalizer more, or less."""
    finalizers = [f for f in obj["metadata"].get("finalizers") or () if f != remove]
    if add and add not in finalizers:
        finalizers.append(add)
    return {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}}


def same_content(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two objects are equal but for what each write changes."""
    return _content(one) == _content(other)


def _content(obj: Mapping[str, Any]) -> Obj:
    changing = ("managedFields", "resourceVersion", "generation")
    metadata = {k: v for k, v in obj["metadata"].items() if k not in changing}
    return {**obj, "metadata": metadata}
