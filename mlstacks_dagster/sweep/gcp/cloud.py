"""A Google project as the sweep sees it: list, read again, delete, look for clusters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from mlstacks_dagster.sweep.gcp.access import GcpAccess
from mlstacks_dagster.sweep.gcp.assemble import assemble, coverage_of, is_running, running_from
from mlstacks_dagster.sweep.gcp.calls import ApiError
from mlstacks_dagster.sweep.gcp.catalog import KINDS, GcpKind
from mlstacks_dagster.sweep.gcp.items import INDEX, known_types
from mlstacks_dagster.sweep.gcp.joins import known_clusters, region_of
from mlstacks_dagster.sweep.gcp.listing import (
    Listed,
    list_clusters,
    list_kind,
    list_regions,
    search_assets,
)
from mlstacks_dagster.sweep.gcp.reading import Reader
from mlstacks_dagster.sweep.gcp.regional import list_regional
from mlstacks_dagster.sweep.gcp.removal import Remover
from mlstacks_dagster.sweep.inventory.handlers import DeleteOutcome, Kind, Progress
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Coverage, Item, Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from mlstacks_dagster.sweep.marks import has_marks

__all__ = ["GcpCloud"]

_WORKERS = 16
_CLUSTERS = "container:cluster"
_JOINS = ("compute:firewall", _CLUSTERS)
_NEEDS = {
    "compute:instance-group": "compute:instance-group-manager",
    "compute:instance-group-manager": "compute:instance-template",
    "compute:subnetwork": "compute:network",
}
"""Types that can only be judged together with another."""


class GcpCloud:
    """One Google project; implements :class:`handlers.Cloud`, safe between threads.

    ``scope.account`` is the project's id; no ``scope.regions`` means all that it has.
    ``clusters`` are those that stacks of ours have or had: what states only a cluster's id is
    proven by ``ClusterFact.uid`` (see :func:`joins.known_clusters`). ``now`` is Unix time in
    seconds. ``patience`` is for how many seconds one deletion may be awaited.
    """

    def __init__(
        self,
        scope: Scope,
        access: GcpAccess | None = None,
        *,
        clusters: Sequence[ClusterFact] = (),
        now: Callable[[], float] = time.time,
        patience: float = 300.0,
    ) -> None:
        self.scope = scope
        self.access = access or GcpAccess()
        self._facts = tuple(fact for fact in clusters if fact.account == scope.account)
        self._now = now
        self._lock = threading.Lock()
        self._deleted: set[Ref] = set()
        self._remover = Remover(self.access, scope.account, patience)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The types it knows, by name."""
        return KINDS

    def snapshot(
        self, types: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Snapshot:
        """List everything (or ``types``), all in parallel; never raises for a failed list.

        Firewall rules and clusters are listed and covered always: they prove others' owners.
        ``taken_at`` is when it began; the snapshot's scope has the regions that were found.
        """
        began, started, calls = self._now(), self.access.caller.clock(), self.access.caller.calls
        tell = progress or (lambda _text: None)
        asked = set(KINDS if types is None else types)
        wanted = asked & set(KINDS)
        kinds = known_types({*wanted, *_JOINS, *(_NEEDS.get(type_, _CLUSTERS) for type_ in wanted)})
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="gcp-sweep") as pool:
            regions = pool.submit(self._regions)
            found = self._list(kinds, pool, tell)
        found = self._ask_index(found, tell)
        known = known_clusters(self._facts, running_from(found[_CLUSTERS].raws))
        blind = bool(found[_CLUSTERS].error or found[_CLUSTERS].failed)
        items = self._without_gone(assemble(found, self.scope.account, known, blind))
        places, trouble = regions.result()
        return Snapshot(
            scope=self.scope.model_copy(update={"regions": places}),
            taken_at=began,
            items=self._inside_scope(item for type_ in sorted(wanted) for item in items[type_]),
            coverage=(
                *self._coverage(kinds, found, items, places, trouble),
                *(
                    Coverage(type=type_, region="*", status="failed", why="not a known type")
                    for type_ in sorted(asked - wanted)
                ),
            ),
            calls=self.access.caller.calls - calls,
            seconds=self.access.caller.clock() - started,
        )

    def _list(
        self, kinds: Sequence[GcpKind], pool: ThreadPoolExecutor, tell: Progress
    ) -> dict[str, Listed]:
        project = self.scope.account
        services = groupby(
            sorted((kind for kind in kinds if kind.by_asset), key=lambda kind: kind.host),
            key=lambda kind: kind.host,
        )
        regional = [
            pool.submit(list_regional, self.access, list(group), project, self.scope.regions)
            for _host, group in services
        ]
        waiting = {
            kind.type: pool.submit(list_clusters, self.access, project)
            if kind.type == _CLUSTERS
            else pool.submit(list_kind, self.access, kind, project)
            for kind in kinds
            if not kind.by_asset
        }
        found = {}
        for type_, future in waiting.items():
            found[type_] = future.result()
            tell(f"{project}: {KINDS[type_].title}: {len(found[type_].raws)}")
        for group in regional:
            found |= group.result()
        return found

    def _ask_index(self, found: dict[str, Listed], tell: Progress) -> dict[str, Listed]:
        """Ask the asset index for the types whose API is switched off in the project."""
        off = [
            KINDS[type_]
            for type_, listed in found.items()
            if listed.error is not None and listed.error.disabled
        ]
        if not off:
            return found
        tell(f"{self.scope.account}: asking the asset index for {len(off)} switched-off types")
        answers = search_assets(self.access, off, self.scope.account)
        for listed in answers.values():
            listed.note = "its API is switched off; by the asset index"
        return found | answers

    def _without_gone(self, items: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
        """Leave out what only the index has and its own API calls gone: the index lags behind.

        Asked about what is or may be ours, and what we deleted. What can't be read stays in.
        """
        with self._lock:
            deleted = set(self._deleted)
        return {
            type_: [
                item
                for item in group
                if item.facts.get("seen-in") != INDEX
                or not (item.ref in deleted or item.clusters or has_marks(item.tags or {}))
                or not self._is_gone(item)
            ]
            for type_, group in items.items()
        }

    def _is_gone(self, item: Item) -> bool:
        try:
            return self.read([item.ref])[item.ref] is None
        except ApiError:
            return False

    def _regions(self) -> tuple[tuple[str, ...], str]:
        """Return the regions to cover and why they aren't all known."""
        if self.scope.regions:
            return self.scope.regions, ""
        listed = list_regions(self.access, self.scope.account)
        names = tuple(sorted(raw["name"] for raw in listed.raws))
        return names, listed.error.message if listed.error else ""

    def _inside_scope(self, items: Iterable[Item]) -> tuple[Item, ...]:
        regions = self.scope.regions
        kept = (item for item in items if not regions or item.ref.region in (*regions, GLOBAL))
        return tuple(sorted(kept, key=lambda item: (item.ref.type, item.ref.region, item.ref.id)))

    def _coverage(
        self,
        kinds: Sequence[GcpKind],
        found: Mapping[str, Listed],
        items: Mapping[str, Sequence[Item]],
        regions: Sequence[str],
        trouble: str,
    ) -> tuple[Coverage, ...]:
        rows: list[Coverage] = []
        whole = not self.scope.regions
        for kind in kinds:
            rows += coverage_of(kind, found[kind.type], regions, items[kind.type], whole)
            if trouble and not kind.is_global:
                why = f"the project's regions aren't known: {trouble}"
                rows.append(Coverage(type=kind.type, region="*", status="failed", why=why))
        return tuple(rows)

    def read(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        """Read items again, None for those that are gone.

        Compute's objects are read many in a call. Raises ApiError when one can't be told.
        """
        reader = Reader(self.access, self.scope.account, self._facts)
        return reader.read(refs)

    def delete(self, item: Item) -> DeleteOutcome:
        """Ask for one item's deletion and await it for a while; never raises for a refusal."""
        outcome = self._remover.delete(item)
        if outcome.status == "deleted":
            with self._lock:
                self._deleted.add(item.ref)
        return outcome

    def running_clusters(self) -> dict[tuple[str, str], bool | None]:
        """Return (region, name) of each GKE cluster, and whether it runs; None: not known.

        A zonal cluster has two keys, its zone and its region. What couldn't be listed has the
        name ``*``: all regions of the scope and of known clusters, and ``("*", "*")``.
        """
        listed = list_clusters(self.access, self.scope.account)
        result: dict[tuple[str, str], bool | None] = {}
        for raw in listed.raws:
            location, name = str(raw.get("location")), str(raw.get("name"))
            for place in {location, region_of(location)}:
                result[(place, name)] = is_running(raw)
        unknown = set(listed.failed)
        if listed.error is not None:
            unknown |= {"*", *self.scope.regions, *(fact.region for fact in self._facts)}
        for place in unknown:
            result[(place, "*")] = result[(region_of(place), "*")] = None
        return result
