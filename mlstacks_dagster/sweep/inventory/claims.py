"""Whose an item is, by proof: own marks, a cluster of ours, what contains it, its name.

A claim says nothing of whether the item may go: that is :mod:`decide`. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Coverage, Item, Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, StackFact
from mlstacks_dagster.sweep.marks import INSTALL, STACK

__all__ = [
    "Claim",
    "Context",
    "claim_of",
    "cluster_state",
    "clusters_gone",
    "make_context",
    "missing_coverage",
]

_OUR_NAME = re.compile(r"\bml-(s[a-z2-7]{12})(?![a-z2-7])")
_MAX_DEPTH = 4
_ALL = "*"
"""Stands for every type or region in a coverage."""

_REBORN_WITHIN = 86_400.0
"""How long after its stack's end a thing of a ``reborn`` kind may have come back, in seconds."""

Whose = Literal["ours", "unknown", "report", "foreign"]


@dataclass(frozen=True)
class Claim:
    """Whose an item is. ``ours`` comes with a proof and a stack that the ledger knows."""

    whose: Whose
    proof: Literal["T1", "T2", "T3", "T4", ""] = ""
    stack_id: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a snapshot as a whole says about each of its items.

    ``users`` has for each thing everything that is in the way of its deletion: what holds it,
    what needs it and what it contains. ``unlisted`` are the (type, region) that nobody saw;
    ``ambiguous`` came twice in one snapshot, with different content.
    """

    scope: Scope
    kinds: Mapping[str, Kind]
    items: Mapping[Ref, Item]
    users: Mapping[Ref, tuple[Ref, ...]]
    unlisted: frozenset[tuple[str, str]]
    ambiguous: frozenset[Ref]
    clusters: Mapping[str, tuple[tuple[StackFact, ClusterFact], ...]]

    def listed(self, region: str, types: Iterable[str] | None = None) -> bool:
        """Tell whether a region and what is global were seen, for some types or for all.

        What is global can be used from everywhere, so for it every region counts.
        """
        wanted = None if types is None else frozenset((*types, _ALL))
        return not any(
            (region == GLOBAL or where in (region, GLOBAL, _ALL))
            and (wanted is None or kind in wanted)
            for kind, where in self.unlisted
        )


def make_context(snapshot: Snapshot, kinds: Mapping[str, Kind], knowledge: Knowledge) -> Context:
    """Return the context of a snapshot: indexes over its items and over what we know."""
    items: dict[Ref, Item] = {}
    ambiguous = set()
    users: dict[Ref, list[Ref]] = {}
    for item in snapshot.items:
        if item.ref in items and items[item.ref] != item:
            ambiguous.add(item.ref)
        items[item.ref] = item
        users.setdefault(item.ref, []).extend(item.used_by)
        if item.facts.get("implicit") == "true":
            continue
        for other in (*item.uses, *item.inside):
            users.setdefault(other, []).append(item.ref)
    clusters: dict[str, list[tuple[StackFact, ClusterFact]]] = {}
    for stack in knowledge.stacks.values():
        for fact in stack.clusters:
            if fact.account == snapshot.scope.account:
                clusters.setdefault(fact.name, []).append((stack, fact))
    bad = {(c.type, c.region) for c in snapshot.unverified}
    bad |= {(c.type, c.region) for c in missing_coverage(snapshot, kinds)}
    return Context(
        scope=snapshot.scope,
        kinds=kinds,
        items=items,
        users={
            ref: tuple(dict.fromkeys(u for u in found if u != ref)) for ref, found in users.items()
        },
        unlisted=frozenset(bad),
        ambiguous=frozenset(ambiguous),
        clusters={name: tuple(found) for name, found in clusters.items()},
    )


def missing_coverage(snapshot: Snapshot, kinds: Mapping[str, Kind]) -> tuple[Coverage, ...]:
    """Return a failed row for each type and region of which the snapshot says nothing."""
    said = {(c.type, c.region) for c in snapshot.coverage}
    wanted = [
        (kind.type, region)
        for kind in kinds.values()
        for region in ((GLOBAL,) if kind.is_global else snapshot.scope.regions)
    ]
    if not kinds or not snapshot.scope.regions:
        wanted.append((_ALL, GLOBAL))
    return tuple(
        Coverage(type=kind, region=region, status="failed", why="it was not looked at")
        for kind, region in wanted
        if (kind, region) not in said
    )


def cluster_state(knowledge: Knowledge, scope: Scope, region: str, name: str) -> bool | None:
    """Tell whether a cluster runs; False: looked for and not there; None: not known."""
    states = [
        state
        for key, state in knowledge.clusters.items()
        if key.endswith(f"/{name}") and _same_place(key[: -len(name) - 1], region)
    ]
    if True in states:
        return True
    failed = any(
        key.endswith("/*") and (_same_place(key[:-2], region) or key == f"{GLOBAL}/*")
        for key in knowledge.clusters
    )
    if None in states or failed or not any(_same_place(r, region) for r in scope.regions):
        return None
    return False


def clusters_gone(item: Item, stack: StackFact, knowledge: Knowledge, scope: Scope) -> bool:
    """Tell whether all clusters that an item names are a stack's and provably run nowhere."""
    named = set(item.clusters)
    facts = [f for f in stack.clusters if f.account == scope.account and f.name in named]
    states = {cluster_state(knowledge, scope, fact.region, fact.name) for fact in facts}
    return bool(named) and {fact.name for fact in facts} == named and states == {False}


