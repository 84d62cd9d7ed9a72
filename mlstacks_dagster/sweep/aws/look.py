"""One look at one region: calls, what is asked once, and items in our words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from mlstacks_dagster.sweep.aws.calls import Caller
from mlstacks_dagster.sweep.aws.errors import Meaning, meaning
from mlstacks_dagster.sweep.aws.names import clusters_of, owner_hint, tag_map
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from mlstacks_dagster.sweep.marks import INSTALL

__all__ = ["Handler", "Look", "Memo", "Raw", "batches", "pieces"]

Raw = Mapping[str, Any]
"""An answer of AWS, or a part of it."""

_T = TypeVar("_T")

# Services whose own listings come without tags.
_INDEXED = ("acm", "ecr", "events", "kms", "logs", "rds", "s3", "sagemaker", "sqs")


class Memo:
    """Remembers what is asked once in a look, whichever thread asks first; errors too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def once(self, key: str, make: Callable[[], _T]) -> _T:
        """Return what ``make`` gave the first who asked for ``key``; raises what it raised."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if not entry.done:
                try:
                    entry.value = make()
                except Exception as error:  # noqa: BLE001 - raised again for everyone who asks
                    entry.error = error
                entry.done = True
        if entry.error is not None:
            raise entry.error
        value: _T = entry.value
        return value


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Look:
    """One region of one account during one snapshot, read or delete.

    ``region`` is where items are (``global`` for what has no region), ``asked`` the region whose
    endpoints answer, ``regions`` all that are looked at. ``prefix`` begins the names of what
    stacks make. ``clock`` gives Unix time. ``clusters`` are those that stacks have or had.
    """

    caller: Caller
    account: str
    region: str
    asked: str
    regions: tuple[str, ...]
    prefix: str
    memo: Memo
    clock: Callable[[], float]
    clusters: tuple[ClusterFact, ...] = ()

    def elsewhere(self, region: str) -> Look:
        """Return the same look at another region; what was asked once there is shared."""
        return replace(self, region=region, asked=region)

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Make one call; raises botocore's errors."""
        return self.caller.call(self.asked, service, operation, **params)

    def call_unless_gone(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Make one call, a step of a deletion; that its thing is gone is as good as done."""
        try:
            return self.call(service, operation, **params)
        except Exception as error:
            if meaning(error) != "gone":
                raise
            return {}

    def pages(
        self, service: str, operation: str, key: str, limit: int | None = None, **params: Any
    ) -> Iterator[Any]:
        """Yield what is under ``key`` in all pages; raises when any of them fails."""
        return self.caller.pages(self.asked, service, operation, key, limit, **params)

    def once(self, key: str, make: Callable[[], _T]) -> _T:
        """Ask once in this look and region."""
        return self.memo.once(f"{self.region}|{key}", make)

    def cluster_names(self) -> tuple[str, ...]:
        """Return the names of the region's EKS clusters, in whatever state; asked once."""
        return tuple(
            self.once(
                "eks:names",
                lambda: [str(n) for n in self.pages("eks", "list_clusters", "clusters", 100)],
            )
        )

    def index(self) -> Mapping[str, dict[str, str]]:
        """Return the tags of marked things by ARN, from the tagging API's index.

        The index may lag and keeps what is gone: it proves tags, never existence.
        """
        return self.once("index", self._read_index)

    def _read_index(self) -> dict[str, dict[str, str]]:
        found = self.pages(
            "resourcegroupstaggingapi",
            "get_resources",
            "ResourceTagMappingList",
            100,
            ResourceTypeFilters=list(_INDEXED),
            TagFilters=[{"Key": INSTALL}],
        )
        return {_arn(entry["ResourceARN"]): tag_map(entry["Tags"]) for entry in found}

    def ref(self, type_: str, identifier: str) -> Ref:
        """Name a thing of this region."""
        return Ref(type=type_, region=self.region, id=identifier)

    def refs(self, type_: str, identifiers: Iterable[str | None]) -> tuple[Ref, ...]:
        """Name several things of this region, without doubles and without empty ids."""
        return tuple(self.ref(type_, i) for i in dict.fromkeys(identifiers) if i)

    def item(  # noqa: PLR0913 - an item has that many sides
        self,
        type_: str,
        identifier: str,
        *,
        name: str = "",
        tags: Any = (),
        created: float | None = None,
        inside: tuple[Ref, ...] = (),
        uses: tuple[Ref, ...] = (),
        used_by: tuple[Ref, ...] = (),
        texts: Iterable[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Item:
        """Make an item; ``tags`` in AWS's form, None when they could not be read.

        ``texts`` are descriptions that may name a cluster; empty facts are left out.
        """
        known = None if tags is None else tag_map(tags)
        called = name or (known or {}).get("Name", "")
        said = {k: str(v) for k, v in (facts or {}).items() if v not in (None, "", [], ())}
        if hint := owner_hint(called) or owner_hint(identifier):
            said["owner-hint"] = hint
        return Item(
            ref=self.ref(type_, identifier),
            name=called,
            tags=known,
            created=created,
            inside=inside,
            uses=uses,
            used_by=used_by,
            clusters=clusters_of(known, texts),
            facts=said,
        )

    @property
    def is_home(self) -> bool:
        """Whether stacks of ours are or were in this region.

        There the index, which is late, isn't enough: what may have their names is listed too.
        """
        return any(fact.region == self.region for fact in self.clusters)

    @property
    def is_global(self) -> bool:
        """Whether this looks at what has no region."""
        return self.region == GLOBAL


@dataclass(frozen=True)
class Handler:
    """How one type is listed, read again and deleted.

    ``find`` yields all that could be ours and raises when a page fails. ``read`` does so for some
    ids only; None: list, then pick. ``delete`` asks for deletion; it returns why to come back
    later, or nothing when it was asked for, and raises what AWS raised; ``codes`` are the type's
    own readings of error codes.
    """

    kind: Kind
    find: Callable[[Look], Iterable[Item]]
    delete: Callable[[Look, Item], str | None]
    read: Callable[[Look, Sequence[str]], Iterable[Item]] | None = None
    codes: Mapping[str, Meaning] = field(default_factory=dict)


def batches(values: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield ``values`` in pieces of ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def pieces(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield ``values`` in pieces of ``size``, taking no more than a piece at a time."""
    left = iter(values)
    while piece := list(islice(left, size)):
        yield piece


def _arn(text: str) -> str:
    """Clean an ARN: an emulator gives some as a Python tuple's text."""
    return text.strip("()',")
