"""CustomResourceDefinitions are served at once, with their schema, and take theirs along."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import APPLY, CRDS, MERGE, STRATEGIC, Api, Obj, crd

WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "parts": {
                    "type": "array",
                    "maxItems": 3,
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "string"}, "n": {"type": "integer"}},
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                },
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def _widget(**spec: Any) -> Obj:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 1, **spec},
    }


@pytest.fixture
def widgets(api: Api) -> Api:
    api.post(CRDS, crd(schema=SCHEMA))
    return api


def test_a_definition_is_served_at_once(api: Api) -> None:
    api.post(CRDS, crd())
    assert api.post(WIDGETS, _widget())["kind"] == "Widget"
    assert api.names(WIDGETS) == ["w"]


def test_a_definition_says_that_it_is_served(api: Api) -> None:
    api.post(CRDS, crd())
    api.settle()
    status = api.get(f"{CRDS}/widgets.example.org")["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert status["storedVersions"] == ["v1"]
    assert status["acceptedNames"]["singular"] == "widget"


def test_a_definition_that_would_be_made_serves_nothing(api: Api) -> None:
    api.post(f"{CRDS}?dryRun=All", crd())
    with pytest.raises(ApiError):
        api.get(WIDGETS)


def test_a_new_version_is_served_beside_the_old_one(api: Api) -> None:
    api.post(CRDS, crd())
    api.post(WIDGETS, _widget())
    changed = api.get(f"{CRDS}/widgets.example.org")
    second = {**changed["spec"]["versions"][0], "name": "v2", "storage": False}
    changed["spec"]["versions"].append(second)
    api.put(f"{CRDS}/widgets.example.org", changed)
    found = api.get(WIDGETS.replace("/v1/", "/v2/"))
    assert found["items"][0]["apiVersion"] == "example.org/v2"


def test_a_version_that_isnt_served_any_longer_is_gone(api: Api) -> None:
    api.post(CRDS, crd())
    changed = api.get(f"{CRDS}/widgets.example.org")
    changed["spec"]["versions"][0]["served"] = False
    api.put(f"{CRDS}/widgets.example.org", changed)
    with pytest.raises(ApiError):
        api.get(WIDGETS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": "two"}, "must be of type integer"),
        ({"size": True}, "must be of type integer"),
        ({"size": 1.5}, "must be of type integer"),
        ({"size": 0}, "value is out of range"),
        ({"size": 10}, "value is out of range"),
        ({"color": "green"}, 'supported values: "red", "blue"'),
        ({"name": "A"}, "should match"),
        ({"name": "abcdef"}, "length is out of range"),
        ({"port": []}, "must be of type integer"),
        ({"labels": {"a": 1}}, "must be of type string"),
        ({"parts": [{"n": 1}]}, r"spec\.parts\[0\]\.id: Required value"),
        ({"parts": [{"id": str(n)} for n in range(4)]}, "number of items is out of range"),
    ],
)
def test_the_schema_of_the_definition_is_enforced(widgets: Api, spec: Obj, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        widgets.post(WIDGETS, _widget(**spec))
    assert caught.value.code == 422


def test_what_fits_the_schema_is_taken(widgets: Api) -> None:
    spec = {"port": "http", "free": {"any": [1]}, "labels": {"a": "b"}, "parts": [{"id": "x"}]}
    made = widgets.post(f"{WIDGETS}?fieldValidation=Strict", _widget(**spec))
    assert made["spec"] == {"size": 1, "color": "red", **spec}


def test_unknown_fields_are_dropped_or_refused(widgets: Api) -> None:
    with pytest.raises(ApiError, match=r'unknown field "spec\.colour"'):
        widgets.post(f"{WIDGETS}?fieldValidation=Strict", _widget(colour="red"))
    made = widgets.post(WIDGETS, _widget(colour="blue", parts=[{"id": "x", "y": 1}]))
    assert "colour" not in made["spec"]
    assert made["spec"]["parts"] == [{"id": "x"}]


def test_apply_knows_the_lists_of_the_schema(widgets: Api) -> None:
    url = f"{WIDGETS}/w"
    widgets.apply(url, _widget(parts=[{"id": "a", "n": 1}]), "one")
    obj = widgets.apply(url, _widget(parts=[{"id": "b", "n": 2}]), "two")
    assert obj["spec"]["parts"] == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_a_strategic_patch_of_a_custom_resource_is_refused(widgets: Api) -> None:
    widgets.post(WIDGETS, _widget())
    with pytest.raises(ApiError) as caught:
        widgets.patch(f"{WIDGETS}/w", {"spec": {"size": 2}}, STRATEGIC)
    assert caught.value.code == 415
    assert widgets.patch(f"{WIDGETS}/w", {"spec": {"size": 2}}, MERGE)["spec"]["size"] == 2


def test_a_replacement_needs_the_revision(widgets: Api) -> None:
    made = widgets.post(WIDGETS, _widget())
    with pytest.raises(ApiError, match="must be specified for an update"):
        widgets.put(f"{WIDGETS}/w", _widget(size=2))
    made["spec"]["size"] = 2
    assert widgets.put(f"{WIDGETS}/w", made)["spec"]["size"] == 2


def test_without_a_status_subresource_the_status_is_a_field_like_others(api: Api) -> None:
    api.post(CRDS, crd(status=False))
    assert api.post(WIDGETS, {**_widget(), "status": {"a": 1}})["status"] == {"a": 1}


def test_with_one_it_is_written_apart(widgets: Api) -> None:
    assert "status" not in widgets.post(WIDGETS, {**_widget(), "status": {"a": 1}})
    changed = {"status": {"a": 2}, "spec": {"size": 5}}
    obj = widgets.patch(f"{WIDGETS}/w/status", changed, MERGE)
    assert (obj["status"], obj["spec"]["size"]) == ({"a": 2}, 1)


def test_a_cluster_wide_kind_has_no_namespace(api: Api) -> None:
    api.post(CRDS, crd(namespaced=False))
    made = api.post("/apis/example.org/v1/widgets", _widget())
    assert "namespace" not in made["metadata"]


def test_deleting_the_definition_deletes_what_it_defined(widgets: Api) -> None:
    widgets.post(WIDGETS, _widget())
    widgets.delete(f"{CRDS}/widgets.example.org")
    widgets.settle()
    assert widgets.names(CRDS) == []
    with pytest.raises(ApiError):
        widgets.get(WIDGETS)
    widgets.post(CRDS, crd())
    assert widgets.names(WIDGETS) == []


def test_a_definition_waits_for_the_finalizers_of_its_objects(widgets: Api) -> None:
    held = _widget()
    held["metadata"]["finalizers"] = ["example.org/hold"]
    widgets.post(WIDGETS, held)
    widgets.delete(f"{CRDS}/widgets.example.org")
    widgets.settle()
    assert widgets.names(CRDS) == ["widgets.example.org"]
    widgets.patch(f"{WIDGETS}/w", {"metadata": {"finalizers": None}}, MERGE)
    widgets.settle()
    assert widgets.names(CRDS) == []


def test_custom_resources_can_be_applied_without_a_schema(api: Api) -> None:
    api.post(CRDS, crd())
    url = f"{WIDGETS}/w?fieldManager=one"
    reply = api.send("PATCH", url, _widget(anything={"a": [1]}), content_type=APPLY)
    assert reply.obj["spec"]["anything"] == {"a": [1]}
