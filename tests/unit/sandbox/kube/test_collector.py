"""Finalizers, garbage collection and the end of namespaces."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sandbox.kube.errors import ApiError
from tests.unit.sandbox.kube.api import APPS, CORE, MERGE, Api, Obj, config_map, deployment

MAPS = f"{CORE}/configmaps"
WEB = f"{APPS}/deployments/web"


def _owned(name: str, *owners: Obj, block: bool = True) -> Obj:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for owner in owners
    ]
    return {**config_map(), "metadata": {"name": name, "ownerReferences": references}}


def _held(name: str = "cm") -> Obj:
    return {**config_map(), "metadata": {"name": name, "finalizers": ["example.org/hold"]}}


def _let_go(api: Api, name: str = "cm") -> None:
    api.patch(f"{MAPS}/{name}", {"metadata": {"finalizers": None}}, MERGE)


def test_a_finalizer_holds_an_object_until_it_is_removed(api: Api) -> None:
    api.post(MAPS, _held())
    answer = api.delete(f"{MAPS}/cm")
    assert answer["kind"] == "ConfigMap"
    assert "deletionTimestamp" in answer["metadata"]
    api.settle()
    assert "cm" in api.names(MAPS)
    _let_go(api)
    assert "cm" not in api.names(MAPS)


def test_deleting_twice_changes_nothing(api: Api) -> None:
    api.post(MAPS, _held())
    first = api.delete(f"{MAPS}/cm")
    api.time.pass_(60)
    assert api.delete(f"{MAPS}/cm") == first


def test_dependents_go_after_their_owner(api: Api) -> None:
    owner = api.post(MAPS, config_map("owner"))
    api.post(MAPS, _owned("child", owner))
    child = api.get(f"{MAPS}/child")
    api.post(MAPS, _owned("grandchild", child))
    api.delete(f"{MAPS}/owner")
    assert "owner" not in api.names(MAPS)
    assert "child" in api.names(MAPS)
    api.settle()
    assert not {"child", "grandchild"} & set(api.names(MAPS))


def test_a_dependent_stays_while_one_owner_lives(api: Api) -> None:
    one, two = api.post(MAPS, config_map("one")), api.post(MAPS, config_map("two"))
    api.post(MAPS, _owned("child", one, two))
    api.delete(f"{MAPS}/one")
    api.settle()
    references = api.get(f"{MAPS}/child")["metadata"]["ownerReferences"]
    assert [ref["name"] for ref in references] == ["two"]
    api.delete(f"{MAPS}/two")
    api.settle()
    assert "child" not in api.names(MAPS)


@pytest.mark.parametrize("options", [{"propagationPolicy": "Orphan"}, {"orphanDependents": True}])
def test_orphans_stay(api: Api, options: Obj) -> None:
    owner = api.post(MAPS, config_map("owner"))
    api.post(MAPS, _owned("child", owner))
    api.delete(f"{MAPS}/owner", options)
    api.settle()
    assert api.get(f"{MAPS}/child")["metadata"]["ownerReferences"] == []


def test_in_the_foreground_the_owner_goes_last(api: Api) -> None:
    owner = api.post(MAPS, config_map("owner"))
    api.post(MAPS, {**_owned("child", owner), "metadata": {
        **_owned("child", owner)["metadata"], "finalizers": ["example.org/hold"]}})  # fmt: skip
    answer = api.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    api.settle()
    assert {"owner", "child"} <= set(api.names(MAPS))
    _let_go(api, "child")
    api.settle()
    assert not {"owner", "child"} & set(api.names(MAPS))


def test_the_policy_may_come_with_the_url(api: Api) -> None:
    owner = api.post(MAPS, config_map("owner"))
    api.post(MAPS, _owned("child", owner))
    api.delete(f"{MAPS}/owner?propagationPolicy=Orphan")
    api.settle()
    assert "child" in api.names(MAPS)


def test_a_deployment_takes_its_replica_sets_and_pods_along(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment(replicas=2))
    api.settle()
    assert len(api.names(f"{CORE}/pods")) == 2
    api.delete(WEB)
    api.settle()
    assert api.names(f"{APPS}/replicasets") == api.names(f"{CORE}/pods") == []


def test_a_deployment_that_orphans_leaves_its_pods_running(api: Api) -> None:
    api.post(f"{APPS}/deployments", deployment())
    api.settle()
    api.delete(WEB, {"propagationPolicy": "Orphan"})
    api.settle()
    assert len(api.names(f"{CORE}/pods")) == 1


def _namespace(api: Api, name: str = "team") -> str:
    api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    api.settle()
    return f"/api/v1/namespaces/{name}"


def test_a_namespace_begins_with_what_every_one_has(api: Api) -> None:
    url = _namespace(api)
    namespace = api.get(url)
    assert namespace["status"]["phase"] == "Active"
    assert namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] == "team"
    assert api.names(f"{url}/serviceaccounts") == ["default"]
    assert api.names(f"{url}/configmaps") == ["kube-root-ca.crt"]


def test_a_namespace_ends_with_all_that_is_in_it(api: Api) -> None:
    url = _namespace(api)
    api.post("/apis/apps/v1/namespaces/team/deployments", deployment())
    api.settle()
    answer = api.delete(url)
    assert answer["status"]["phase"] == "Terminating"
    api.settle()
    assert "team" not in api.names("/api/v1/namespaces")
    left = [
        o for _, o in api.cluster.store.everything() if o["metadata"].get("namespace") == "team"
    ]
    assert left == []


def test_nothing_is_made_in_a_namespace_that_ends(api: Api) -> None:
    url = _namespace(api)
    api.post(f"{url}/configmaps", _held())
    api.delete(url)
    with pytest.raises(ApiError, match="because it is being terminated") as caught:
        api.post(f"{url}/configmaps", config_map("late"))
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")


def test_a_namespace_says_what_holds_it(api: Api) -> None:
    url = _namespace(api)
    api.post(f"{url}/configmaps", _held())
    api.delete(url)
    api.settle()
    conditions = {c["type"]: c for c in api.get(url)["status"]["conditions"]}
    assert "configmaps" in conditions["NamespaceContentRemaining"]["message"]
    assert "example.org/hold" in conditions["NamespaceFinalizersRemaining"]["message"]
    api.patch(f"{url}/configmaps/cm", {"metadata": {"finalizers": None}}, MERGE)
    api.settle()
    assert "team" not in api.names("/api/v1/namespaces")


def test_a_namespace_can_be_finalized_by_hand(api: Api) -> None:
    url = _namespace(api)
    api.post(f"{url}/configmaps", _held())
    api.delete(url)
    api.send("PUT", f"{url}/finalize", {"metadata": {"name": "team"}, "spec": {}})
    assert "team" not in api.names("/api/v1/namespaces")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_the_clusters_own_namespaces_stay(api: Api, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        api.delete(f"/api/v1/namespaces/{name}")
    assert caught.value.code == 403
