"""In which order things go: a graph of what blocks what, then the rank of the types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["blockers", "waves"]


def blockers(items: Sequence[Item]) -> dict[Ref, frozenset[Ref]]:
    """Return for each item those of the others that must go before it.

    These are what holds it, what needs it, and what is inside of it.
    """
    known = {item.ref for item in items}
    found: dict[Ref, set[Ref]] = {item.ref: set() for item in items}
    for item in items:
        found[item.ref].update(user for user in item.used_by if user in known)
        for other in (*item.uses, *item.inside):
            if other in known:
                found[other].add(item.ref)
    return {ref: frozenset(users - {ref}) for ref, users in found.items()}


def waves(items: Sequence[Item], ranks: Mapping[str, int]) -> tuple[tuple[Ref, ...], ...]:
    """Return the items in waves: all of a wave can go at once, after the waves before it.

    Of what nothing blocks the lowest rank goes first. Things that block each other in a circle
    (security groups that name each other) are one wave. The result doesn't depend on the
    order of ``items``.
    """
    graph = blockers(items)
    groups = _circles(graph)
    group_of = {ref: number for number, group in enumerate(groups) for ref in group}
    waiting = [
        {group_of[user] for ref in group for user in graph[ref]} - {number}
        for number, group in enumerate(groups)
    ]
    frees: list[list[int]] = [[] for _ in groups]
    for number, users in enumerate(waiting):
        for user in users:
            frees[user].append(number)
    rank = [max(ranks.get(ref.type, 0) for ref in group) for group in groups]
    ready: dict[int, list[int]] = {}
    for number, users in enumerate(waiting):
        if not users:
            ready.setdefault(rank[number], []).append(number)
    result = []
    while ready:
        wave = ready.pop(min(ready))
        result.append(tuple(sorted((r for n in wave for r in groups[n]), key=_order)))
        for number in wave:
            for freed in frees[number]:
                waiting[freed].discard(number)
                if not waiting[freed]:
                    ready.setdefault(rank[freed], []).append(freed)
    return tuple(result)


def _order(ref: Ref) -> tuple[str, str, str]:
    return ref.type, ref.region, ref.id


def _circles(graph: Mapping[Ref, Iterable[Ref]]) -> list[list[Ref]]:
    """Return the strongly connected components (Tarjan's algorithm, without recursion)."""
    index: dict[Ref, int] = {}
    low: dict[Ref, int] = {}
    open_: dict[Ref, None] = {}
    groups: list[list[Ref]] = []
    for root in graph:
        if root in index:
            continue
        path = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        open_[root] = None
        while path:
            ref, users = path[-1]
            for user in users:
                if user not in index:
                    index[user] = low[user] = len(index)
                    open_[user] = None
                    path.append((user, iter(graph[user])))
                    break
                if user in open_:
                    low[ref] = min(low[ref], index[user])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[ref])
                if low[ref] == index[ref]:
                    groups.append(_take_group(open_, ref))
    return groups


def _take_group(open_: dict[Ref, None], root: Ref) -> list[Ref]:
    group: list[Ref] = []
    while not group or group[-1] != root:
        group.append(open_.popitem()[0])
    return group
