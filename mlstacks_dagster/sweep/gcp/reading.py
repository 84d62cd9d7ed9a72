"""Reads single items again, for planning's sake many in a call where the API can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, TypeVar

from mlstacks_dagster.sweep.gcp.access import GcpAccess, as_dict
from mlstacks_dagster.sweep.gcp.assemble import assemble, running_from
from mlstacks_dagster.sweep.gcp.calls import ApiError
from mlstacks_dagster.sweep.gcp.catalog import KINDS, GcpKind, snake
from mlstacks_dagster.sweep.gcp.joins import known_clusters, region_of
from mlstacks_dagster.sweep.gcp.listing import Listed, list_clusters, list_kind
from mlstacks_dagster.sweep.gcp.names import load_balancer_of
from mlstacks_dagster.sweep.inventory.model import Item, Ref
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

__all__ = ["Reader", "compute_client", "compute_place", "host_of", "path_of"]

_T = TypeVar("_T")
_BATCH = 25
_WORKERS = 8


class Reader:
    """Reads items of one project again."""

    def __init__(self, access: GcpAccess, project: str, facts: Sequence[ClusterFact]) -> None:
        self._access, self._project, self._facts = access, project, facts
        self._alone: set[Ref] = set()

    def read(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        """Return each item, None when it is gone; raises ApiError when that can't be told."""
        unknown = sorted({ref.type for ref in refs if ref.type not in KINDS})
        if unknown:
            raise ApiError(400, "unknownType", f"types that aren't known: {', '.join(unknown)}")
        found = {ref.type: Listed() for ref in refs}
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="gcp-read") as pool:
            clusters = pool.submit(list_clusters, self._access, self._project)
            for type_, raws in pool.map(self._read_some, _batches(refs)):
                found[type_].raws.extend(raws)
        running = clusters.result()
        if running.error is not None:
            raise running.error
        self._add_rules(found, refs)
        known = known_clusters(self._facts, running_from(running.raws))
        items = assemble(found, self._project, known, blind=bool(running.failed))
        by_ref = {item.ref: item for group in items.values() for item in group}
        for ref in self._alone - set(by_ref):
            raise ApiError(502, "otherName", f"{ref} answers, but under another name")
        return {ref: by_ref.get(ref) for ref in refs}

    def _read_some(self, refs: Sequence[Ref]) -> tuple[str, list[dict[str, Any]]]:
        kind = KINDS[refs[0].type]
        if kind.by_compute and len(refs) > 1:
            return kind.type, self._by_filter(kind, refs)
        return kind.type, [raw for ref in refs if (raw := self._one(kind, ref)) is not None]

    def _by_filter(self, kind: GcpKind, refs: Sequence[Ref]) -> list[dict[str, Any]]:
        """Read many by one list; a place that fails to answer can't say that one is gone."""
        listed = list_kind(self._access, kind, self._project, _names_filter(refs))
        if listed.error is not None:
            raise listed.error
        failed = {region_of(place) for place in listed.failed}
        for ref in refs:
            if failed & {"*", ref.region}:
                raise ApiError(503, "unreachable", f"{ref.region} doesn't answer for {ref}")
        return listed.raws

    def _one(self, kind: GcpKind, ref: Ref) -> dict[str, Any] | None:
        try:
            raw = self._get(kind, ref)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        if raw.get("deleted"):
            return None
        self._alone.add(ref)
        return raw

    def _get(self, kind: GcpKind, ref: Ref) -> dict[str, Any]:
        access = self._access
        if kind.by_compute:
            client, field = compute_client(access, kind, ref.id), snake(kind.collection)
            request = {**compute_place(ref.id), field: ref.id.rpartition("/")[2]}
            return as_dict(access.ask("compute", client.get, request))
        if kind.type == "container:cluster":
            return as_dict(access.ask("container", access.clusters().get_cluster, {"name": ref.id}))
        return access.rest("GET", host_of(kind, ref.id), path_of(kind, ref.id))

    def _add_rules(self, found: dict[str, Listed], refs: Sequence[Ref]) -> None:
        """Read the firewall rules that say whose the load balancers among ``refs`` are."""
        names = {load_balancer_of(ref.id.rpartition("/")[2]) for ref in refs} - {""}
        kind = KINDS["compute:firewall"]
        rules = found.setdefault(kind.type, Listed())
        for chunk in _chunks(sorted(names)):
            where = " OR ".join(f'(name = "k8s-fw-{name}")' for name in chunk)
            listed = list_kind(self._access, kind, self._project, where)
            if listed.error is not None:
                raise listed.error
            rules.raws.extend(listed.raws)


def _batches(refs: Sequence[Ref]) -> Iterator[list[Ref]]:
    """Yield refs of one type each, some at a time."""
    ordered = sorted(set(refs), key=lambda ref: (ref.type, ref.region, ref.id))
    for _type, group in groupby(ordered, key=lambda ref: ref.type):
        yield from _chunks(list(group))


def _chunks(things: Sequence[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(things), _BATCH):
        yield list(things[start : start + _BATCH])


def _names_filter(refs: Sequence[Ref]) -> str:
    names = sorted({ref.id.rpartition("/")[2] for ref in refs})
    return " OR ".join(f'(name = "{name}")' for name in names)


def compute_place(identity: str) -> dict[str, str]:
    """Return project and zone or region of a compute resource's full name, as requests do."""
    parts = identity.split("/")
    place = {"project": parts[1]}
    if parts[2] in ("zones", "regions"):
        place[parts[2].removesuffix("s")] = parts[3]
    return place


def compute_client(access: GcpAccess, kind: GcpKind, identity: str) -> Any:
    """Return the client that gets and deletes a compute resource where it is."""
    base = kind.collection[0].upper() + kind.collection[1:]
    place: Mapping[str, str] = compute_place(identity)
    prefix = "" if "zone" in place else "Region" if "region" in place else "Global"
    name = f"{prefix}{base}Client"
    return access.compute(name if access.has(name) else f"{base}Client")


def host_of(kind: GcpKind, identity: str) -> str:
    """Return the first name of the host that serves an object; Vertex has one a location."""
    if kind.host != "aiplatform":
        return kind.host
    return f"{identity.partition('/locations/')[2].partition('/')[0]}-aiplatform"


def path_of(kind: GcpKind, identity: str) -> str:
    """Return an object's path in its API."""
    prefix = f"{kind.version}/b/" if kind.type == "storage:bucket" else f"{kind.version}/"
    return prefix + identity
