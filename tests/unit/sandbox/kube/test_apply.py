"""Server-side apply: who owns what, conflicts, and what goes when nobody wants it."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import (
    APPLY,
    APPS,
    CORE,
    CRDS,
    JSON,
    MERGE,
    Api,
    Obj,
    config_map,
    crd,
    deployment,
)

URL = f"{CORE}/configmaps/cm"
WEB = f"{APPS}/deployments/web"


def _owners(obj: Obj) -> dict[tuple[str, str], set[str]]:
    """Return the leaf field names that each manager owns."""

    def leaves(fields: Obj) -> set[str]:
        found = set()
        for name, below in fields.items():
            found |= leaves(below) if below and name != "." else {name}
        return found - {"."}

    return {
        (entry["manager"], entry["operation"]): leaves(entry["fieldsV1"])
        for entry in obj["metadata"]["managedFields"]
    }


def _container(**fields: Any) -> Obj:
    obj = deployment()
    obj["spec"]["template"]["spec"]["containers"][0] |= fields
    return obj


def test_apply_creates_what_isnt_there(api: Api) -> None:
    reply = api.send("PATCH", f"{URL}?fieldManager=one", config_map(a="1"), content_type=APPLY)
    assert reply.code == 201
    assert _owners(reply.obj) == {("one", "Apply"): {"f:a"}}
    again = api.send("PATCH", f"{URL}?fieldManager=one", config_map(a="1"), content_type=APPLY)
    assert again.code == 200


def test_applying_the_same_twice_changes_nothing(api: Api) -> None:
    first = api.apply(URL, config_map(a="1"))
    api.time.pass_(60)
    assert api.apply(URL, config_map(a="1")) == first


def test_applied_yaml_is_read(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: '1'}\n"
    reply = api.send("PATCH", f"{URL}?fieldManager=one", text, content_type=APPLY)
    assert reply.obj["data"] == {"a": "1"}


def test_what_is_applied_no_longer_goes(api: Api) -> None:
    api.apply(URL, config_map(a="1", b="2"))
    assert api.apply(URL, config_map(a="1"))["data"] == {"a": "1"}


def test_what_others_own_stays(api: Api) -> None:
    api.apply(URL, config_map(a="1", b="2"), "one")
    api.apply(URL, config_map(b="2", c="3"), "two")
    assert api.apply(URL, config_map(a="1"), "one")["data"] == {"a": "1", "b": "2", "c": "3"}


def test_an_item_of_a_list_goes_with_its_last_owner(api: Api) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    api.apply(WEB, _container(env=env))
    obj = api.apply(WEB, _container(env=env[:1]))
    assert obj["spec"]["template"]["spec"]["containers"][0]["env"] == env[:1]


def test_a_map_that_nobody_wants_goes_with_its_last_field(api: Api) -> None:
    labelled = config_map(a="1")
    labelled["metadata"]["labels"] = {"x": "y"}
    api.apply(URL, labelled)
    assert "labels" not in api.apply(URL, config_map(a="1"))["metadata"]


def test_a_changed_field_of_somebody_else_is_a_conflict(api: Api) -> None:
    api.apply(URL, config_map(a="1"), "one")
    with pytest.raises(ApiError) as caught:
        api.apply(URL, config_map(a="2"), "two")
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    assert caught.value.details["causes"] == [cause]
    assert api.get(URL)["data"] == {"a": "1"}


def test_the_same_value_is_shared(api: Api) -> None:
    api.apply(URL, config_map(a="1"), "one")
    obj = api.apply(URL, config_map(a="1"), "two")
    assert _owners(obj) == {("one", "Apply"): {"f:a"}, ("two", "Apply"): {"f:a"}}


def test_force_takes_the_field(api: Api) -> None:
    api.apply(URL, config_map(a="1", b="1"), "one")
    obj = api.apply(URL, config_map(a="2"), "two", force=True)
    assert obj["data"] == {"a": "2", "b": "1"}
    assert _owners(obj) == {("one", "Apply"): {"f:b"}, ("two", "Apply"): {"f:a"}}


def test_an_update_takes_what_it_changes_and_then_conflicts(api: Api) -> None:
    api.apply(URL, config_map(a="1", b="1"), "helm")
    obj = api.patch(f"{URL}?fieldManager=kubectl", {"data": {"a": "2"}}, MERGE)
    assert _owners(obj) == {("helm", "Apply"): {"f:b"}, ("kubectl", "Update"): {"f:a"}}
    with pytest.raises(ApiError, match=r'conflict with "kubectl" using v1: \.data\.a'):
        api.apply(URL, config_map(a="1", b="1"), "helm")


def test_an_update_that_changes_nothing_owns_nothing(api: Api) -> None:
    api.apply(URL, config_map(a="1"), "helm")
    obj = api.patch(f"{URL}?fieldManager=kubectl", {"data": {"a": "1"}}, MERGE)
    assert _owners(obj) == {("helm", "Apply"): {"f:a"}}


def test_a_removed_field_has_no_owner(api: Api) -> None:
    api.apply(URL, config_map(a="1", b="1"), "helm")
    obj = api.patch(f"{URL}?fieldManager=kubectl", {"data": {"a": None}}, MERGE)
    assert _owners(obj) == {("helm", "Apply"): {"f:b"}}


def test_scaling_makes_the_next_apply_conflict(api: Api) -> None:
    api.apply(WEB, deployment(replicas=1), "helm")
    api.send("PATCH", f"{WEB}/scale?fieldManager=kubectl", {"spec": {"replicas": 3}},
             content_type=MERGE)  # fmt: skip
    with pytest.raises(ApiError, match=r"\.spec\.replicas"):
        api.apply(WEB, deployment(replicas=1), "helm")
    healed = api.apply(WEB, deployment(replicas=1), "helm", force=True)
    assert healed["spec"]["replicas"] == 1


def test_a_default_that_nobody_owns_is_taken_without_conflict(api: Api) -> None:
    api.apply(WEB, deployment(), "helm")
    assert api.apply(WEB, deployment(replicas=3), "other")["spec"]["replicas"] == 3


def test_status_has_owners_of_its_own(api: Api) -> None:
    api.apply(WEB, deployment(), "helm")
    api.settle()
    entries = api.get(WEB)["metadata"]["managedFields"]
    controllers = [e for e in entries if e["manager"] == "kube-controller-manager"]
    assert [e.get("subresource") for e in controllers] == ["status"]


def test_managed_fields_can_be_handed_over_by_json_patch(api: Api) -> None:
    """Helm does so with a release that an older Helm made."""
    api.post(f"{CORE}/configmaps?fieldManager=helm", config_map(a="1"))
    live = api.get(URL)
    entry = {**live["metadata"]["managedFields"][0], "operation": "Apply"}
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": live["metadata"]["resourceVersion"],
        },
    ]
    assert _owners(api.patch(URL, patch, JSON)) == {("helm", "Apply"): {"f:a"}}
    obj = api.apply(URL, config_map(b="2"), "helm")
    assert obj["data"] == {"b": "2"}


def test_managed_fields_can_be_cleared(api: Api) -> None:
    api.apply(URL, config_map(a="1"), "one")
    obj = api.patch(URL, {"metadata": {"managedFields": [{}]}}, MERGE)
    assert obj["metadata"]["managedFields"] == []
    assert api.apply(URL, config_map(a="2"), "two")["data"] == {"a": "2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Secret"}, "must be of v1 ConfigMap"),
        ({"metadata": {"name": "other"}}, "not the one in the URL"),
        ({"metadata": {"name": "cm", "namespace": "other"}}, "not the one in the URL"),
        ({"metadata": {"name": "cm", "managedFields": [{}]}}, "managedFields must be nil"),
    ],
)
def test_a_configuration_for_something_else_is_refused(api: Api, change: Obj, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        api.apply(URL, {**config_map(), **change})
    assert caught.value.code == 400


def test_apply_needs_a_manager(api: Api) -> None:
    with pytest.raises(ApiError, match="fieldManager"):
        api.send("PATCH", URL, config_map(), content_type=APPLY)


def test_an_unknown_field_cant_be_applied(api: Api) -> None:
    with pytest.raises(ApiError, match=r"\.spec\.replica: field not declared in schema") as caught:
        api.apply(WEB, deployment(replica=1))
    assert caught.value.code == 500


def test_two_items_with_the_same_key_cant_be_applied(api: Api) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    with pytest.raises(ApiError, match=r'duplicate entries for key \[name="A"\]'):
        api.apply(WEB, _container(env=env))


def test_a_dry_run_of_apply_changes_nothing(api: Api) -> None:
    url = f"{URL}?fieldManager=one&dryRun=All"
    assert api.send("PATCH", url, config_map(a="1"), content_type=APPLY).obj["data"] == {"a": "1"}
    assert "cm" not in api.names(f"{CORE}/configmaps")
    api.apply(URL, config_map(a="1"), "one")
    before = api.get(URL)
    said = api.send("PATCH", url, config_map(a="2"), content_type=APPLY).obj
    assert said["data"] == {"a": "2"}
    assert said["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert api.get(URL) == before


def test_a_manager_is_the_same_in_every_version_of_a_kind(api: Api) -> None:
    definition = crd()
    versions = definition["spec"]["versions"]
    versions.append({**versions[0], "name": "v2", "storage": False})
    api.post(CRDS, definition)
    widget = {"kind": "Widget", "metadata": {"name": "w"}}
    for version, spec in (("v1", {"a": 1, "b": 2}), ("v2", {"a": 1})):
        url = f"/apis/example.org/{version}/namespaces/default/widgets/w"
        obj = api.apply(url, {**widget, "apiVersion": f"example.org/{version}", "spec": spec})
    assert obj["spec"] == {"a": 1}
    entries = [(e["manager"], e["apiVersion"]) for e in obj["metadata"]["managedFields"]]
    assert entries == [("one", "example.org/v2")]
