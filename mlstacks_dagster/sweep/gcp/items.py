"""From what Google's APIs answer to items. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mlstacks_dagster.sweep.gcp.catalog import KINDS, GcpKind, kind_of_collection
from mlstacks_dagster.sweep.gcp.joins import Owner, region_of
from mlstacks_dagster.sweep.gcp.names import marks_of_description
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref

__all__ = ["INDEX", "epoch", "item_of", "known_types", "labels_of", "link_ref", "resource_id"]

INDEX = "asset index"
"""The fact ``seen-in`` of what only Cloud Asset Inventory has shown."""

_PATH = re.compile(r"projects/.+")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_PLACE = re.compile(r"/(?:zones|regions|locations)/([^/]+)/")
_LINKS = (
    "target", "urlMap", "backendService", "defaultService", "securityPolicy", "instanceTemplate",
    "healthChecks", "sslCertificates", "targetPools", "instances",
)  # fmt: skip
_FACTS = {
    "status": "state", "state": "state", "sizeGb": "size-gb", "diskSizeGb": "size-gb",
    "IPAddress": "address", "address": "address", "email": "email", "location": "location",
    "databaseVersion": "engine", "currentMasterVersion": "version",
}  # fmt: skip


def epoch(text: object) -> float | None:
    """Return the Unix time in whole seconds of an RFC 3339 text; None for anything else.

    Whole seconds, since the asset index and the APIs differ in their fractions.
    """
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return float(int(when.replace(tzinfo=when.tzinfo or UTC).timestamp()))


def resource_id(kind: GcpKind, raw: Mapping[str, Any], project: str) -> str:
    """Return the full name of an object, which is also Terraform's id for most types."""
    name = str(raw.get("name") or "")
    if kind.type == "container:cluster":
        return f"projects/{project}/locations/{raw.get('location')}/clusters/{name}"
    if kind.type == "storage:bucket":
        return name
    link = str(raw.get("selfLink") or "") if kind.host == "compute" else name
    if found := _PATH.search(link):
        # some APIs say the project's number
        return f"projects/{project}/" + found[0].split("/", 2)[2]
    return f"projects/{project}/{kind.collection}/{name}"


def _place(kind: GcpKind, raw: Mapping[str, Any], identity: str) -> str:
    """Return the region of an object, ``global`` for what has none or many."""
    if kind.is_global:
        return GLOBAL
    found = _PLACE.search(identity)
    place = found[1] if found else str(raw.get("region") or raw.get("location") or GLOBAL)
    region = region_of(place)
    return region if _REGION.fullmatch(region) else GLOBAL


