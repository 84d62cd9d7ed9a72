"""What must go before a resource can: objects, records, deployed models, policy bindings."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from mlstacks_dagster.sweep.gcp.access import GcpAccess
from mlstacks_dagster.sweep.gcp.calls import ApiError

__all__ = ["delete_objects", "delete_records", "unbind", "undeploy_models"]

_AT_ONCE = 8
_TRIES = 5


def delete_objects(access: GcpAccess, bucket: str) -> None:
    """Delete every version of every object; raises ApiError for the first that stays."""
    params = {"versions": "true", "maxResults": "1000"}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="gcp-objects") as pool:
        for page in access.pages("storage", f"storage/v1/b/{bucket}/o", "items", params):
            list(pool.map(lambda entry: _delete_object(access, bucket, entry), page))


def _delete_object(access: GcpAccess, bucket: str, entry: dict[str, Any]) -> None:
    name = quote(str(entry["name"]), safe="")
    params = {"generation": str(entry["generation"])}
    _unless_gone(
        lambda: access.rest("DELETE", "storage", f"storage/v1/b/{bucket}/o/{name}", params)
    )


def _unless_gone(call: Any) -> None:
    try:
        call()
    except ApiError as error:
        if error.status != 404:
            raise


def delete_records(access: GcpAccess, zone: str) -> None:
    """Delete a DNS zone's records, but for the two that every zone keeps."""
    apex = str(access.rest("GET", "dns", f"dns/v1/{zone}").get("dnsName"))
    for page in access.pages("dns", f"dns/v1/{zone}/rrsets", "rrsets"):
        for record in page:
            if record["name"] == apex and record["type"] in ("NS", "SOA"):
                continue
            path = f"dns/v1/{zone}/rrsets/{record['name']}/{record['type']}"
            _unless_gone(lambda path=path: access.rest("DELETE", "dns", path))


def undeploy_models(access: GcpAccess, host: str, endpoint: str) -> Iterator[dict[str, Any]]:
    """Take the models off a Vertex endpoint; yields the operation of each."""
    for model in access.rest("GET", host, f"v1/{endpoint}").get("deployedModels") or ():
        body = {"deployedModelId": str(model["id"]), "trafficSplit": {}}
        yield access.rest("POST", host, f"v1/{endpoint}:undeployModel", body=body)


def unbind(access: GcpAccess, project: str, *, member: str = "", role: str = "") -> None:
    """Take a member, or a role, out of the project's policy and touch nothing else there.

    Deleting a service account leaves its bindings behind as ``deleted:serviceAccount:``. The
    policy's etag guards against another's change in between.
    """
    for attempt in range(_TRIES):
        ask = {"options": {"requestedPolicyVersion": 3}}
        path = f"v3/projects/{project}"
        policy = access.rest("POST", "cloudresourcemanager", f"{path}:getIamPolicy", body=ask)
        kept, changed = _without(policy.get("bindings") or [], member, role)
        if not changed:
            return
        body = {"policy": {**policy, "bindings": kept}}
        try:
            access.rest("POST", "cloudresourcemanager", f"{path}:setIamPolicy", body=body)
        except ApiError as error:
            if error.status not in (409, 412) or attempt + 1 == _TRIES:
                raise
        else:
            return


def _without(
    bindings: list[dict[str, Any]], member: str, role: str
) -> tuple[list[dict[str, Any]], bool]:
    kept, changed = [], False
    for binding in bindings:
        if role and binding.get("role") == role:
            changed = True
            continue
        members = [one for one in binding.get("members") or () if one != member]
        if len(members) != len(binding.get("members") or ()):
            changed = True
            if not members:
                continue
        kept.append({**binding, "members": members})
    return kept, changed
