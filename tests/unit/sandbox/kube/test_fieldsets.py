"""Field sets: which fields an object has, and their form in managedFields."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sandbox.kube.fieldsets import (
    Path,
    field_values,
    from_fields_v1,
    path_text,
    remove_path,
    to_fields_v1,
)
from mlstacks_dagster.sandbox.kube.resources import ResourceTable
from mlstacks_dagster.sandbox.kube.schemas import Node, load_schemas
from tests.unit.sandbox.kube.api import deployment


def _node(api_version: str, kind: str) -> Node:
    resource = ResourceTable().of_kind(api_version, kind)
    assert resource is not None
    node = load_schemas().root(resource)
    assert node is not None
    return node


DEPLOYMENT = _node("apps/v1", "Deployment")


def _texts(obj: Any, node: Node | None) -> set[str]:
    return {path_text(path) for path in field_values(obj, node)}


def test_items_of_a_keyed_list_are_fields_and_have_fields() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}}
    assert _texts({"spec": spec}, DEPLOYMENT) == {
        '.spec.template.spec.containers[name="a"]',
        '.spec.template.spec.containers[name="a"].name',
        '.spec.template.spec.containers[name="a"].image',
    }


def test_a_missing_key_has_its_default() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]
    spec = {"template": {"spec": {"containers": [{"name": "a", "ports": ports}]}}}
    texts = _texts({"spec": spec}, DEPLOYMENT)
    assert any('ports[containerPort=80,protocol="TCP"].containerPort' in text for text in texts)
    assert any('ports[containerPort=80,protocol="UDP"].protocol' in text for text in texts)


def test_an_atomic_map_is_one_field() -> None:
    assert _texts({"spec": {"selector": {"matchLabels": {"a": "b"}}}}, DEPLOYMENT) == {
        ".spec.selector"
    }


def test_an_atomic_list_is_one_field() -> None:
    container = {"name": "a", "args": ["x", "y"]}
    texts = _texts({"spec": {"template": {"spec": {"containers": [container]}}}}, DEPLOYMENT)
    assert '.spec.template.spec.containers[name="a"].args' in texts


def test_members_of_a_set_are_fields() -> None:
    texts = _texts({"metadata": {"finalizers": ["a", "b"]}}, DEPLOYMENT)
    assert texts == {'.metadata.finalizers[="a"]', '.metadata.finalizers[="b"]'}


def test_without_a_schema_maps_are_granular_and_lists_are_not() -> None:
    assert _texts({"spec": {"a": {"b": 1}, "c": [{"name": "x"}]}}, None) == {".spec.a.b", ".spec.c"}


def test_an_empty_map_is_a_field() -> None:
    assert _texts({"metadata": {"labels": {}}}, DEPLOYMENT) == {".metadata.labels"}


def test_the_form_of_managed_fields() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "a", "image": "x"}]}}}
    fields = to_fields_v1(field_values({"spec": spec}, DEPLOYMENT))
    assert fields == {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:name": {}}}
                }
            }
        }
    }


def test_what_cant_be_read_is_left_out() -> None:
    assert from_fields_v1({"x:a": {}, "k:nonsense": {}, "f:a": {}}) == {(("f", "a"),)}


_KEYS = st.one_of(
    st.tuples(st.just("f"), st.from_regex(r"[a-z./]{1,5}", fullmatch=True)),
    st.tuples(
        st.just("k"),
        st.dictionaries(
            st.sampled_from(["name", "port"]), st.one_of(st.text(max_size=3), st.integers()),
            min_size=1,
        ).map(lambda d: tuple(sorted(d.items()))),
    ),
    st.tuples(st.just("v"), st.text(max_size=3).map(json.dumps)),
)  # fmt: skip


@given(st.sets(st.lists(_KEYS, min_size=1, max_size=4).map(tuple), max_size=8))
def test_paths_survive_managed_fields(paths: set[Path]) -> None:
    assert from_fields_v1(json.loads(json.dumps(to_fields_v1(paths)))) == paths


def test_each_field_can_be_removed() -> None:
    obj = deployment()
    obj["metadata"] |= {"labels": {"a": "1", "b": "2"}, "finalizers": ["x/y", "x/z"]}
    for path in field_values(obj, DEPLOYMENT):
        left = copy.deepcopy(obj)
        remove_path(left, path)
        assert path not in field_values(left, DEPLOYMENT), path_text(path)


def test_removing_what_isnt_there_changes_nothing() -> None:
    obj = deployment()
    for path in (
        (("f", "spec"), ("f", "missing"), ("f", "below")),
        (("f", "spec"), ("k", (("name", "a"),))),
        (("f", "metadata"), ("v", '"x"')),
    ):
        remove_path(obj, path)
    assert obj == deployment()
