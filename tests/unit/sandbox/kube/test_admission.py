"""What is refused in an object, and what is filled in."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import (
    APPS,
    BATCH,
    CORE,
    CRDS,
    MERGE,
    Api,
    Obj,
    config_map,
    crd,
    deployment,
    pod_template,
    service,
)

STRICT = "fieldValidation=Strict"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def _secret(**data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


def _stateful_set(**spec: Any) -> Obj:
    return {**deployment(serviceName="web", **spec), "kind": "StatefulSet"}


def _job() -> Obj:
    template = pod_template(restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"template": template},
    }


def test_an_unknown_field_is_refused_when_asked_to(api: Api) -> None:
    with pytest.raises(ApiError, match=r'strict decoding error: unknown field "spec.replica"') as e:
        api.post(f"{APPS}/deployments?{STRICT}", deployment(replica=1))
    assert (e.value.code, e.value.reason) == (400, "BadRequest")


@pytest.mark.parametrize("validation", ["Warn", "Ignore", ""])
def test_an_unknown_field_is_dropped_otherwise(api: Api, validation: str) -> None:
    obj = deployment(replica=1)
    obj["spec"]["template"]["spec"]["containers"][0] |= {
        "imag": "x",
        "ports": [{"containerPort": 1, "x": 2}],
    }
    made = api.post(f"{APPS}/deployments?fieldValidation={validation}", obj)
    assert "replica" not in made["spec"]
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert "imag" not in container
    assert container["ports"] == [{"containerPort": 1, "protocol": "TCP"}]


@pytest.mark.parametrize("query", [STRICT, "fieldValidation=Ignore"])
def test_a_wrong_type_is_refused_always(api: Api, query: str) -> None:
    with pytest.raises(ApiError, match="cannot be handled as a Deployment") as caught:
        api.post(f"{APPS}/deployments?{query}", deployment(replicas="two"))
    assert caught.value.code == 400


def test_a_missing_field_is_refused(api: Api) -> None:
    obj = deployment()
    del obj["spec"]["selector"]
    with pytest.raises(ApiError, match=r"spec\.selector: Required value") as caught:
        api.post(f"{APPS}/deployments", obj)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.details["causes"][0]["field"] == "spec.selector"


def test_all_problems_are_told_at_once(api: Api) -> None:
    with pytest.raises(ApiError, match=r"\[spec.selector: Required.*spec.template: Required"):
        api.post(f"{APPS}/deployments", {**deployment(), "spec": {}})


def test_a_selector_must_match_its_template(api: Api) -> None:
    with pytest.raises(ApiError, match="`selector` does not match template `labels`"):
        api.post(f"{APPS}/deployments", deployment(selector={"matchLabels": {"app": "other"}}))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Upper"}, "metadata.name"),
        ({"name": "under_score"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"name": "x", "labels": {"a b": "c"}}, "metadata.labels"),
        ({"name": "x", "labels": {"a": "not allowed"}}, "metadata.labels"),
        ({"name": "x", "labels": {"a": "x" * 64}}, "metadata.labels"),
        ({"name": "x", "annotations": {"a b": "c"}}, "metadata.annotations"),
        ({"name": "x", "annotations": {"a": "x" * 262_145}}, "metadata.annotations"),
    ],
)
def test_names_labels_and_annotations_follow_rules(api: Api, metadata: Obj, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        api.post(f"{CORE}/configmaps", {**config_map(), "metadata": metadata})
    assert caught.value.details["causes"][0]["field"] == field


def test_names_of_namespaces_and_services_are_shorter(api: Api) -> None:
    with pytest.raises(ApiError, match="RFC 1123"):
        api.post(f"{CORE}/services", service("a.b"))
    with pytest.raises(ApiError, match="RFC 1123"):
        api.post("/api/v1/namespaces", {"metadata": {"name": "a" * 64}})
    assert api.post(f"{CORE}/configmaps", config_map("a.b"))["metadata"]["name"] == "a.b"


def test_names_of_roles_are_free(api: Api) -> None:
    role = {"metadata": {"name": "system:thing:A"}, "rules": []}
    assert api.post(f"{RBAC}/clusterroles", role)["metadata"]["name"] == "system:thing:A"
    with pytest.raises(ApiError):
        api.post(f"{RBAC}/clusterroles", {**role, "metadata": {"name": "a/b"}})


def test_a_secret_over_a_mebibyte_is_refused(api: Api) -> None:
    half = base64.b64encode(b"x" * 524_288).decode()
    assert api.post(f"{CORE}/secrets", _secret(a=half, b=half))
    more = base64.b64encode(b"x").decode()
    with pytest.raises(ApiError, match="may not be more than 1048576 bytes") as caught:
        api.patch(f"{CORE}/secrets/s", {"data": {"c": more}}, MERGE)
    assert caught.value.code == 422
    with pytest.raises(ApiError, match="may not be more than"):
        api.post(f"{CORE}/configmaps", config_map(a="x" * 1_048_577))


def test_a_secret_must_be_base64(api: Api) -> None:
    with pytest.raises(ApiError, match=r"data\.a: illegal base64") as caught:
        api.post(f"{CORE}/secrets", _secret(a="not base64!"))
    assert caught.value.code == 400


def test_texts_of_a_secret_are_encoded_and_not_kept(api: Api) -> None:
    made = api.post(f"{CORE}/secrets", {**_secret(a="eA=="), "stringData": {"b": "x"}})
    assert made["data"] == {"a": "eA==", "b": "eA=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_an_immutable_secret_stays_as_it_is(api: Api) -> None:
    api.post(f"{CORE}/secrets", {**_secret(a="eA=="), "immutable": True})
    for change in ({"data": {"a": "eQ=="}}, {"immutable": False}, {"type": "other"}):
        with pytest.raises(ApiError) as caught:
            api.patch(f"{CORE}/secrets/s", change, MERGE)
        assert caught.value.code == 422
    assert api.patch(f"{CORE}/secrets/s", {"metadata": {"labels": {"a": "b"}}}, MERGE)


@pytest.mark.parametrize(
    ("url", "obj", "change", "message"),
    [
        (f"{APPS}/deployments", deployment(),
         {"spec": {"selector": {"matchLabels": {"a": "b"}},
                   "template": {"metadata": {"labels": {"a": "b"}}}}}, "immutable"),
        (f"{APPS}/statefulsets", _stateful_set(), {"spec": {"serviceName": "x"}}, "Forbidden"),
        (f"{BATCH}/jobs", _job(), {"spec": {"completions": 3}}, "immutable"),
        (f"{BATCH}/jobs", _job(),
         {"spec": {"template": {"spec": {"serviceAccountName": "x"}}}}, "immutable"),
        (f"{RBAC}/clusterrolebindings",
         {"metadata": {"name": "b"},
          "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"}},
         {"roleRef": {"name": "y"}}, "immutable"),
    ],
)  # fmt: skip
def test_what_cant_change_cant_be_changed(
    api: Api, url: str, obj: Obj, change: Obj, message: str
) -> None:
    api.post(url, obj)
    with pytest.raises(ApiError, match=message) as caught:
        api.patch(f"{url}/{obj['metadata']['name']}", change, MERGE)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")


def test_a_stateful_set_can_be_scaled_and_its_template_changed(api: Api) -> None:
    api.post(f"{APPS}/statefulsets", _stateful_set())
    change = {"spec": {"replicas": 2, "template": {"metadata": {"annotations": {"a": "b"}}}}}
    assert api.patch(f"{APPS}/statefulsets/web", change, MERGE)["spec"]["replicas"] == 2


def test_a_service_gets_addresses_and_ports_and_keeps_them(api: Api) -> None:
    made = api.post(f"{CORE}/services", service(type="NodePort"))
    assert made["spec"]["clusterIP"].startswith("10.96.")
    port = made["spec"]["ports"][0]
    assert (port["protocol"], port["targetPort"]) == ("TCP", 80)
    assert 30_000 <= port["nodePort"] < 32_768
    replaced = api.put(f"{CORE}/services/web", service(type="NodePort"))
    assert replaced["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert replaced["spec"]["ports"] == made["spec"]["ports"]


def test_a_headless_service_stays_headless(api: Api) -> None:
    assert api.post(f"{CORE}/services", service(clusterIP="None"))["spec"]["clusterIP"] == "None"


def test_an_external_name_has_no_address(api: Api) -> None:
    obj = service(type="ExternalName", externalName="example.org")
    assert "clusterIP" not in api.post(f"{CORE}/services", obj)["spec"]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry.example.org:5000/nginx", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(api: Api, image: str, policy: str) -> None:
    made = api.post(f"{APPS}/deployments", deployment(image=image))
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"name": "other"}}, "must be spec.names.plural"),
        ({"spec": {**crd()["spec"], "versions": []}}, "exactly one version"),
        (
            {
                "spec": {
                    **crd()["spec"],
                    "versions": [{"name": "v1", "served": True, "storage": True}],
                }
            },
            "schemas are required",
        ),
    ],
)
def test_a_definition_of_nonsense_is_refused(api: Api, change: Obj, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        api.post(CRDS, {**crd(), **change})
