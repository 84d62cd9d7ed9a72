"""The objects of one cluster, their revisions, and a bounded log of what happened to them.

An object in the store is never changed in place: a write puts a new one. So the log and the
watches can hold objects without copying them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import ApiError
from .objects import Key, Obj, key_of

__all__ = ["ADDED", "DELETED", "MODIFIED", "Event", "Store"]

ADDED = "ADDED"
DELETED = "DELETED"
MODIFIED = "MODIFIED"

_FIRST_REVISION = 100
_EVENTS_KEPT = 5_000

Collection = tuple[str, str]


@dataclass(frozen=True)
class Event:
    """One change of one object; ``previous`` is what it was before."""

    revision: int
    kind: str
    collection: Collection
    obj: Obj
    previous: Obj | None


Listener = Callable[[Event], None]


class Store:
    """Objects by collection and key; only the event loop's thread may touch it."""

    def __init__(self, events_kept: int = _EVENTS_KEPT) -> None:
        self.revision = _FIRST_REVISION
        self._objects: dict[Collection, dict[Key, Obj]] = {}
        self._events: deque[Event] = deque(maxlen=events_kept)
        self._forgotten = _FIRST_REVISION
        self._listeners: list[Listener] = []
        self._changed = asyncio.Event()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` after each change."""
        self._listeners.append(listener)

    def get(self, collection: Collection, key: Key) -> Obj | None:
        """Return an object, None when there is none."""
        return self._objects.get(collection, {}).get(key)

    def all(self, collection: Collection, namespace: str | None = None) -> list[Obj]:
        """Return the objects of a collection, in order of namespace and name."""
        found = self._objects.get(collection, {})
        keys = (key for key in found if namespace is None or key[0] == namespace)
        return [found[key] for key in sorted(keys, key=lambda key: (key[0] or "", key[1]))]

    def controlled(self, collection: Collection, namespace: str | None, uid: str) -> list[Obj]:
        """Return the objects of a namespace that the owner with ``uid`` controls, by name."""
        found = [
            obj
            for key, obj in self._objects.get(collection, {}).items()
            if key[0] == namespace
            for ref in obj["metadata"].get("ownerReferences") or ()
            if ref["uid"] == uid and ref.get("controller")
        ]
        return sorted(found, key=lambda obj: str(obj["metadata"]["name"]))

    def everything(self) -> Iterator[tuple[Collection, Obj]]:
        """Yield every object with its collection."""
        for collection, objects in list(self._objects.items()):
            for obj in list(objects.values()):
                yield collection, obj

    def put(self, collection: Collection, obj: Obj) -> Obj:
        """Store a new or changed object under a new revision; return what was stored."""
        key = key_of(obj)
        previous = self.get(collection, key)
        stored = self._with_new_revision(obj)
        self._objects.setdefault(collection, {})[key] = stored
        self._publish(
            Event(self.revision, MODIFIED if previous else ADDED, collection, stored, previous)
        )
        return stored

    def remove(self, collection: Collection, key: Key) -> Obj | None:
        """Remove an object; return it as it was, None when there is none."""
        previous = self._objects.get(collection, {}).pop(key, None)
        if previous is None:
            return None
        gone = self._with_new_revision(previous)
        self._publish(Event(self.revision, DELETED, collection, gone, previous))
        return gone

    def _with_new_revision(self, obj: Obj) -> Obj:
        self.revision += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}

    def _publish(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            self._forgotten = self._events[0].revision
        self._events.append(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in self._listeners:
            listener(event)

    def events_after(self, revision: int) -> list[Event]:
        """Return what happened after ``revision``.

        Raises :class:`ApiError` (410) when that is no longer known.
        """
        if revision < self._forgotten:
            raise ApiError(
                410,
                "Expired",
                f"too old resource version: {revision} ({self._forgotten})",
            )
        found: list[Event] = []
        for event in reversed(self._events):
            if event.revision <= revision:
                break
            found.append(event)
        return found[::-1]

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change; take it before looking at the events."""
        return self._changed
