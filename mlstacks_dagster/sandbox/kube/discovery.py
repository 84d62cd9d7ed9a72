"""Discovery: which groups, versions and resources the cluster serves, aggregated and one by one."""

from __future__ import annotations

from typing import Any

from .errors import ApiError
from .resources import Resource, ResourceTable

__all__ = [
    "aggregated",
    "api_group",
    "api_groups",
    "api_resources",
    "core_versions",
    "version_info",
]

# Kind and group of the objects that a subresource takes, where they aren't the parent's.
_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "binding": ("", "v1", "Binding"),
}
_SUBRESOURCE_VERBS = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "approval": ("get", "patch", "update"),
    "finalize": ("update",),
    "log": ("get",),
}


def version_info(version: str) -> dict[str, Any]:
    """Return what ``/version`` says, for a version such as ``1.34``."""
    major, minor = version.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{version}.0",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "emulated",
        "compiler": "emulated",
        "platform": "linux/amd64",
    }


def core_versions() -> dict[str, Any]:
    """Return what ``/api`` says."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def api_groups(table: ResourceTable) -> dict[str, Any]:
    """Return what ``/apis`` says to clients that know no aggregated discovery."""
    groups = [_group(name, versions) for name, versions in table.versions().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(table: ResourceTable, name: str) -> dict[str, Any]:
    """Return what ``/apis/<group>`` says; raises :class:`ApiError` (404)."""
    versions = table.versions().get(name)
    if not versions:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def api_resources(table: ResourceTable, group: str, version: str) -> dict[str, Any]:
    """Return the resources of one version; raises :class:`ApiError` (404)."""
    found = [r for r in table if (r.group, r.version) == (group, version)]
    if not found:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    listed = []
    for resource in found:
        listed.append(_resource(resource))
        listed += [_subresource(resource, name) for name in resource.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": listed,
    }


def _resource(resource: Resource) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        said["shortNames"] = list(resource.short_names)
    if resource.categories:
        said["categories"] = list(resource.categories)
    return said


def _subresource(resource: Resource, name: str) -> dict[str, Any]:
    said = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_SUBRESOURCE_VERBS.get(name, ("create",))),
    }
    if name in _SUBRESOURCE_KINDS:
        said["group"], said["version"], said["kind"] = _SUBRESOURCE_KINDS[name]
    return said


def aggregated(table: ResourceTable, *, core: bool) -> dict[str, Any]:
    """Return the aggregated discovery document of ``/api`` (``core``) or ``/apis``."""
    groups = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {},
            "versions": [_version(table, name, version) for version in versions],
        }
        for name, versions in table.versions().items()
        if (name == "") == core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": groups,
    }


def _version(table: ResourceTable, group: str, version: str) -> dict[str, Any]:
    found = [r for r in table if (r.group, r.version) == (group, version)]
    return {
        "version": version,
        "resources": [_aggregated_resource(resource) for resource in found],
        "freshness": "Current",
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    said: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        said["shortNames"] = list(resource.short_names)
    if resource.categories:
        said["categories"] = list(resource.categories)
    if resource.subresources:
        said["subresources"] = [_aggregated_sub(resource, name) for name in resource.subresources]
    return said


def _aggregated_sub(resource: Resource, name: str) -> dict[str, Any]:
    own = (resource.group, resource.version, resource.kind)
    return {
        "subresource": name,
        "responseKind": _kind(*_SUBRESOURCE_KINDS.get(name, own)),
        "verbs": list(_SUBRESOURCE_VERBS.get(name, ("create",))),
    }


def _kind(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}
