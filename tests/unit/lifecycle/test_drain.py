"""Draining: what holds load balancers and volumes goes, and what would make it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.lifecycle.drain import drain, holders
from mlstacks_dagster.sandbox.kube import KubeEmulator

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
CLAIM = ObjectRef("v1", "PersistentVolumeClaim", "data", "default")


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeClient]:
    with KubeEmulator() as emulator:
        path = tmp_path / "kubeconfig"
        yield KubeClient(path, emulator.kubeconfig(path))


def service(name: str, kind: str = "LoadBalancer", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"type": kind, "ports": [{"port": 443}, {"port": 80}], "selector": {"a": "b"}},
    }


def claim() -> dict[str, Any]:
    metadata = {"name": "data", "namespace": "default"}
    return {"apiVersion": "v1", "kind": CLAIM.kind, "metadata": metadata, "spec": SPEC}


def pod_spec(*volumes: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [{"name": "c", "image": "c:1"}], "volumes": list(volumes)}


def workload(kind: str, name: str, *volumes: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(*volumes)},
    }
    if kind == "StatefulSet":
        spec |= {"replicas": 2, "serviceName": name}
        spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": SPEC}]
    about = {"name": name, "namespace": "default", **metadata}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": about, "spec": spec}


def until(what: Any) -> None:
    for _ in range(2000):
        if what():
            return
    raise AssertionError("it never came to be so")


def names(kube: KubeClient, api_version: str, kind: str) -> list[str]:
    return [found["metadata"]["name"] for found in kube.list(api_version, kind)]


def drain_volumes(kube: KubeClient) -> list[str]:
    """Drain volumes and return what was said."""
    said: list[str] = []
    drain(kube, ["volumes"], timeout_seconds=20, say=said.append)
    assert holders(kube, ["volumes"]) == ()
    assert names(kube, "v1", "PersistentVolumeClaim") == []
    assert names(kube, "v1", "PersistentVolume") == []
    return said


def test_draining_removes_what_holds_load_balancers_and_nothing_else(kube: KubeClient) -> None:
    kube.apply(service("public"))
    kube.apply(service("inside", "ClusterIP"))
    assert [ref.name for ref in holders(kube, ["load_balancers"])] == ["public"]
    assert holders(kube, ["volumes"]) == ()
    said: list[str] = []
    gone = drain(kube, ["load_balancers"], timeout_seconds=10, say=said.append)
    assert [ref.name for ref in gone] == ["public"]
    assert said == ["draining Service default/public"]
    assert kube.get(ObjectRef("v1", "Service", "inside", "default")) is not None
    assert drain(kube, ["load_balancers"], timeout_seconds=10, say=said.append) == ()


def test_what_does_not_let_go_is_named_and_the_teardown_stops(kube: KubeClient) -> None:
    kube.apply(service("stuck", finalizers=["example.org/never"]))
    with pytest.raises(MlstacksError, match=r"still holds Service default/stuck"):
        drain(kube, ["load_balancers"], timeout_seconds=0.5, say=lambda _text: None)
    assert kube.get(ObjectRef("v1", "Service", "stuck", "default")) is not None


def test_volumes_go_with_their_claims_and_the_pods_that_hold_them(kube: KubeClient) -> None:
    kube.apply(claim())
    metadata = {"name": "lonely", "namespace": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(DATA)}
    kube.apply(pod)
    kube.apply({**pod, "metadata": {**metadata, "name": "other"}, "spec": pod_spec()})
    until(lambda: names(kube, "v1", "PersistentVolume"))
    assert "stopping Pod default/lonely" in drain_volumes(kube)
    assert names(kube, "v1", "Pod") == ["other"]


def test_a_stateful_set_does_not_make_its_claims_again(kube: KubeClient) -> None:
    kube.apply(workload("StatefulSet", "db"))
    until(lambda: len(names(kube, "v1", "PersistentVolume")) == 2)
    assert "stopping StatefulSet default/db" in drain_volumes(kube)
    assert names(kube, "apps/v1", "StatefulSet") == []


def test_a_set_whose_pods_are_not_there_just_now_is_known_by_its_claims(kube: KubeClient) -> None:
    kube.apply(workload("StatefulSet", "db"))
    until(lambda: len(names(kube, "v1", "PersistentVolume")) == 2)
    listed = kube.list

    def list_without_pods(api_version: str, kind: str, *more: str) -> list[dict[str, Any]]:
        return [] if kind == "Pod" else listed(api_version, kind, *more)

    kube.list = list_without_pods  # type: ignore[assignment, method-assign]
    assert "stopping StatefulSet default/db" in drain_volumes(kube)


def test_the_deployment_goes_and_workloads_without_volumes_stay(kube: KubeClient) -> None:
    kube.apply(claim())
    kube.apply(workload("Deployment", "holder", DATA))
    kube.apply(workload("Deployment", "other"))
    until(lambda: names(kube, "v1", "PersistentVolume"))
    assert "stopping Deployment default/holder" in drain_volumes(kube)
    assert names(kube, "apps/v1", "Deployment") == ["other"]
    assert all(name.startswith("other") for name in names(kube, "v1", "Pod"))


def test_what_runs_the_stateful_set_goes_too(kube: KubeClient) -> None:
    kind = {"kind": "Base", "plural": "bases", "singular": "base", "listKind": "BaseList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    kube.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "bases.example.org"},
            "spec": {
                "group": "example.org",
                "names": kind,
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )
    until(lambda: kube.kind("example.org/v1", "Base"))
    head = {"apiVersion": "example.org/v1", "kind": "Base"}
    base = kube.apply({**head, "metadata": {"name": "main", "namespace": "default"}})
    owner = {**head, "name": "main", "uid": base["metadata"]["uid"], "controller": True}
    stale = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": "older"}
    kube.apply(workload("StatefulSet", "db", ownerReferences=[owner, stale]))
    until(lambda: len(names(kube, "v1", "PersistentVolume")) == 2)
    assert "stopping Base default/main" in drain_volumes(kube)
    assert names(kube, "example.org/v1", "Base") == []


def test_a_claim_that_comes_back_under_its_name_goes_too(kube: KubeClient) -> None:
    kube.apply(claim())
    again: list[float] = []

    def sleep(seconds: float) -> None:
        until(lambda: kube.get(CLAIM) is None or len(again) > 1)
        if len(again) < 2:
            kube.apply(claim())
        again.append(seconds)

    drain(kube, ["volumes"], timeout_seconds=20, say=lambda _: None, sleep=sleep)
    assert len(again) > 2
    assert holders(kube, ["volumes"]) == ()


def test_an_object_that_took_over_the_name_is_not_deleted_in_its_place(kube: KubeClient) -> None:
    kube.apply(claim())
    assert not kube.delete(CLAIM, uid="00000000-0000-0000-0000-000000000000")
    found = kube.get(CLAIM)
    assert found is not None
    assert kube.delete(CLAIM, uid=found["metadata"]["uid"])


def test_draining_load_balancers_leaves_workloads_alone(kube: KubeClient) -> None:
    kube.apply(service("public"))
    kube.apply(workload("StatefulSet", "db"))
    until(lambda: len(names(kube, "v1", "PersistentVolume")) == 2)
    drain(kube, ["load_balancers"], timeout_seconds=10, say=lambda _: None)
    assert names(kube, "apps/v1", "StatefulSet") == ["db"]
    assert len(names(kube, "v1", "PersistentVolumeClaim")) == 2
