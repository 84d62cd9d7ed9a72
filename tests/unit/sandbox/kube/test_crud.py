"""Create, read, replace, list and delete, and what the API answers when it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import (
    APPS,
    CORE,
    JSON,
    MERGE,
    STRATEGIC,
    Api,
    Obj,
    config_map,
    deployment,
    service,
)

MAPS = f"{CORE}/configmaps"
URL = f"{MAPS}/cm"
WEB = f"{APPS}/deployments/web"


def _refused(code: int, reason: str, match: str | None = None) -> Any:
    """Expect a refusal with this code and reason."""

    class Expected:
        def __enter__(self) -> Any:
            self._raises = pytest.raises(ApiError, match=match)
            self.caught = self._raises.__enter__()
            return self.caught

        def __exit__(self, *error: Any) -> Any:
            handled = self._raises.__exit__(*error)
            status = self.caught.value.status
            assert (status["code"], status["reason"]) == (code, reason)
            assert (status["kind"], status["status"]) == ("Status", "Failure")
            return handled

    return Expected()


def test_a_created_object_gets_what_the_server_gives(api: Api) -> None:
    made = api.post(MAPS, config_map(a="1"))
    assert api.get(URL) == made
    assert (made["apiVersion"], made["kind"], made["data"]) == ("v1", "ConfigMap", {"a": "1"})
    metadata = made["metadata"]
    assert metadata["namespace"] == "default"
    assert metadata["uid"]
    assert metadata["generation"] == 1
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["managedFields"][0]["manager"] == "tester"


def test_a_name_is_generated(api: Api) -> None:
    obj = {**config_map(), "metadata": {"generateName": "made-"}}
    first, second = api.post(MAPS, obj), api.post(MAPS, obj)
    assert first["metadata"]["name"].startswith("made-")
    assert first["metadata"]["name"] != second["metadata"]["name"]


def test_what_exists_isnt_created_again(api: Api) -> None:
    api.post(MAPS, config_map())
    with _refused(409, "AlreadyExists", 'configmaps "cm" already exists'):
        api.post(MAPS, config_map())


def test_what_is_being_deleted_isnt_created_again(api: Api) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.org/hold"]
    api.post(MAPS, held)
    api.delete(URL)
    with _refused(409, "AlreadyExists", "object is being deleted"):
        api.post(MAPS, config_map())


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_what_isnt_there_isnt_found(api: Api, method: str) -> None:
    with _refused(404, "NotFound", 'deployments.apps "web" not found') as caught:
        api.send(method, WEB, deployment(), content_type=MERGE)
    assert caught.value.details == {"name": "web", "kind": "deployments", "group": "apps"}


@pytest.mark.parametrize(
    "url",
    [
        "/api/v1/namespaces/default/nonsense",
        "/apis/apps/v2/namespaces/default/deployments",
        "/apis/nonsense.org/v1/things",
        "/nonsense",
        "/api/v1/namespaces/default/configmaps/cm/status",
        "/api/v1/configmaps/cm",
        "/openapi/v3/apis/nonsense.org/v1",
        "/openapi/nonsense",
        "/apis/nonsense.org",
        "/apis/apps/v2",
    ],
)
def test_a_url_of_nothing_isnt_found(api: Api, url: str) -> None:
    with _refused(404, "NotFound"):
        api.get(url)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Secret"}, "unrecognized"),
        ({"apiVersion": "apps/v1"}, "unrecognized"),
        ({"metadata": {"name": "cm", "namespace": "other"}}, "does not match the namespace"),
        ({"metadata": {"name": "cm", "resourceVersion": "1"}}, "should not be set"),
        ({"metadata": "x"}, "metadata must be an object"),
    ],
)
def test_an_object_that_isnt_for_this_url_is_refused(api: Api, change: Obj, message: str) -> None:
    with _refused(400, "BadRequest", message):
        api.post(MAPS, {**config_map(), **change})


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', None])
def test_a_body_that_is_no_object_is_refused(api: Api, body: Any) -> None:
    with _refused(400, "BadRequest"):
        api.send("POST", MAPS, body)


def test_a_method_that_makes_no_sense_is_refused(api: Api) -> None:
    api.post(MAPS, config_map())
    with _refused(405, "MethodNotAllowed"):
        api.send("POST", URL, config_map())
    with _refused(405, "MethodNotAllowed"):
        api.send("PUT", MAPS, config_map())


def test_an_object_needs_its_namespace(api: Api) -> None:
    with _refused(404, "NotFound", 'namespaces "missing" not found'):
        api.post("/api/v1/namespaces/missing/configmaps", config_map())


def test_a_replacement_replaces(api: Api) -> None:
    made = api.post(MAPS, config_map(a="1", b="2"))
    api.put(URL, config_map(c="3"))
    now = api.get(URL)
    assert now["data"] == {"c": "3"}
    assert now["metadata"]["uid"] == made["metadata"]["uid"]
    assert int(now["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_replacement_of_an_old_revision_is_a_conflict(api: Api) -> None:
    made = api.post(MAPS, config_map(a="1"))
    api.put(URL, {**made, "data": {"a": "2"}})
    with _refused(409, "Conflict", "the object has been modified"):
        api.put(URL, {**made, "data": {"a": "3"}})


def test_a_replacement_of_another_uid_is_a_conflict(api: Api) -> None:
    made = api.post(MAPS, config_map(a="1"))
    metadata = {"name": "cm", "uid": made["metadata"]["uid"][::-1]}
    with _refused(409, "Conflict", "UID in precondition"):
        api.put(URL, {**config_map(a="2"), "metadata": metadata})


def test_a_replacement_under_another_name_is_refused(api: Api) -> None:
    api.post(MAPS, config_map())
    with _refused(400, "BadRequest", "not the one in the URL"):
        api.put(URL, config_map("other"))


def test_writing_the_same_again_makes_no_new_revision(api: Api) -> None:
    made = api.post(MAPS, config_map(a="1"))
    assert api.put(URL, config_map(a="1")) == made


def test_the_generation_counts_changes_of_the_spec_only(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment())
    api.settle()
    assert api.get(WEB)["metadata"]["generation"] == 1
    api.patch(WEB, {"metadata": {"labels": {"a": "b"}}})
    assert api.get(WEB)["metadata"]["generation"] == 1
    api.patch(WEB, {"spec": {"replicas": 2}})
    assert api.get(WEB)["metadata"]["generation"] == 2


def test_status_and_the_rest_are_written_apart(api: Api) -> None:
    api.post(f"{CORE}/services", {**service(), "status": {"loadBalancer": {"ingress": [{}]}}})
    url = f"{CORE}/services/web"
    assert "status" not in api.get(url)
    obj = api.get(url)
    obj["spec"]["ports"][0]["port"] = 81
    obj["status"] = {"conditions": []}
    written = api.put(f"{url}/status", obj)
    assert written["status"] == {"conditions": []}
    assert written["spec"]["ports"][0]["port"] == 80
    patched = api.patch(url, {"spec": {"type": "NodePort"}, "status": {"conditions": None}}, MERGE)
    assert patched["status"] == {"conditions": []}
    assert patched["spec"]["type"] == "NodePort"


def test_a_list_is_of_one_namespace_or_of_all(api: Api) -> None:
    api.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    api.post(MAPS, config_map("here"))
    api.post("/api/v1/namespaces/other/configmaps", config_map("there"))
    assert "there" not in api.names(MAPS)
    assert {"here", "there"} <= set(api.names("/api/v1/configmaps"))
    listed = api.get(MAPS)
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert listed["metadata"]["resourceVersion"] == str(api.cluster.store.revision)


def test_a_list_is_selected(api: Api) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        api.post(MAPS, {**config_map(), "metadata": {"name": name, "labels": {"color": color}}})
    assert api.names(f"{MAPS}?labelSelector=color%3Dred") == ["a"]
    assert api.names(f"{MAPS}?fieldSelector=metadata.name%3Db") == ["b"]


def test_a_list_comes_in_pages(api: Api) -> None:
    for number in range(5):
        api.post(MAPS, {**config_map(f"cm{number}"), "metadata": {"name": f"cm{number}"}})
    everything, url, pages = api.names(MAPS), f"{MAPS}?limit=2", []
    while True:
        page = api.get(url)
        pages.append([item["metadata"]["name"] for item in page["items"]])
        token = page["metadata"].get("continue")
        if not token:
            break
        url = f"{MAPS}?limit=2&continue={token}"
    assert [len(page) for page in pages[:-1]] == [2] * (len(pages) - 1)
    assert [name for page in pages for name in page] == everything


def test_a_nonsensical_page_is_refused(api: Api) -> None:
    with _refused(400, "BadRequest", "continue"):
        api.get(f"{MAPS}?continue=nonsense")


def test_a_collection_is_deleted_by_selector(api: Api) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        api.post(MAPS, {**config_map(), "metadata": {"name": name, "labels": {"color": color}}})
    api.delete(f"{MAPS}?labelSelector=color%3Dred")
    assert "a" not in api.names(MAPS)
    assert "b" in api.names(MAPS)


def test_only_the_metadata_is_sent_on_demand(api: Api) -> None:
    api.post(MAPS, config_map())
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    one = api.get(URL, accept=accept)
    assert (one["kind"], "data" in one) == ("PartialObjectMetadata", False)
    many = api.get(MAPS, accept=accept.replace("Metadata;", "MetadataList;"))
    assert many["kind"] == "PartialObjectMetadataList"
    assert all("data" not in item for item in many["items"])


def test_a_dry_run_creates_and_changes_and_deletes_nothing(api: Api) -> None:
    assert api.post(f"{MAPS}?dryRun=All", config_map(a="1"))["data"] == {"a": "1"}
    assert "cm" not in api.names(MAPS)
    made = api.post(MAPS, config_map(a="1"))
    assert api.patch(f"{URL}?dryRun=All", {"data": {"a": "2"}}, MERGE)["data"] == {"a": "2"}
    api.delete(f"{URL}?dryRun=All")
    api.delete(URL, {"dryRun": ["All"]})
    assert api.get(URL) == made


@pytest.mark.parametrize("query", ["dryRun=Some", "fieldValidation=Perhaps"])
def test_an_unknown_option_is_refused(api: Api, query: str) -> None:
    with _refused(400, "BadRequest", "Unsupported value"):
        api.post(f"{MAPS}?{query}", config_map())


def test_a_delete_says_what_was_deleted(api: Api) -> None:
    uid = api.post(MAPS, config_map())["metadata"]["uid"]
    status = api.delete(URL)
    assert status["status"] == "Success"
    assert status["details"] == {"name": "cm", "group": "", "kind": "configmaps", "uid": uid}


def test_a_delete_of_another_uid_or_revision_is_a_conflict(api: Api) -> None:
    api.post(MAPS, config_map())
    for condition in ({"uid": "other"}, {"resourceVersion": "1"}):
        with _refused(409, "Conflict", "Precondition failed"):
            api.delete(URL, {"preconditions": condition})
    assert "cm" in api.names(MAPS)


def test_a_json_patch_patches(api: Api) -> None:
    api.post(MAPS, config_map(a="1"))
    patch = [{"op": "test", "path": "/data/a", "value": "1"},
             {"op": "add", "path": "/data/b", "value": "2"}]  # fmt: skip
    assert api.patch(URL, patch, JSON)["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("patch", "code", "reason"),
    [
        ([{"op": "test", "path": "/data/a", "value": "2"}], 422, "Invalid"),
        ([{"op": "remove", "path": "/data/missing"}], 422, "Invalid"),
        ([{"op": "replace", "path": "/metadata/name", "value": "x"}], 400, "BadRequest"),
        ([{"op": "replace", "path": "", "value": 1}], 400, "BadRequest"),
    ],
)
def test_a_json_patch_that_doesnt_fit_is_refused(
    api: Api, patch: Any, code: int, reason: str
) -> None:
    api.post(MAPS, config_map(a="1"))
    with _refused(code, reason):
        api.patch(URL, patch, JSON)
    assert api.get(URL)["data"] == {"a": "1"}


def test_a_patch_of_an_old_revision_is_a_conflict(api: Api) -> None:
    old = api.post(MAPS, config_map(a="1"))["metadata"]["resourceVersion"]
    api.patch(URL, {"data": {"a": "2"}}, MERGE)
    with _refused(409, "Conflict"):
        api.patch(URL, {"metadata": {"resourceVersion": old}, "data": {"a": "3"}}, MERGE)


def test_a_strategic_patch_knows_the_lists_of_the_kind(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment())
    containers = [{"name": "side", "image": "side:1"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    found = api.patch(WEB, patch, STRATEGIC)["spec"]["template"]["spec"]["containers"]
    assert {c["name"] for c in found} == {"app", "side"}
    replaced = api.patch(WEB, patch, MERGE)["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in replaced] == ["side"]


def test_a_patch_of_an_unknown_type_is_refused(api: Api) -> None:
    api.post(MAPS, config_map())
    with _refused(415, "UnsupportedMediaType"):
        api.patch(URL, {}, "application/json")


def test_a_patch_must_leave_an_object(api: Api) -> None:
    api.post(MAPS, config_map())
    with _refused(400, "BadRequest"):
        api.patch(URL, {"metadata": None}, MERGE)
