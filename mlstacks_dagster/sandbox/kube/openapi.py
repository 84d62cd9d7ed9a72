"""OpenAPI documents of what the cluster serves, made of the real schemas.

Descriptions are left out, and of the paths only what clients look at: which kinds can be patched,
and that the server validates fields.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from .errors import ApiError
from .resources import Resource, ResourceTable
from .schemas import Schemas

__all__ = ["openapi_v2", "openapi_v3", "openapi_v3_index"]

_FIELD_VALIDATION = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}


def openapi_v3_index(table: ResourceTable, base: str) -> dict[str, Any]:
    """Return the list of documents; ``base`` is the URL path of the cluster."""
    paths = {}
    for group, versions in table.versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            found = [r.plural for r in table if (r.group, r.version) == (group, version)]
            mark = hash(tuple(found)) & 0xFFFFFFFF
            url = f"{base}/openapi/v3/{path}?hash={mark:08X}"
            paths[path] = {"serverRelativeURL": url}
    return {"paths": paths}


def openapi_v3(table: ResourceTable, schemas: Schemas, group: str, version: str) -> dict[str, Any]:
    """Return the document of one version; raises :class:`ApiError` (404)."""
    found = [r for r in table if (r.group, r.version) == (group, version)]
    if not found:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    names: set[str] = set()
    custom = {}
    for resource in found:
        name = schemas.name_of(resource)
        if resource.custom:
            custom[_custom_name(resource)] = _custom_schema(resource)
            names |= _closure(schemas, ["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"])
        elif name is not None:
            names |= _closure(schemas, [name])
    components = {name: _rewritten(schemas, name, "#/components/schemas/") for name in names}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes (emulated)", "version": f"v{schemas.version}.0"},
        "paths": {path: item for resource in found for path, item in _paths(resource).items()},
        "components": {"schemas": {**components, **custom}},
    }


def openapi_v2(table: ResourceTable, schemas: Schemas) -> dict[str, Any]:
    """Return the Swagger document of everything."""
    found = list(table)
    names = [schemas.name_of(r) for r in found if not r.custom]
    reachable = _closure(schemas, [name for name in names if name])
    definitions = {name: _rewritten(schemas, name, "#/definitions/") for name in reachable}
    definitions |= {_custom_name(r): _custom_schema(r, v2=True) for r in found if r.custom}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes (emulated)", "version": f"v{schemas.version}.0"},
        "paths": {path: item for resource in found for path, item in _paths(resource).items()},
        "definitions": definitions,
    }


def _paths(resource: Resource) -> dict[str, Any]:
    start = f"/apis/{resource.group}" if resource.group else "/api"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    path = f"{start}/{resource.version}{scope}/{resource.plural}"
    one = {
        method: _operation(resource, action)
        for method, action in (
            ("get", "get"),
            ("put", "put"),
            ("patch", "patch"),
            ("delete", "delete"),
        )
    }
    return {path: {"post": _operation(resource, "post")}, f"{path}/{{name}}": one}


def _operation(resource: Resource, action: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if action in ("post", "put", "patch"):
        said["parameters"] = [_FIELD_VALIDATION]
    return said


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _custom_name(resource: Resource) -> str:
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _custom_schema(resource: Resource, *, v2: bool = False) -> dict[str, Any]:
    root = "#/definitions/" if v2 else "#/components/schemas/"
    meta = f"{root}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    schema = dict(resource.schema or {"type": "object"})
    properties = {**(schema.get("properties") or {}), "metadata": {"$ref": meta}}
    return {
        **schema,
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }


def _closure(schemas: Schemas, names: list[str]) -> set[str]:
    """Return the names of the definitions that these refer to, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(schemas, name)
    return found


@functools.lru_cache(maxsize=4096)
def _references(schemas: Schemas, name: str) -> tuple[str, ...]:
    text = json.dumps(schemas.definitions[name])
    return tuple(part.partition('"')[0] for part in text.split("#/$defs/")[1:])


@functools.lru_cache(maxsize=8192)
def _rewritten(schemas: Schemas, name: str, root: str) -> dict[str, Any]:
    rewritten = _rewrite(schemas.definitions[name], root)
    return dict(rewritten)


def _rewrite(schema: Any, root: str) -> Any:
    """Return a schema as OpenAPI writes it: no lists of types, no descriptions."""
    if isinstance(schema, list):
        return [_rewrite(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            written[key] = root + str(value).rpartition("/")[2]
        elif key == "type" and isinstance(value, list):
            written[key] = next(name for name in value if name != "null")
        elif key == "properties":
            written[key] = {name: _rewrite(below, root) for name, below in value.items()}
        elif key != "description" and (key, value) != ("additionalProperties", False):
            written[key] = _rewrite(value, root)
    return written
