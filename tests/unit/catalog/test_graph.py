from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.catalog.graph import find_cycle, topological_order


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, set[str]]:
    """Return a graph whose nodes depend only on nodes before them in a random order."""
    names = draw(st.lists(st.text("abcd", min_size=1, max_size=3), unique=True, max_size=12))
    return {
        name: draw(st.sets(st.sampled_from(names[:i]))) if i else set()
        for i, name in enumerate(names)
    }


@given(acyclic())
def test_every_node_comes_once_and_after_what_it_needs(edges: dict[str, set[str]]) -> None:
    order = topological_order(edges)
    assert sorted(order) == sorted(edges)
    for node, before in edges.items():
        assert all(order.index(other) < order.index(node) for other in before)


@given(acyclic(), st.integers())
def test_the_order_does_not_depend_on_how_the_graph_was_written(
    edges: dict[str, set[str]], seed: int
) -> None:
    names = list(edges)
    random.Random(seed).shuffle(names)
    assert topological_order({n: edges[n] for n in names}) == topological_order(edges)


@given(acyclic())
def test_the_reversed_order_suits_the_reversed_edges(edges: dict[str, set[str]]) -> None:
    """What is deployed last is destroyed first: dependents go before what they need."""
    dependents = {n: {m for m, before in edges.items() if n in before} for n in edges}
    teardown = topological_order(edges)[::-1]
    for node, users in dependents.items():
        assert all(teardown.index(user) < teardown.index(node) for user in users)


@given(acyclic())
def test_among_the_ready_the_first_by_name_goes_first(edges: dict[str, set[str]]) -> None:
    done: set[str] = set()
    for node in topological_order(edges):
        ready = [n for n, before in edges.items() if n not in done and before <= done]
        assert node == min(ready)
        done.add(node)


@given(acyclic())
def test_a_graph_without_a_cycle_has_none(edges: dict[str, set[str]]) -> None:
    assert find_cycle(edges) == ()


@given(acyclic(), st.data())
def test_a_cycle_is_found_and_follows_edges(
    edges: dict[str, set[str]], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(sorted(edges)))[:3]
    if not names:
        return
    for before, after in zip(names, (*names[1:], names[0]), strict=True):
        edges[after].add(before)
    cycle = find_cycle(edges)
    assert cycle
    for before, after in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
        assert before in edges[after]
    with pytest.raises(ValueError, match="cycle"):
        topological_order(edges)
