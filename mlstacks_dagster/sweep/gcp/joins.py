"""Which cluster an item belongs to: claims are joined with the clusters that are known. Pure.

A claim proves something only when exactly one cluster answers to it. Everything less becomes a
hint, for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlstacks_dagster.sweep.gcp.names import Claim, uid8
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

__all__ = [
    "KnownCluster",
    "Owner",
    "joined_load_balancers",
    "known_clusters",
    "owner_of",
    "region_of",
]

_ZONE = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
_STACKS = re.compile(r"ml-s[a-z2-7]{12}")
_HEX16 = re.compile(r"[0-9a-f]{16}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class KnownCluster:
    """A cluster that a stack of ours has or had, or that runs in the project now.

    ``gke_id`` are the 64 hex digits that GKE gives it, ``kube_uid`` and ``uid16`` the ids in its
    namespace ``kube-system``; each may be empty when not known.
    """

    name: str
    location: str
    gke_id: str = ""
    kube_uid: str = ""
    uid16: str = ""


@dataclass(frozen=True)
class Owner:
    """What follows for an item: the cluster that is proven, or a hint, or neither."""

    name: str = ""
    location: str = ""
    by: str = ""
    hint: str = ""


def region_of(location: str) -> str:
    """Return the region of a zone; anything else as it is."""
    return location.rpartition("-")[0] if _ZONE.fullmatch(location) else location


def known_clusters(
    facts: Iterable[ClusterFact], running: Iterable[KnownCluster]
) -> tuple[KnownCluster, ...]:
    """Return all clusters that may own something, each once.

    ``ClusterFact.uid`` may hold several ids with spaces or commas between: the uid of the
    namespace ``kube-system``, the data of ``kube-system/ingress-uid``, GKE's id of the cluster.
    Of facts about one cluster, such as its zone and its stack's region, the first counts.
    """
    found: list[KnownCluster] = []
    for fact in facts:
        ids = re.split(r"[\s,]+", fact.uid)
        cluster = KnownCluster(
            name=fact.name,
            location=fact.region,
            gke_id=next(filter(_HEX64.fullmatch, ids), ""),
            kube_uid=next(filter(_UUID.fullmatch, ids), ""),
            uid16=next(filter(_HEX16.fullmatch, ids), ""),
        )
        if not any(_is_one(known, cluster) for known in found):
            found.append(cluster)
    for other in running:
        if not any(_same(known, other) for known in found):
            found.append(other)
    return tuple(found)


def _is_one(one: KnownCluster, other: KnownCluster) -> bool:
    """Tell whether two facts are about one cluster.

    They are when they have one id, which is no other cluster's, or when one says the zone and the
    other the region of a name with a stack's id in it, which is no other stack's.
    """
    if one.name != other.name:
        return False
    ids = [(one.gke_id, other.gke_id), (one.kube_uid, other.kube_uid), (one.uid16, other.uid16)]
    told = [mine == theirs for mine, theirs in ids if mine and theirs]
    if told:
        return all(told)
    return bool(_STACKS.fullmatch(one.name)) and _near(one.location, other.location)


def _same(fact: KnownCluster, running: KnownCluster) -> bool:
    return (
        fact.name == running.name
        and _near(fact.location, running.location)
        and (not fact.gke_id or not running.gke_id or fact.gke_id == running.gke_id)
    )


def _near(one: str, other: str) -> bool:
    """Tell whether two locations can be one cluster's: equal, or a zone and its region."""
    return one == other or region_of(one) == other or one == region_of(other)


