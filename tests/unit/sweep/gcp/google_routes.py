"""The calls of the stand-in that are more than get, list and delete."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from tests.unit.sweep.gcp.fake_google import Answer, Body, Request, World, error, filtered


def _aggregated(world: World, request: Request, project: str, collection: str) -> Answer:
    hits = []
    for path, data in sorted(world.objects.items()):
        found = re.fullmatch(
            rf"compute/v1/projects/{project}/((?:zones|regions)/[^/]+|global)/{collection}/[^/]+",
            path,
        )
        if found and not set(world.unreachable) & set(found[1].split("/")):
            hits.append((found[1], data))
    kept = filtered([data for _, data in hits], request)
    page = world.paged(request, "all", [hit for hit in hits if hit[1] in kept])
    items: dict[str, Body] = defaultdict(dict)
    for region in world.regions:
        note = {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results"}
        items[f"regions/{region}"] = {"warning": note}
    for scope, data in page.pop("all"):
        items[scope].pop("warning", None)
        items[scope].setdefault(collection, []).append(data)
    for place in world.unreachable:
        items[f"regions/{place}"] = {"warning": {"code": "UNREACHABLE", "message": "no answer"}}
    return 200, {"items": items, **page}


def _regions(world: World, request: Request, _project: str) -> Answer:
    return 200, world.paged(request, "items", [{"name": region} for region in world.regions])


def _locations(world: World, request: Request, _project: str) -> Answer:
    named = [{"locationId": place} for place in (*world.regions, *world.multi_regions)]
    return 200, world.paged(request, "locations", named)


def _search(world: World, request: Request, project: str) -> Answer:
    types = request.query["assetTypes"].split(",")
    hits = []
    for path, asset in sorted(world.assets.items()):
        data = world.objects[path]
        if asset in types and f"/{project}/" in path:
            bare = re.sub(r"^(compute/v1|v\d|sql/v1beta4|dns/v1)/", "", path)
            hits.append({
                "name": f"//{asset.partition('/')[0]}/{bare}", "assetType": asset,
                "project": "projects/1", "displayName": data.get("displayName", data["name"]),
                "labels": data.get("labels", {}), "description": data.get("description", ""),
                "createTime": data.get("createTime", "2026-01-01T08:00:00Z"),
                "location": _location(bare),
            })  # fmt: skip
    return 200, world.paged(request, "results", hits)


def _location(name: str) -> str:
    found = re.search(r"(?:locations|regions|zones)/([^/]+)", name)
    return found[1] if found else "global"


def _clusters(world: World, _request: Request, project: str) -> Answer:
    listed = [
        data for path, data in world.objects.items()
        if re.fullmatch(rf"v1/projects/{project}/locations/[^/]+/clusters/[^/]+", path)
    ]  # fmt: skip
    return 200, {"clusters": listed, "missingZones": list(world.unreachable)}


def _projects(world: World, request: Request) -> Answer:
    listed = [{"name": "projects/1", **data} for path, data in world.objects.items()
              if path.startswith("v3/projects/")]  # fmt: skip
    return 200, world.paged(request, "projects", listed)


def _operation(world: World, request: Request, _place: str, name: str) -> Answer:
    told = world.state(name)
    if request.path.startswith("v"):
        told["done"] = told["status"] == "DONE"
    return 200, told


def _object(world: World, request: Request, path: str) -> Answer:
    """Objects are kept by name and generation: deleting one version leaves the others."""
    key = f"{path}#{request.query['generation']}"
    if world.objects.pop(key, None) is None:
        return error(404, "notFound", key)
    return 204, {}


def _get_policy(world: World, _request: Request, project: str) -> Answer:
    return 200, world.policies.setdefault(project, {"version": 3, "etag": "0", "bindings": []})


def _set_policy(world: World, request: Request, project: str) -> Answer:
    policy = request.body["policy"]
    if policy["etag"] != world.policies[project]["etag"]:
        return error(409, "aborted", "There were concurrent policy changes.")
    world.policies[project] = {**policy, "etag": str(int(policy["etag"]) + 1)}
    return 200, world.policies[project]


def _undeploy(world: World, request: Request, path: str) -> Answer:
    endpoint = world.objects[path]
    gone = request.body["deployedModelId"]
    endpoint["deployedModels"] = [m for m in endpoint["deployedModels"] if m["id"] != gone]
    return 200, world.operation(path)


def _cancel(world: World, _request: Request, path: str) -> Answer:
    world.objects[path]["state"] = "JOB_STATE_CANCELLED"
    return 200, {}


ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"(storage/v1/b/[^/]+/o/.+)", _object),
    (r"compute/v1/projects/([^/]+)/aggregated/(\w+)", _aggregated),
    (r"compute/v1/projects/([^/]+)/regions", _regions),
    (r"v1/projects/([^/]+)/locations", _locations),
    (r"v1/projects/([^/]+):searchAllResources", _search),
    (r"v1/projects/([^/]+)/locations/-/clusters", _clusters),
    (r"v3/projects:search", _projects),
    (r"(.+)/operations/([^/]+)", _operation),
    (r"v3/projects/([^/]+):getIamPolicy", _get_policy),
    (r"v3/projects/([^/]+):setIamPolicy", _set_policy),
    (r"(v1/.+/customJobs/[^/]+):cancel", _cancel),
    (r"(v1/.+/endpoints/[^/]+):undeployModel", _undeploy),
)