def claim_of(item: Item, knowledge: Knowledge, context: Context) -> Claim:
    """Return whose ``item`` is; in doubt not ours."""
    return _claim(item, knowledge, context, frozenset())


def _claim(item: Item, knowledge: Knowledge, context: Context, seen: frozenset[Ref]) -> Claim:
    if item.ref in context.ambiguous:
        return Claim("unknown", reason="it was listed twice, with different content")
    if item.tags is None:
        return Claim("unknown", reason="its tags could not be read")
    if item.tags.get(INSTALL):
        return _by_marks(item.tags, knowledge)
    claim = _by_place(item, knowledge, context, seen)
    marked = item.tags.get(STACK, "")
    if claim.whose == "ours" and marked and marked != claim.stack_id:
        reason = f"it says it is of stack {marked}, but is of stack {claim.stack_id} by its place"
        return Claim("report", claim.proof, claim.stack_id, reason)
    return claim


def _by_place(item: Item, knowledge: Knowledge, context: Context, seen: frozenset[Ref]) -> Claim:
    if item.clusters:
        return _by_clusters(item, context)
    claim = Claim("foreign", reason="nothing on it says that it is ours")
    if item.inside:
        claim = _by_container(item, knowledge, context, seen)
    if claim.whose in ("ours", "unknown"):
        return claim
    return _by_name(item, knowledge) or claim


def _by_marks(tags: Mapping[str, str], knowledge: Knowledge) -> Claim:
    install, stack_id = tags[INSTALL], tags.get(STACK, "")
    if install != knowledge.install:
        return Claim("foreign", reason=f"it belongs to installation {install}")
    if stack_id not in knowledge.stacks:
        known = f"stack {stack_id}" if stack_id else "no stack"
        return Claim(
            "report",
            "T1",
            stack_id,
            f"it carries our mark, but names {known}, which the ledger doesn't know",
        )
    return Claim(
        "ours", "T1", stack_id, evidence=(f"its tags say {INSTALL}={install}, {STACK}={stack_id}",)
    )