def owner_of(
    claims: Sequence[Claim], known: Sequence[KnownCluster], region: str, blind: bool = False
) -> Owner:
    """Return whose an item in ``region`` is, going by everything that it says.

    Two claims that name different clusters prove nothing, nor does one that several clusters
    answer to, nor an id that may be cut. ``blind``: not all running clusters could be listed, so
    a bare name on a global item proves nothing either.
    """
    owners: dict[tuple[str, str], str] = {}
    hints: list[str] = []
    for claim in claims:
        name, location, hint = _resolve(claim, known, region)
        if name and blind and region == "global" and _is_bare(claim, known):
            name, hint = "", f"{claim.by} says {name}, but not all clusters could be listed"
        if name:
            owners.setdefault((name, location), claim.by)
        elif hint:
            hints.append(hint)
    if hints:
        return Owner(hint="; ".join(dict.fromkeys(hints)))
    if len({name for name, _ in owners}) > 1 or len({at for _, at in owners if at}) > 1:
        said = sorted(f"{by} says {name}" for (name, _), by in owners.items())
        return Owner(hint="contradicts itself: " + ", ".join(said))
    if not owners:
        return Owner()
    name = next(iter(owners))[0]
    location = next((at for _, at in owners if at), "")
    meant = next((c for c in known if (c.name, c.location) == (name, location)), None)
    if meant and (others := [claim.by for claim in claims if _denies(meant, claim)]):
        return Owner(hint=f"contradicts itself: {', '.join(others)} isn't that of {name}")
    return Owner(name, location, by=", ".join(dict.fromkeys(owners.values())))


def _resolve(claim: Claim, known: Sequence[KnownCluster], region: str) -> tuple[str, str, str]:
    """Return the name and location of the cluster that a claim means, or a hint."""
    if claim.name:
        return _resolve_name(claim, known, region)
    if claim.cut:
        near = sorted({c.name for c in known if claim.uid16 and c.uid16.startswith(claim.uid16)})
        return "", "", f"{claim.by}, perhaps of {', '.join(near)}" if near else ""
    hits = [cluster for cluster in known if _has_id(cluster, claim)]
    if len(hits) == 1:
        return hits[0].name, hits[0].location, ""
    names = ", ".join(f"{c.name} in {c.location}" for c in hits)
    return "", "", f"{claim.by} fits {names}" if hits else ""


def _is_bare(claim: Claim, known: Sequence[KnownCluster]) -> bool:
    """Tell whether a claim is a name that a cluster elsewhere could have as well."""
    if not claim.name or claim.location:
        return False
    return not any(c.gke_id.startswith(claim.hash8) for c in known if claim.hash8 and c.gke_id)


def _has_id(cluster: KnownCluster, claim: Claim) -> bool:
    if claim.kube_uid:
        return cluster.kube_uid == claim.kube_uid
    if claim.uid16:
        return cluster.uid16 == claim.uid16
    return bool(cluster.kube_uid) and uid8(cluster.kube_uid) == claim.uid8


def _denies(cluster: KnownCluster, claim: Claim) -> bool:
    """Tell whether a claim states another id than the cluster is known to have."""
    if claim.name or claim.cut:
        return False
    recorded = cluster.uid16 if claim.uid16 and not claim.kube_uid else cluster.kube_uid
    return bool(recorded) and not _has_id(cluster, claim)


def _resolve_name(claim: Claim, known: Sequence[KnownCluster], region: str) -> tuple[str, str, str]:
    """A name counts where no second cluster of that name could be meant."""
    if claim.name == "?":
        return "", "", claim.by
    same = [cluster for cluster in known if cluster.name == claim.name]
    fits = [cluster for cluster in same if _fits(cluster, claim, region)]
    if len(fits) == 1:
        return claim.name, fits[0].location, ""
    if fits:
        where = ", ".join(sorted(cluster.location for cluster in fits))
        return "", "", f"{claim.by} fits clusters {claim.name} in {where}"
    if same:
        return "", "", f"{claim.by} means another cluster named {claim.name}"
    return claim.name, claim.location, ""


def _fits(cluster: KnownCluster, claim: Claim, region: str) -> bool:
    if claim.hash8 and cluster.gke_id and not cluster.gke_id.startswith(claim.hash8):
        return False
    if claim.location:
        return _near(cluster.location, claim.location)
    return region == "global" or region_of(cluster.location) == region


def joined_load_balancers(owners: Mapping[str, Sequence[Owner]]) -> dict[str, Owner]:
    """Return whose each load balancer is, going by its firewall rules' owners.

    A load balancer's own rules (allow and deny) must all say the same.
    """
    result = {}
    for balancer, said in owners.items():
        if len({(owner.name, owner.location) for owner in said}) == 1 and said[0].name:
            result[balancer] = Owner(
                said[0].name, said[0].location, by=f"its firewall rule's {said[0].by}"
            )
    return result
