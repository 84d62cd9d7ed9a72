"""What the API says about itself: to new clients, to old ones, and to those that read schemas."""

from __future__ import annotations

import json

import pytest

from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.sandbox.kube.resources import ResourceTable, builtin_resources
from mlstacks_dagster.sandbox.kube.schemas import available_versions, load_schemas
from tests.unit.sandbox.kube.api import CRDS, Api, Obj, crd

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _resources(api: Api, url: str) -> dict[str, Obj]:
    return {item["name"]: item for item in api.get(url)["resources"]}


def test_the_version_is_that_of_the_schemas() -> None:
    assert Api(version="1.33").get("/version")["gitVersion"] == "v1.33.0"


@pytest.mark.parametrize("url", ["/healthz", "/livez", "/readyz"])
def test_it_is_healthy(api: Api, url: str) -> None:
    assert api.send("GET", url).body() == b"ok"


def test_legacy_discovery_lists_groups_versions_and_resources(api: Api) -> None:
    assert api.get("/api")["versions"] == ["v1"]
    groups = {group["name"]: group for group in api.get("/apis")["groups"]}
    assert groups["apps"]["preferredVersion"]["groupVersion"] == "apps/v1"
    assert groups["autoscaling"]["preferredVersion"]["version"] == "v2"
    assert "" not in groups
    assert api.get("/apis/apps")["versions"] == [{"groupVersion": "apps/v1", "version": "v1"}]
    apps = _resources(api, "/apis/apps/v1")
    assert apps["deployments"]["shortNames"] == ["deploy"]
    assert apps["deployments/scale"]["kind"] == "Scale"
    assert apps["deployments/status"]["verbs"] == ["get", "patch", "update"]
    core = _resources(api, "/api/v1")
    assert core["namespaces"]["namespaced"] is False
    assert core["pods"]["namespaced"] is True
    assert "watch" in core["pods"]["verbs"]
    assert core["pods/eviction"]["kind"] == "Eviction"


def test_aggregated_discovery_says_the_same(api: Api) -> None:
    api.post(CRDS, crd())
    for root, prefix in (("/api", "/api/{v}"), ("/apis", "/apis/{g}/{v}")):
        reply = api.send("GET", root, accept=AGGREGATED)
        assert reply.content_type == AGGREGATED
        for group in reply.obj["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                url = prefix.format(g=name, v=version["version"])
                plain = {r["name"] for r in api.get(url)["resources"]}
                found = {r["resource"] for r in version["resources"]} | {
                    f"{r['resource']}/{s['subresource']}"
                    for r in version["resources"]
                    for s in r.get("subresources", ())
                }
                assert found == plain


def test_a_client_that_doesnt_ask_for_it_gets_the_legacy_form(api: Api) -> None:
    assert api.get("/apis", accept="application/json")["kind"] == "APIGroupList"


def test_a_definition_shows_in_discovery_and_goes_from_it(api: Api) -> None:
    made = crd()
    made["spec"]["names"] |= {"shortNames": ["wi"], "categories": ["all"]}
    api.post(CRDS, made)
    found = _resources(api, "/apis/example.org/v1")
    assert set(found) == {"widgets", "widgets/status"}
    assert (found["widgets"]["shortNames"], found["widgets"]["categories"]) == (["wi"], ["all"])
    api.delete(f"{CRDS}/widgets.example.org")
    assert "example.org" not in {g["name"] for g in api.get("/apis")["groups"]}


def test_every_built_in_kind_has_a_schema() -> None:
    for version in ("1.32", "1.37"):
        schemas = load_schemas(version)
        missing = [r.kind for r in builtin_resources() if schemas.name_of(r) is None]
        assert missing == []


def test_versions_are_preferred_as_kubernetes_does() -> None:
    table = ResourceTable()
    definition = crd()
    names = ["v1beta1", "v2", "v1", "v1alpha1", "v1beta2", "other"]
    template = definition["spec"]["versions"][0]
    definition["spec"]["versions"] = [
        {**template, "name": name, "storage": name == "v1"} for name in names
    ]
    table.serve(definition)
    assert table.versions()["example.org"] == [
        "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "other",
    ]  # fmt: skip
    stored = table.of_key(("example.org", "widgets"))
    assert stored is not None
    assert stored.version == "v1"


def test_the_openapi_index_leads_to_documents(api: Api) -> None:
    api.post(CRDS, crd())
    paths = api.get("/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/example.org/v1"} <= set(paths)
    for path, said in paths.items():
        assert said["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=")
        assert api.get(f"/openapi/v3/{path}")["openapi"].startswith("3.")


def test_a_document_says_that_fields_are_validated_by_the_server(api: Api) -> None:
    """By this Helm knows not to validate on its own."""
    document = api.get("/openapi/v3/apis/apps/v1")
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps", "version": "v1", "kind": "Deployment",
    }  # fmt: skip
    assert {p["name"] for p in patch["parameters"]} == {"fieldValidation"}


@pytest.mark.parametrize(
    ("url", "key", "root"),
    [
        ("/openapi/v3/apis/apps/v1", "components", "#/components/schemas/"),
        ("/openapi/v2", "definitions", "#/definitions/"),
    ],
)
def test_every_reference_of_a_document_is_in_it(api: Api, url: str, key: str, root: str) -> None:
    api.post(CRDS, crd())
    document = api.get(url)
    schemas = document[key].get("schemas", document[key])
    references = json.dumps(document).split('"$ref": "')[1:]
    assert references
    for reference in references:
        name = reference.partition('"')[0]
        assert name.startswith(root)
        assert name.removeprefix(root) in schemas


def test_a_document_is_real_openapi(api: Api) -> None:
    schemas = api.get("/openapi/v3/apis/apps/v1")["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["properties"]["replicas"] == {"type": "integer", "format": "int32"}
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]


def test_a_definitions_schema_is_in_its_document(api: Api) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}}
    api.post(CRDS, crd(schema=schema))
    schemas = api.get("/openapi/v3/apis/example.org/v1")["components"]["schemas"]
    widget = schemas["org.example.v1.Widget"]
    assert widget["properties"]["spec"] == {"type": "object"}
    assert widget["properties"]["metadata"]["$ref"].endswith("ObjectMeta")


def test_openapi_v2_as_protobuf_is_empty(api: Api) -> None:
    reply = api.send(
        "GET", "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    )
    assert reply.body() == b""
    assert "protobuf" in reply.content_type


def test_a_version_without_schemas_is_refused_with_what_there_is() -> None:
    with pytest.raises(SandboxError) as caught:
        load_schemas("1.3")
    assert available_versions()[0] in str(caught.value.remedy)
    assert "1.34" in available_versions()
