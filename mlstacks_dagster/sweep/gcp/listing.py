"""Lists one type with one call a page, for all its locations at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlstacks_dagster.sweep.gcp.access import GcpAccess, as_dict
from mlstacks_dagster.sweep.gcp.calls import ApiError, translate
from mlstacks_dagster.sweep.gcp.catalog import GcpKind
from mlstacks_dagster.sweep.gcp.joins import region_of
from mlstacks_dagster.sweep.inventory.model import GLOBAL

__all__ = [
    "Listed",
    "attempt",
    "client_name",
    "list_clusters",
    "list_kind",
    "list_regions",
    "places",
    "search_assets",
]

_PAGE = 500
_HARMLESS = {
    "NO_RESULTS_ON_PAGE", "DEPRECATED_RESOURCE_USED", "EXPERIMENTAL_TYPE_USED",
    "DEPRECATED_TYPE_USED", "CLEANUP_FAILED",
}  # fmt: skip


@dataclass
class Listed:
    """What a list gave: objects as the API's JSON; ``failed`` places with why; ``error``: all.

    Objects that were read before an error stay.
    """

    raws: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    error: ApiError | None = None
    note: str = ""


def list_kind(access: GcpAccess, kind: GcpKind, project: str, where: str = "") -> Listed:
    """List a type of compute or of plain REST, with the API's ``where`` as filter; never raises."""
    listed = Listed()
    attempt(listed, lambda: _list_into(listed, access, kind, project, where))
    return listed


def attempt(listed: Listed, work: Any) -> None:
    """Run ``work``; put what it raises into ``listed.error``: a list never fails silently."""
    try:
        work()
    except Exception as exc:  # noqa: BLE001
        error = translate(exc)
        listed.error = error or ApiError(0, type(exc).__name__, str(exc))


def _list_into(listed: Listed, access: GcpAccess, kind: GcpKind, project: str, where: str) -> None:
    if kind.by_compute:
        _compute(listed, access, kind, project, where)
    elif kind.rest is not None:
        path = kind.rest.path.format(project=project)
        params = {key: value.format(project=project) for key, value in kind.rest.params}
        for page in access.pages(kind.host, path, kind.rest.key, params):
            listed.raws.extend(page)


def _compute(listed: Listed, access: GcpAccess, kind: GcpKind, project: str, where: str) -> None:
    client = access.compute(client_name(kind))
    spread = hasattr(client, "aggregated_list")
    method = client.aggregated_list if spread else client.list
    request: dict[str, Any] = {"project": project, "max_results": _PAGE}
    request |= {"filter": where} if where else {}
    while True:
        page = access.page("compute", method, request)
        if spread:
            _take_scopes(listed, kind, page)
        else:
            listed.raws.extend(page.get("items") or ())
            _take_warning(listed, "*", page.get("warning"))
        token = page.get("nextPageToken")
        if not token:
            return
        request["page_token"] = token


def _take_scopes(listed: Listed, kind: GcpKind, page: Mapping[str, Any]) -> None:
    """Take one page of an aggregated list: objects by zone, region or global."""
    for scope, part in (page.get("items") or {}).items():
        listed.raws.extend(part.get(kind.collection) or ())
        _take_warning(listed, scope.rpartition("/")[2], part.get("warning"))
    for link in page.get("unreachables") or ():
        listed.failed[str(link).rpartition("/")[2]] = "the API couldn't reach it"
    _take_warning(listed, "*", page.get("warning"))


def _take_warning(listed: Listed, place: str, warning: Mapping[str, Any] | None) -> None:
    if warning and warning.get("code") not in _HARMLESS:
        listed.failed[place] = f"{warning.get('code')}: {warning.get('message', '')}"


def client_name(kind: GcpKind) -> str:
    """Return the class in google-cloud-compute that lists a type."""
    return kind.collection[0].upper() + kind.collection[1:] + "Client"


def list_regions(access: GcpAccess, project: str) -> Listed:
    """List the regions of a project; ``raws`` are ``{"name": ...}``."""
    listed = Listed()

    def work() -> None:
        request: dict[str, Any] = {"project": project, "max_results": _PAGE}
        while True:
            page = access.page("compute", access.compute("RegionsClient").list, request)
            listed.raws.extend({"name": entry["name"]} for entry in page.get("items") or ())
            request["page_token"] = page.get("nextPageToken") or ""
            if not request["page_token"]:
                return

    attempt(listed, work)
    return listed


def list_clusters(access: GcpAccess, project: str) -> Listed:
    """List a project's GKE clusters in all locations; ``failed`` are zones that didn't answer."""
    listed = Listed()

    def work() -> None:
        client = access.clusters()
        parent = {"parent": f"projects/{project}/locations/-"}
        answer = as_dict(access.ask("container", client.list_clusters, parent))
        listed.raws.extend(answer.get("clusters") or ())
        for zone in answer.get("missingZones") or ():
            listed.failed[str(zone)] = "GKE had no answer from it"

    attempt(listed, work)
    return listed


def search_assets(access: GcpAccess, kinds: Sequence[GcpKind], project: str) -> dict[str, Listed]:
    """Find all objects of several types in one go by Cloud Asset Inventory, by type; no raise.

    It is an index and lags by minutes: it stands in only where an API is switched off.
    """
    by_asset = {kind.asset: kind for kind in kinds}
    found = {kind.type: Listed(note="by the asset index") for kind in kinds}
    whole = Listed()

    def work() -> None:
        request: dict[str, Any] = {
            "scope": f"projects/{project}", "asset_types": sorted(by_asset), "page_size": _PAGE,
        }  # fmt: skip
        while True:
            client = access.asset()
            page = access.page("cloudasset", client.search_all_resources, request)
            for hit in page.get("results") or ():
                kind = by_asset.get(str(hit.get("assetType")))
                if kind is not None:
                    found[kind.type].raws.append(_raw_of_asset(kind, hit))
            request["page_token"] = page.get("nextPageToken") or ""
            if not request["page_token"]:
                return

    if kinds:
        attempt(whole, work)
    for listed in found.values():
        listed.error = whole.error
    return found


def _raw_of_asset(kind: GcpKind, hit: Mapping[str, Any]) -> dict[str, Any]:
    """Give a search hit the shape that the type's own API has."""
    path = str(hit.get("name") or "").split("/", 3)[-1]
    labels: Any = dict(hit.get("labels") or {})
    for key in reversed(kind.labels_at.split(".")):
        labels = {key: labels}
    raw = {
        "name": path.rpartition("/")[2] if kind.host in _SHORT_NAMES else path,
        "selfLink": path, "displayName": hit.get("displayName"), "fromIndex": True,
        "description": hit.get("description"), "location": hit.get("location"),
        "createTime": hit.get("createTime"), "state": hit.get("state"), **labels,
    }  # fmt: skip
    if kind.type == "iam:service-account":
        raw["email"] = path.rpartition("/")[2]
    return raw


_SHORT_NAMES = ("compute", "container", "storage", "sqladmin", "dns")


def places(listed: Listed, regions: Iterable[str], kind: GcpKind) -> list[str]:
    """Return the places that a list's end must be told for: regions, and global where apt."""
    if kind.is_global:
        return [GLOBAL]
    named = {region_of(place) for place in listed.failed if place != "*"}
    return sorted({*regions, *([GLOBAL] if kind.spreads or kind.by_asset else []), *named})
