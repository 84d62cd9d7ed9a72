"""What the parts of one emulated cluster share: its store, its clock, its options."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from .objects import Obj, stamp
from .resources import Resource, ResourceTable
from .schemas import Schemas
from .store import Collection, Store

__all__ = ["Context", "Options", "Scheduler", "owner_uids"]


class Scheduler(Protocol):
    """Does things later, on the thread that owns the cluster."""

    def later(self, seconds: float, task: Callable[[], None]) -> None:
        """Call ``task`` after ``seconds``."""


@dataclass(frozen=True)
class Options:
    """How a cluster behaves.

    ``ready_seconds`` is how long containers take to start. A container whose image matches
    ``never_ready`` never starts (ImagePullBackOff), one that matches ``crashing`` ends at once
    with an error. ``event_limit`` bounds the log of changes that watches can resume from.
    """

    ready_seconds: float = 0.05
    never_ready: str = r"never-ready"
    crashing: str = r"always-fails"
    event_limit: int = 5_000
    region: str = ""

    def pulls(self, image: str) -> bool:
        """Say whether an image can be pulled."""
        return re.search(self.never_ready, image) is None

    def runs(self, image: str) -> bool:
        """Say whether a container of this image stays up."""
        return re.search(self.crashing, image) is None


@dataclass
class Context:
    """One cluster's insides. Only the thread of its event loop may touch them."""

    name: str
    schemas: Schemas
    scheduler: Scheduler
    clock: Callable[[], datetime]
    options: Options = field(default_factory=Options)
    table: ResourceTable = field(default_factory=ResourceTable)
    store: Store = field(default_factory=Store)
    # Each may change an object that is about to be created.
    admitters: list[Callable[[Resource, Obj], None]] = field(default_factory=list)
    closed: bool = False

    def now(self) -> str:
        """Return the time as Kubernetes writes it."""
        return stamp(self.clock())

    def later(self, seconds: float, task: Callable[[], None]) -> None:
        """Call ``task`` after ``seconds``, unless the cluster is gone by then."""
        self.scheduler.later(seconds, lambda: None if self.closed else task())

    def resource(self, collection: Collection) -> Resource:
        """Return the resource of a collection that is known to be served."""
        found = self.table.of_key(collection)
        if found is None:
            raise KeyError(collection)
        return found

    def dependents(self, uid: str) -> list[tuple[Collection, Obj]]:
        """Return the objects that name an owner with this uid."""
        return [(c, obj) for c, obj in self.store.everything() if uid in owner_uids(obj)]


def owner_uids(obj: dict[str, Any]) -> set[str]:
    """Return the uids of an object's owners."""
    return {ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()}
