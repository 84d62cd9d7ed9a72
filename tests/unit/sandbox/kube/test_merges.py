"""Merge patch, strategic merge patch and the merge of server-side apply."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sandbox.kube.merges import merge_applied, merge_patch, strategic_merge
from tests.unit.sandbox.kube.test_fieldsets import DEPLOYMENT

_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
_MAPS = st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3)


def _containers(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}}}


def _found(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return list(obj["spec"]["template"]["spec"]["containers"])


def test_a_merge_patch_removes_nulls_and_replaces_lists() -> None:
    target = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert merge_patch(target, {"a": {"b": None}, "d": [3]}) == {"a": {"c": 2}, "d": [3]}


@given(target=_VALUES, patch=_VALUES)
def test_a_merge_patch_applied_twice_is_as_good_as_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(target=_MAPS, patch=_MAPS)
def test_no_merge_changes_what_it_is_given(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    strategic_merge(target, patch, DEPLOYMENT)
    merge_applied(target, patch, DEPLOYMENT)
    assert (target, patch) == before


@given(_MAPS)
def test_applying_what_is_there_changes_nothing(obj: Any) -> None:
    assert merge_applied(obj, copy.deepcopy(obj), None) == obj


def test_apply_finds_items_by_their_keys() -> None:
    live = _containers({"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]})
    applied = _containers({"name": "b", "image": "2"}, {"name": "a", "image": "3"})
    assert _found(merge_applied(live, applied, DEPLOYMENT)) == [
        {"name": "a", "image": "3", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "2"},
    ]


def test_apply_adds_to_sets() -> None:
    live, applied = {"metadata": {"finalizers": ["a"]}}, {"metadata": {"finalizers": ["b", "a"]}}
    merged = merge_applied(live, applied, DEPLOYMENT)
    assert merged["metadata"]["finalizers"] == ["a", "b"]


def test_apply_replaces_atomic_lists_and_maps() -> None:
    live = {"spec": {"selector": {"matchLabels": {"a": "1"}}}}
    applied = {"spec": {"selector": {"matchLabels": {"b": "2"}}}}
    assert merge_applied(live, applied, DEPLOYMENT) == applied


def test_a_strategic_patch_finds_items_by_their_merge_key() -> None:
    live = _containers({"name": "a", "image": "1"}, {"name": "b", "image": "2"})
    patched = strategic_merge(live, _containers({"name": "b", "image": "3"}), DEPLOYMENT)
    assert _found(patched) == [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}]


def test_a_strategic_patch_deletes_items() -> None:
    live = _containers({"name": "a"}, {"name": "b"})
    patch = _containers({"name": "a", "$patch": "delete"})
    assert _found(strategic_merge(live, patch, DEPLOYMENT)) == [{"name": "b"}]


def test_a_strategic_patch_replaces_a_list_on_demand() -> None:
    live = _containers({"name": "a"}, {"name": "b"})
    patch = _containers({"$patch": "replace"}, {"name": "c"})
    assert _found(strategic_merge(live, patch, DEPLOYMENT)) == [{"name": "c"}]


def test_a_strategic_patch_replaces_a_map_on_demand() -> None:
    live = {"metadata": {"labels": {"a": "1"}}}
    patch = {"metadata": {"labels": {"$patch": "replace", "b": "2"}}}
    assert strategic_merge(live, patch, DEPLOYMENT) == {"metadata": {"labels": {"b": "2"}}}


def test_a_strategic_patch_keeps_only_named_keys() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    merged = strategic_merge(live, patch, DEPLOYMENT)
    assert merged == {"spec": {"strategy": {"type": "Recreate"}}}


def test_a_strategic_patch_takes_members_out_of_a_set() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    merged = strategic_merge(live, patch, DEPLOYMENT)
    assert merged == {"metadata": {"finalizers": ["b", "c"]}}


def test_a_strategic_patch_replaces_lists_that_dont_merge() -> None:
    live = _containers({"name": "a", "args": ["1"]})
    merged = strategic_merge(live, _containers({"name": "a", "args": ["2"]}), DEPLOYMENT)
    assert _found(merged)[0]["args"] == ["2"]


def test_a_strategic_patch_forgets_its_order_directive() -> None:
    patch = {"spec": {"$setElementOrder/x": [1], "replicas": 2}}
    assert strategic_merge({"spec": {}}, patch, DEPLOYMENT) == {"spec": {"replicas": 2}}
