"""Kubernetes Events: what controllers say about an object. Only the newest are kept."""

from __future__ import annotations

import zlib

from .context import Context
from .objects import Obj
from .writer import Writer

__all__ = ["EVENTS_KEPT", "record"]

EVENTS_KEPT = 500
_EVENTS = ("", "events")


def record(
    context: Context, writer: Writer, obj: Obj, reason: str, message: str, *, warning: bool = True
) -> None:
    """Record an event about ``obj``; one that was there already is counted."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace") or "default"
    mark = zlib.crc32(f"{metadata['uid']}{reason}{message}".encode())
    name = f"{metadata['name']}.{mark:08x}"
    if context.store.get(("", "namespaces"), (None, namespace)) is None:
        return
    before = context.store.get(_EVENTS, (namespace, name))
    now = context.now()
    if before is not None:
        context.store.put(_EVENTS, {**before, "count": before["count"] + 1, "lastTimestamp": now})
        return
    namespaces = context.store.get(("", "namespaces"), (None, namespace)) or {}
    if "deletionTimestamp" in namespaces.get("metadata", {}):
        return
    writer.put_internal(
        context.resource(_EVENTS),
        {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": "emulator"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        },
    )
    _forget_oldest(context)


def _forget_oldest(context: Context) -> None:
    events = context.store.all(_EVENTS)
    events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    for event in events[: max(0, len(events) - EVENTS_KEPT)]:
        metadata = event["metadata"]
        context.store.remove(_EVENTS, (metadata["namespace"], metadata["name"]))
