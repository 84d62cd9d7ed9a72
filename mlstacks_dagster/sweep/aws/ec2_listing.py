"""How EC2's describe calls are used, for all of its types alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlstacks_dagster.sweep.aws.look import Look, Raw, batches
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = [
    "GOES_ALONG",
    "MADE_PROOFS",
    "TAG_PROOFS",
    "VPC_PROOFS",
    "Listing",
    "by",
    "flag",
    "in_vpc",
]

_IDS_PER_CALL = 200

GOES_ALONG = "goes-with-instance"
"""The fact of what is a part of an instance: not listed, since it goes with that."""

TAG_PROOFS = ("T1 our tags", "T2 tag of a cluster of ours")
VPC_PROOFS = (*TAG_PROOFS, "inside a VPC of ours (only reported)")
MADE_PROOFS = (*TAG_PROOFS, "T3 made by an AWS service or controller inside a VPC of ours")


def flag(value: object) -> str:
    """Return a fact's text for yes; no is left out."""
    return "true" if value else ""


def in_vpc(look: Look, raw: Raw, made: object) -> dict[str, tuple[Ref, ...]]:
    """Return how a thing of a structural type is tied to its VPC.

    What a service or controller ``made`` is inside of it, which proves whose it is. What people
    may have made only uses it: that proves nothing, but the VPC can't go before it.
    """
    vpc = look.refs("ec2:vpc", [raw.get("VpcId")])
    return {"inside": vpc, "uses": ()} if made else {"inside": (), "uses": vpc}


@dataclass(frozen=True)
class Listing:
    """One describe call: its name, where items are in the answer, the biggest page it takes.

    ``make`` turns an entry into an item, None when it is of no interest. ``id_filter`` names
    the filter by id, which says nothing of what is gone, where a list of ids would fail;
    without one ``read`` can't be used.
    """

    operation: str
    key: str
    limit: int | None
    make: Callable[[Look, Raw], Item | None]
    id_filter: str = ""
    more: Mapping[str, Any] | None = None
    parameter: str = "Filters"
    unwrap: str | None = None

    def find(self, look: Look, filters: Sequence[dict[str, Any]] = ()) -> Iterator[Item]:
        """Yield all items of the region that pass ``filters``."""
        return self._items(look, self.raws(look, filters))

    def read(self, look: Look, ids: Sequence[str]) -> Iterator[Item]:
        """Yield those of ``ids`` that exist."""
        for some in batches(list(ids), _IDS_PER_CALL):
            yield from self._items(look, self.raws(look, by(self.id_filter, some)))

    def raws(self, look: Look, filters: Sequence[dict[str, Any]] = ()) -> Iterator[Raw]:
        """Yield AWS's own entries that pass ``filters``."""
        params = {**(self.more or {}), **({self.parameter: list(filters)} if filters else {})}
        for entry in look.pages("ec2", self.operation, self.key, self.limit, **params):
            yield from entry[self.unwrap] if self.unwrap else (entry,)

    def _items(self, look: Look, raws: Iterable[Raw]) -> Iterator[Item]:
        for raw in raws:
            item = self.make(look, raw)
            if item is not None:
                yield item


def by(name: str, values: Sequence[str]) -> list[dict[str, Any]]:
    """Return the filter for things of which ``name`` is one of ``values``."""
    return [{"Name": name, "Values": list(values)}]
