"""Puts what was listed together: items with their clusters, and how each list ended. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlstacks_dagster.sweep.gcp.catalog import KINDS, GcpKind
from mlstacks_dagster.sweep.gcp.items import item_of, labels_of, link_ref
from mlstacks_dagster.sweep.gcp.joins import (
    KnownCluster,
    Owner,
    joined_load_balancers,
    owner_of,
    region_of,
)
from mlstacks_dagster.sweep.gcp.listing import Listed, places
from mlstacks_dagster.sweep.gcp.names import claims_of, load_balancer_of
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Coverage, Item, Ref

__all__ = ["assemble", "coverage_of", "is_running", "running_from"]

_BALANCED = (
    "compute:forwarding-rule", "compute:target-pool", "compute:backend-service",
    "compute:address", "compute:http-health-check", "compute:health-check",
)  # fmt: skip
_LIVE_UNKNOWN = ("", "STATUS_UNSPECIFIED")


def running_from(raws: Iterable[Mapping[str, Any]]) -> tuple[KnownCluster, ...]:
    """Return the clusters that GKE lists."""
    return tuple(
        KnownCluster(
            name=str(raw.get("name")),
            location=str(raw.get("location")),
            gke_id=str(raw.get("id") or ""),
        )
        for raw in raws
    )


def is_running(raw: Mapping[str, Any]) -> bool | None:
    """Tell whether a listed cluster runs; one that is being deleted still does."""
    return None if str(raw.get("status") or "") in _LIVE_UNKNOWN else True


def assemble(
    found: Mapping[str, Listed],
    project: str,
    known: Sequence[KnownCluster],
    blind: bool = False,
) -> dict[str, list[Item]]:
    """Return the items by type; firewall rules join load balancers with their cluster.

    ``blind``: not all running clusters could be listed.
    """
    firewalls = _items(KINDS["compute:firewall"], found, project, known, blind)
    rules = defaultdict[str, list[Ref]](list)
    owners = defaultdict[str, list[Owner]](list)
    for item, owner in firewalls:
        if balancer := load_balancer_of(item.name):
            rules[balancer].append(item.ref)
            owners[balancer].append(owner)
    balancers = joined_load_balancers(owners)
    result: dict[str, list[Item]] = {"compute:firewall": [item for item, _ in firewalls]}
    for type_ in found:
        if type_ != "compute:firewall":
            kind = KINDS[type_]
            pairs = _items(kind, found, project, known, blind, balancers, rules)
            result[type_] = [item for item, _ in pairs]
    _drop_managed_groups(result, found)
    _join_managers(result)
    _mark_auto_subnetworks(result, found)
    _link_addresses(result)
    return result


def _items(
    kind: GcpKind,
    found: Mapping[str, Listed],
    project: str,
    known: Sequence[KnownCluster],
    blind: bool,
    balancers: Mapping[str, Owner] | None = None,
    rules: Mapping[str, Sequence[Ref]] | None = None,
) -> list[tuple[Item, Owner]]:
    """Return each object of a type with its owner, once: pages may overlap."""
    result: dict[Ref, tuple[Item, Owner]] = {}
    for raw in found[kind.type].raws if kind.type in found else ():
        bare = item_of(kind, raw, project, Owner())
        name = str(raw.get("name") or "").rpartition("/")[2]
        region = bare.ref.region
        owner = owner_of(claims_of(raw, name, labels_of(kind, raw)), known, region, blind)
        balancer = load_balancer_of(name) if kind.type in _BALANCED else ""
        if balancer and owner == Owner():
            owner = _of_balancer((balancers or {}).get(balancer, owner), region)
        uses = (rules or {}).get(balancer, ()) if balancer else ()
        result[bare.ref] = (item_of(kind, raw, project, owner, uses), owner)
    return list(result.values())


def _of_balancer(owner: Owner, region: str) -> Owner:
    """A load balancer lives in its cluster's region; one elsewhere is only like it in name."""
    if not owner.location or region in (GLOBAL, region_of(owner.location)):
        return owner
    return replace(owner, name="", location="", hint=f"named like one of {owner.name}")


def _drop_managed_groups(result: dict[str, list[Item]], found: Mapping[str, Listed]) -> None:
    """Leave out instance groups that belong to a manager: they go with it."""
    managers = found.get("compute:instance-group-manager", Listed()).raws
    managed = {str(raw.get("instanceGroup") or "").partition("/projects/")[2] for raw in managers}
    groups = result.get("compute:instance-group", [])
    groups[:] = [item for item in groups if item.ref.id.removeprefix("projects/") not in managed]


def _join_managers(result: dict[str, list[Item]]) -> None:
    """Let a group manager without a word of its own be of its template's cluster."""
    templates = {item.ref: item for item in result.get("compute:instance-template", ())}
    managers = result.get("compute:instance-group-manager", [])
    for index, manager in enumerate(managers):
        used = [templates[ref] for ref in manager.uses if ref in templates]
        if len(used) == 1 and used[0].clusters and not manager.clusters:
            facts = {"cluster-proof": "its template's " + used[0].facts["cluster-proof"]}
            managers[index] = manager.model_copy(
                update={"clusters": used[0].clusters, "facts": manager.facts | facts}
            )


def _mark_auto_subnetworks(result: dict[str, list[Item]], found: Mapping[str, Listed]) -> None:
    """Mark the subnetworks that a network in auto mode makes: they go with it alone."""
    networks = found.get("compute:network", Listed()).raws
    auto = {
        ref
        for raw in networks
        if raw.get("autoCreateSubnetworks") and (ref := link_ref(raw.get("selfLink")))
    }
    nets = result.get("compute:subnetwork", [])
    for index, net in enumerate(nets):
        if auto & set(net.inside):
            nets[index] = net.model_copy(update={"facts": net.facts | {"implicit": "true"}})


def _link_addresses(result: dict[str, list[Item]]) -> None:
    """Let forwarding rules use the static addresses whose number they have."""
    numbers = {
        (item.ref.region, item.facts.get("address", "")): item.ref
        for item in result.get("compute:address", ())
    }
    rules = result.get("compute:forwarding-rule", [])
    for index, rule in enumerate(rules):
        address = numbers.get((rule.ref.region, rule.facts.get("address") or "-"))
        if address is not None and address not in rule.uses:
            rules[index] = rule.model_copy(update={"uses": (*rule.uses, address)})


def coverage_of(
    kind: GcpKind, listed: Listed, regions: Sequence[str], items: Sequence[Item], whole: bool
) -> list[Coverage]:
    """Return how listing a type ended in each place.

    ``whole``: all of the project's regions were wanted, so a place that only an item or an
    error names counts too.
    """
    counts = Counter(item.ref.region for item in items)
    wanted = {*places(listed, regions, kind), *(counts if whole else ())}
    if not whole:
        wanted &= {*regions, GLOBAL}
    failed = {region_of(place): why for place, why in listed.failed.items()}
    return [
        _one(kind.type, place, listed, failed.get(place, failed.get("*")), counts[place])
        for place in sorted(wanted)
    ]


def _one(type_: str, place: str, listed: Listed, why: str | None, count: int) -> Coverage:
    if listed.error is not None:
        status = "denied" if listed.error.denied else "failed"
        return Coverage.model_validate(
            {"type": type_, "region": place, "status": status, "why": listed.error.message}
        )
    if why is not None:
        return Coverage(type=type_, region=place, status="failed", count=count, why=why)
    return Coverage(type=type_, region=place, status="listed", count=count, why=listed.note)
