"""Runs the emulated controllers: each is told of an object that changed, and makes it so.

A controller looks at what is there, not at what happened, so running it twice does no harm. What
a pod's owner sees is told to the owner at once; that containers take a while to start is the only
delay.
"""

from __future__ import annotations

from collections.abc import Callable

from .collector import Collector
from .context import Context
from .objects import Key, Obj, key_of
from .store import DELETED, Collection, Event
from .writer import Writer

__all__ = ["Controller", "Controllers", "Tools"]


class Tools:
    """What a controller works with."""

    def __init__(self, context: Context, writer: Writer, collector: Collector) -> None:
        self.context = context
        self.writer = writer
        self.collector = collector
        # The uids of pods whose containers have been tried to start.
        self.started_pods: set[str] = set()

    def owned(self, owner: Obj, collection: Collection) -> list[Obj]:
        """Return the objects of a collection that ``owner`` controls, by name."""
        metadata = owner["metadata"]
        return self.context.store.controlled(collection, metadata.get("namespace"), metadata["uid"])

    def set_status(self, collection: Collection, obj: Obj, status: Obj) -> None:
        """Write a status if it says something new; times of equal conditions are kept."""
        conditions = {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or ()}
        for condition in status.get("conditions") or ():
            before = conditions.get(condition["type"])
            if before and before["status"] == condition["status"]:
                condition["lastTransitionTime"] = before.get("lastTransitionTime", "")
        if status.get("startTime") and (obj.get("status") or {}).get("startTime"):
            status["startTime"] = obj["status"]["startTime"]
        if status != obj.get("status"):
            self.writer.set_status(self.context.resource(collection), obj, status)

    def delete(self, collection: Collection, obj: Obj) -> None:
        """Delete an object, if it is still there."""
        if self.context.store.get(collection, key_of(obj)) is not None:
            self.collector.delete(self.context.resource(collection), key_of(obj))


Controller = Callable[[Tools, Obj], None]


class Controllers:
    """Calls the controllers of a cluster when objects change."""

    def __init__(self, tools: Tools, reconcilers: dict[Collection, tuple[Controller, ...]]) -> None:
        self._tools = tools
        self._reconcilers = reconcilers
        self._waiting: set[tuple[Collection, Key]] = set()
        # Collections whose objects are looked at again when one of another collection changes.
        self._watchers: dict[Collection, list[tuple[Collection, bool]]] = {}
        tools.context.store.listen(self._on_event)

    def watch(self, changing: Collection, *affected: Collection, everywhere: bool = False) -> None:
        """Look at all of ``affected`` when one of ``changing`` changes.

        Only at those in the same namespace (and at those in none), unless ``everywhere``.
        """
        self._watchers.setdefault(changing, []).extend((name, everywhere) for name in affected)

    def enqueue(self, collection: Collection, key: Key, seconds: float = 0.0) -> None:
        """Let the controllers look at an object, soon or in ``seconds``."""
        if collection not in self._reconcilers:
            return
        item = (collection, key)
        if seconds == 0.0:
            if item in self._waiting:
                return
            self._waiting.add(item)
        self._tools.context.later(seconds, lambda: self._reconcile(collection, key))

    def _on_event(self, event: Event) -> None:
        key = key_of(event.obj)
        if event.kind != DELETED:
            self.enqueue(event.collection, key)
        for ref in event.obj["metadata"].get("ownerReferences") or ():
            resource = self._tools.context.table.of_kind(ref["apiVersion"], ref["kind"])
            if resource is not None:
                self.enqueue(resource.key, (key[0] if resource.namespaced else None, ref["name"]))
        for affected, everywhere in self._watchers.get(event.collection, ()):
            for obj in self._tools.context.store.all(affected):
                namespace = obj["metadata"].get("namespace")
                if everywhere or namespace in (key[0], None):
                    self.enqueue(affected, key_of(obj))

    def _reconcile(self, collection: Collection, key: Key) -> None:
        self._waiting.discard((collection, key))
        for reconcile in self._reconcilers[collection]:
            obj = self._tools.context.store.get(collection, key)
            if obj is not None:
                reconcile(self._tools, obj)