def labels_of(kind: GcpKind, raw: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's labels, with the marks that its description carries."""
    labels: Any = raw
    for key in kind.labels_at.split("."):
        labels = labels.get(key) or {} if isinstance(labels, Mapping) else {}
    if kind.type == "compute:instance-template":
        labels = (raw.get("properties") or {}).get("labels") or {}
    marks = marks_of_description(str(raw.get("description") or ""))
    return {**marks, **{str(key): str(value) for key, value in labels.items()}}


def link_ref(link: object) -> Ref | None:
    """Return what a link of a compute object means; None for a type that isn't swept."""
    found = _PATH.search(str(link or ""))
    if not found:
        return None
    parts = found[0].split("/")
    kind = kind_of_collection(parts[-2]) if len(parts) > 2 else ""
    if not kind:
        return None
    place = _PLACE.search(found[0])
    return Ref(type=kind, region=region_of(place[1]) if place else GLOBAL, id=found[0])


def item_of(
    kind: GcpKind, raw: Mapping[str, Any], project: str, owner: Owner, uses: Iterable[Ref] = ()
) -> Item:
    """Return the item for an object of an API (or of the asset index).

    ``owner`` is what its claims prove; ``uses`` is added to what its own links say. A network
    of another project (a shared VPC) is no container: it proves nothing and isn't listed.
    """
    identity = resource_id(kind, raw, project)
    region = _place(kind, raw, identity)
    ref = Ref(type=kind.type, region=region, id=identity)
    inside = list(_refs(raw.get("network"), raw.get("subnetwork"), *_interfaces(raw)))
    inside += _refs(*(_mapping(raw, "networkConfig").get(key) for key in ("network", "subnetwork")))
    own = [one for one in inside if one.id.startswith(f"projects/{project}/")]
    return Item(
        ref=ref,
        name=_title(kind, raw, identity),
        tags=labels_of(kind, raw),
        created=_created(raw),
        inside=tuple(dict.fromkeys(own)),
        uses=tuple(dict.fromkeys([*_uses(raw), *uses])),
        used_by=tuple(_refs(*(raw.get("users") or ()), _creator(raw))),
        clusters=(owner.name,) if owner.name else (),
        facts=_facts(raw, owner) | _implicit(kind, raw),
    )


def _title(kind: GcpKind, raw: Mapping[str, Any], identity: str) -> str:
    if kind.type == "iam:service-account":
        return str(raw.get("email") or identity.rpartition("/")[2])
    return str(raw.get("displayName") or "") or identity.rpartition("/")[2]


def _created(raw: Mapping[str, Any]) -> float | None:
    keys = ("creationTimestamp", "createTime", "timeCreated", "creationTime")
    return next((when for key in keys if (when := epoch(raw.get(key))) is not None), None)


def _refs(*links: object) -> Iterable[Ref]:
    return (ref for link in links if (ref := link_ref(link)) is not None)


def _mapping(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _interfaces(raw: Mapping[str, Any]) -> list[object]:
    nics = raw.get("networkInterfaces")
    if not isinstance(nics, list):
        return []
    return [nic.get(key) for nic in nics for key in ("network", "subnetwork")]


def _uses(raw: Mapping[str, Any]) -> list[Ref]:
    links: list[object] = []
    for key in _LINKS:
        value = raw.get(key)
        links.extend(value if isinstance(value, list) else [value])
    for backend in raw.get("backends") or ():
        links.append(backend.get("group") if isinstance(backend, Mapping) else None)
    for disk in raw.get("disks") or ():
        links.append(disk.get("source") if isinstance(disk, Mapping) else None)
    links.extend(_services_of_map(raw))
    return list(_refs(*links))


def _services_of_map(raw: Mapping[str, Any]) -> list[object]:
    """Return the backend services of a URL map's path rules."""
    services: list[object] = []
    for matcher in raw.get("pathMatchers") or ():
        services.append(matcher.get("defaultService"))
        rules = (*(matcher.get("pathRules") or ()), *(matcher.get("routeRules") or ()))
        services.extend(rule.get("service") for rule in rules)
    return services


def _creator(raw: Mapping[str, Any]) -> object:
    """Return the instance group manager that made a VM and would make it again."""
    entries = _mapping(raw, "metadata").get("items")
    for entry in entries if isinstance(entries, list) else ():
        if entry.get("key") == "created-by":
            return entry.get("value")
    return None


def _implicit(kind: GcpKind, raw: Mapping[str, Any]) -> dict[str, str]:
    """Mark the routes that come and go with a network, a subnetwork or a peering."""
    made = ("nextHopNetwork", "nextHopPeering", "nextHopHub")
    if kind.type != "compute:route":
        return {}
    byself = str(raw.get("name") or "").startswith("default-route-")
    return {"implicit": "true"} if byself or any(raw.get(key) for key in made) else {}


def _facts(raw: Mapping[str, Any], owner: Owner) -> dict[str, str]:
    facts = {
        fact: str(raw[key])
        for key, fact in _FACTS.items()
        if raw.get(key) not in (None, "") and not isinstance(raw[key], dict | list)
    }
    if kind := str(raw.get("type") or "").rpartition("/")[2]:
        facts["disk-type" if "sizeGb" in raw else "kind"] = kind
    if size := raw.get("sizeBytes"):
        facts["size-gb"] = f"{int(size) / 2**30:.2f}"
    guarded = _mapping(raw, "settings").get("deletionProtectionEnabled")
    if raw.get("deletionProtection") or guarded:
        facts["deletion-protection"] = "on"
    if owner.name:
        facts |= {"cluster-proof": owner.by, "cluster-location": owner.location}
    if owner.hint:
        facts["owner-hint"] = owner.hint
    if raw.get("fromIndex"):
        facts["seen-in"] = INDEX
    return facts


def known_types(types: Iterable[str] | None) -> list[GcpKind]:
    """Return the kinds of these types; None means all. Unknown types are left out."""
    wanted = set(KINDS if types is None else types)
    return [kind for kind in KINDS.values() if kind.type in wanted]
