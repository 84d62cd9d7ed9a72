"""What counts as use of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.lifecycle.idle import users_of
from mlstacks_dagster.sandbox.kube import KubeEmulator

NOW = 2_000_000_000.0
LONG_AGO = "2020-01-01T00:00:00Z"


class Pods:
    """Answers lists with given objects: no emulator lets a pod end when we want."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods = pods

    def list(self, _version: str, kind: str) -> list[dict[str, Any]]:
        return list(self._pods) if kind == "Pod" else []


def pod(phase: str = "Running", owner: str = "", namespace: str = "ml", **status: Any) -> Any:
    owners = [{"kind": owner}] if owner else []
    metadata = {
        "name": "train",
        "namespace": namespace,
        "ownerReferences": owners,
        "creationTimestamp": LONG_AGO,
    }
    return {"metadata": metadata, "status": {"phase": phase, **status}}


def use(*pods: dict[str, Any], since: float = NOW) -> list[str]:
    return list(users_of(Pods(*pods), since))  # type: ignore[arg-type]


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeClient]:
    with KubeEmulator() as emulator:
        path = tmp_path / "kubeconfig"
        yield KubeClient(path, emulator.kubeconfig(path))


@pytest.mark.parametrize("owner", ["", "Job", "Workflow", "TaskRun"])
def test_work_that_is_not_over_is_use(owner: str) -> None:
    assert use(pod(owner=owner)) == ["pod ml/train"]
    assert use(pod("Pending", owner=owner)) == ["pod ml/train"]


@pytest.mark.parametrize("owner", ["ReplicaSet", "StatefulSet", "DaemonSet"])
def test_pods_of_services_are_no_work(owner: str) -> None:
    assert use(pod(owner=owner)) == []


def test_kubernetes_own_pods_are_no_work() -> None:
    assert use(pod(namespace="kube-system")) == []


def test_work_that_ended_counts_until_it_is_long_ago() -> None:
    ended = {"state": {"terminated": {"finishedAt": "2033-01-01T00:00:00Z"}}}
    done = pod("Succeeded", startTime=LONG_AGO, containerStatuses=[ended])
    assert use(done, since=1_988_000_000.0) == ["pod ml/train"]
    assert use(done, since=1_990_000_000.0) == []
    assert use(pod("Failed")) == []


def test_a_service_that_the_stack_did_not_install_is_use(kube: KubeClient) -> None:
    assert list(users_of(kube, NOW)) == []
    labels = {"app": "web"}
    for name, noted in (
        ("theirs", {}),
        ("ours", {"meta.helm.sh/release-name": "mlflow"}),
    ):
        kube.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "default", "annotations": noted},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                    },
                },
            },
            manager="tests",
        )
    assert list(users_of(kube, NOW)) == ["deployment default/theirs"]
