"""Order the nodes of a dependency graph. Pure; knows nothing of units."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush

__all__ = ["find_cycle", "topological_order"]

Edges = Mapping[str, Collection[str]]
"""Each node with the nodes that must come before it."""


def topological_order(edges: Edges) -> tuple[str, ...]:
    """Return the nodes with each after what it depends on, alphabetical among the ready.

    Raises ``ValueError`` when there is a cycle.
    """
    order = _peel(edges)
    if len(order) < len(edges):
        raise ValueError("the graph has a cycle")
    return tuple(order)


def find_cycle(edges: Edges) -> tuple[str, ...]:
    """Return the nodes of one cycle, each followed by one that depends on it; () if none.

    The same graph gives the same cycle.
    """
    left = set(edges).difference(_peel(edges))
    if not left:
        return ()
    path = [min(left)]
    while (before := min(left.intersection(edges[path[-1]]))) not in path:
        path.append(before)
    return tuple(reversed(path[path.index(before) :]))


def _peel(edges: Edges) -> list[str]:
    """Return the nodes that can be ordered: all that neither are on a cycle nor need one."""
    waiting = {node: len(set(before)) for node, before in edges.items()}
    after: dict[str, list[str]] = {node: [] for node in edges}
    for node, before in edges.items():
        for other in set(before):
            after[other].append(node)
    ready = [node for node, count in waiting.items() if count == 0]
    heapify(ready)
    order: list[str] = []
    while ready:
        order.append(heappop(ready))
        for other in after[order[-1]]:
            waiting[other] -= 1
            if waiting[other] == 0:
                heappush(ready, other)
    return order