def _by_clusters(item: Item, context: Context) -> Claim:
    found = [_facts_of(name, item.ref.region, context) for name in item.clusters]
    if not any(found):
        hinted = [m[1] for name in item.clusters if (m := _OUR_NAME.search(name))]
        if hinted:
            return Claim("report", "T4", hinted[0], f"it names a cluster {item.clusters[0]}")
        return Claim("foreign", reason=f"it belongs to cluster {', '.join(item.clusters)}")
    if not all(found):
        return Claim("report", "T2", reason="it names a cluster of ours and one of others")
    stacks = {stack.stack_id: stack for facts in found for stack, _ in facts}
    # A live one wins, then the one that was destroyed last.
    owner = max(stacks.values(), key=lambda s: (s.live, s.busy, s.destroyed_at or 0.0))
    names = ", ".join(item.clusters)
    if not _of_its_time(item, owner, context):
        reason = (
            f"it names cluster {names}, like one that stack {owner.stack_id} had, but is not "
            "provably older than the end of that stack: others may have taken the name since"
        )
        return Claim("report", "T2", owner.stack_id, reason)
    return Claim(
        "ours",
        "T2",
        owner.stack_id,
        evidence=(f"it says it belongs to cluster {names}, which is of stack {owner.stack_id}",),
    )


def _of_its_time(item: Item, owner: StackFact, context: Context) -> bool:
    """Tell whether the clusters that an item names can only be a stack's own.

    A name with the stack's id is nobody else's. Any other may be taken again once the stack is
    destroyed.
    """
    if owner.destroyed_at is None or all(owner.stack_id in name for name in item.clusters):
        return True
    kind = context.kinds.get(item.ref.type)
    late = _REBORN_WITHIN if kind is not None and kind.reborn else 0.0
    return item.created is not None and item.created <= owner.destroyed_at + late


def _facts_of(
    name: str, region: str, context: Context
) -> tuple[tuple[StackFact, ClusterFact], ...]:
    facts = context.clusters.get(name, ())
    if region == GLOBAL:
        # Only a name that nobody else can have tells anything without a region.
        return tuple((stack, fact) for stack, fact in facts if stack.stack_id in name)
    return tuple((stack, fact) for stack, fact in facts if _same_place(fact.region, region))


def _by_name(item: Item, knowledge: Knowledge) -> Claim | None:
    hint = item.facts.get("owner-hint", "")
    marked = (item.tags or {}).get(STACK, "")
    if marked in knowledge.stacks:
        return Claim("report", "T4", marked, "it names a stack of ours, but no installation")
    match = _OUR_NAME.search(hint) or _OUR_NAME.search(item.name)
    if match is None and not hint:
        return None
    stack = knowledge.stacks.get(match[1]) if match else None
    reason = f"only its name says whose it is: {hint or item.name}"
    return Claim("report", "T4", stack.stack_id if stack else "", reason)


def _by_container(
    item: Item, knowledge: Knowledge, context: Context, seen: frozenset[Ref]
) -> Claim:
    if item.ref in seen or len(seen) >= _MAX_DEPTH:
        return Claim("unknown", reason="what contains it goes in circles")
    claims = []
    for ref in item.inside:
        container = context.items.get(ref)
        if container is None:
            return Claim("unknown", reason=f"what contains it was not seen: {ref}")
        claims.append(_claim(container, knowledge, context, seen | {item.ref}))
    for whose in ("foreign", "unknown", "report"):
        for ref, claim in zip(item.inside, claims, strict=True):
            if claim.whose == whose:
                what = {"foreign": "others'", "unknown": "nobody knows whose", "report": "unsure"}
                return Claim(claim.whose, "", claim.stack_id, f"{what[whose]}: inside {ref}")
    if len({claim.stack_id for claim in claims}) > 1:
        return Claim("report", "T3", reason="it is inside things of different stacks")
    inside = ", ".join(str(ref) for ref in item.inside)
    evidence = (f"it is inside {inside}", *claims[0].evidence)
    return Claim("ours", "T3", claims[0].stack_id, evidence=evidence)


def _same_place(one: str, other: str) -> bool:
    """Tell whether two places are one, or one is a zone of the other."""
    return one == other or one.startswith(f"{other}-") or other.startswith(f"{one}-")
