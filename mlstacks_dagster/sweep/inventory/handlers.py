"""What a cloud's side offers for each type of resource: list, read again, delete, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mlstacks_dagster.sweep.inventory.model import Item, Ref, Scope, Snapshot

__all__ = ["Cloud", "DeleteOutcome", "Kind", "Progress"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """What is known of a type.

    ``type`` is such as ``ec2:volume``; ``rank`` orders deletion between types (low goes first)
    where ``Item.uses`` doesn't; ``data`` types hold users' data and are kept unless told
    otherwise; ``usd_per_month`` estimates an item's price from its facts; ``deletable`` is False
    for what can only be awaited (a controller's network interface). ``proofs`` says in words by
    what an item can be proven ours: for the generated table. ``structural`` types can be proven
    by what contains them, since nobody makes them by hand; ``held_by`` are the types whose items
    may need one, so that a failed list of these keeps it; ``reborn`` types are made again by the
    cloud itself after what they belong to is gone.
    """

    type: str
    title: str
    rank: int
    data: bool = False
    is_global: bool = False
    deletable: bool = True
    usd_per_month: Callable[[Item], float] = lambda _item: 0.0
    proofs: tuple[str, ...] = ()
    structural: bool = False
    held_by: tuple[str, ...] = ()
    reborn: bool = False


@dataclass(frozen=True)
class DeleteOutcome:
    """What one attempt to delete did.

    ``deleted``: asked for, or already gone. ``retry``: something still holds it, or throttled.
    ``refused``: denied, or a service owns it; it is reported and not tried again.
    """

    status: Literal["deleted", "retry", "refused"]
    why: str = ""


class Cloud(Protocol):
    """One account or project. Implementations are safe to call from several threads."""

    scope: Scope

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The types it knows, by name."""

    def snapshot(
        self, types: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Snapshot:
        """List everything, all types and regions in parallel; never raises for a failed list.

        Every type and region ends as one :class:`Coverage`.
        """

    def read(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        """Read items again, None for those that are gone; raises when that can't be told."""

    def delete(self, item: Item) -> DeleteOutcome:
        """Ask for one item's deletion, with what must be emptied or detached first."""

    def running_clusters(self) -> dict[tuple[str, str], bool | None]:
        """Return for each Kubernetes cluster (region, name) whether it runs; None: not known.

        A cluster that isn't a key was looked for and isn't there; a region whose listing failed
        has the key ``(region, "*")`` with None.
        """
