"""Finds the Google projects to look at."""

from __future__ import annotations

from collections.abc import Sequence

from mlstacks_dagster.sweep.gcp.access import GcpAccess
from mlstacks_dagster.sweep.inventory.model import Scope

__all__ = ["find_projects"]


def find_projects(
    access: GcpAccess,
    query: str = "",
    *,
    only: Sequence[str] = (),
    regions: Sequence[str] = (),
) -> tuple[Scope, ...]:
    """Return a scope for each active project that the identity may see, by its id.

    ``query`` is Resource Manager's, such as ``labels.team:ml``; ``only`` keeps these project ids;
    ``regions`` are taken over into the scopes. Raises ApiError when a page can't be had, since
    half a list would hide projects.
    """
    scopes = {}
    request = {"query": query, "page_size": 100}
    while True:
        client = access.projects()
        page = access.page("cloudresourcemanager", client.search_projects, request)
        for project in page.get("projects") or ():
            name = str(project.get("projectId"))
            if project.get("state") == "ACTIVE" and (not only or name in only):
                scopes[name] = Scope(
                    provider="gcp",
                    account=name,
                    alias=str(project.get("displayName") or ""),
                    regions=tuple(regions),
                )
        request["page_token"] = page.get("nextPageToken") or ""
        if not request["page_token"]:
            return tuple(scopes[name] for name in sorted(scopes))
