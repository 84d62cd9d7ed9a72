"""Lists the types whose APIs answer for one location at a time: in each that the service has.

The asset index has them all in one go, but minutes late. A teardown is proven by this instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlstacks_dagster.sweep.gcp.access import GcpAccess
from mlstacks_dagster.sweep.gcp.calls import ApiError
from mlstacks_dagster.sweep.gcp.catalog import GcpKind
from mlstacks_dagster.sweep.gcp.joins import region_of
from mlstacks_dagster.sweep.gcp.listing import Listed, attempt
from mlstacks_dagster.sweep.gcp.reading import host_of
from mlstacks_dagster.sweep.inventory.model import GLOBAL

__all__ = ["list_regional"]

_PAGE = 100
_WORKERS = 8
_ANYWHERE = "-"
_WHOLE = {"notebooks"}
"""Services that answer for all locations at once."""


def list_regional(
    access: GcpAccess, kinds: Sequence[GcpKind], project: str, regions: Collection[str] = ()
) -> dict[str, Listed]:
    """List the types of one service in all its locations, by type; never raises.

    No ``regions`` means all; what is in several regions at once is listed always. A location
    that fails is named in ``failed``; what is denied or switched off ends the whole type.
    """
    found = {kind.type: Listed() for kind in kinds}
    asked = Listed()
    attempt(asked, lambda: asked.raws.extend(_locations(access, kinds[0], project, regions)))
    if asked.error is not None:
        for listed in found.values():
            listed.error = asked.error
        return found
    places = [str(raw["locationId"]) for raw in asked.raws]
    work = [(kind, place) for kind in kinds for place in places]
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="gcp-regional") as pool:
        parts = pool.map(lambda one: _list_place(access, one[0], project, one[1]), work)
        for (kind, place), part in zip(work, parts, strict=True):
            _take(found[kind.type], place, part)
    return found


def _locations(
    access: GcpAccess, kind: GcpKind, project: str, regions: Collection[str]
) -> list[dict[str, Any]]:
    """Return the locations of a service; none at all is taken for a failure."""
    if kind.host in _WHOLE:
        return [{"locationId": _ANYWHERE}]
    path = f"v1/projects/{project}/locations"
    params = {"pageSize": _PAGE}
    every = [one for page in access.pages(kind.host, path, "locations", params) for one in page]
    if not every:
        raise ApiError(0, "noLocations", f"{kind.host} names no location that it has")
    return [one for one in every if _is_wanted(region_of(str(one["locationId"])), regions)]


def _is_wanted(region: str, regions: Collection[str]) -> bool:
    return not regions or region in regions or _is_multi(region)


def _is_multi(region: str) -> bool:
    """A multi-region, such as ``europe``: what is there counts as global."""
    return "-" not in region


def _list_place(access: GcpAccess, kind: GcpKind, project: str, place: str) -> Listed:
    listed = Listed()
    path = f"{kind.version}/projects/{project}/locations/{place}/{kind.collection}"
    host = kind.host if place == _ANYWHERE else host_of(kind, path)

    def work() -> None:
        for page in access.pages(host, path, kind.collection, {"pageSize": _PAGE}):
            listed.raws.extend(page)

    attempt(listed, work)
    return listed


def _take(listed: Listed, place: str, part: Listed) -> None:
    listed.raws.extend(part.raws)
    if part.error is None:
        return
    if part.error.denied or place == _ANYWHERE:
        listed.error = part.error
    else:
        listed.failed[GLOBAL if _is_multi(place) else place] = part.error.message
