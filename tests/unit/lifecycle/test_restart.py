"""Pods that read a Secret are replaced when its data has changed, and then only."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import SecretKey, UnitSecret
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.lifecycle import kube_setup
from mlstacks_dagster.lifecycle.kube_restart import await_rollout, restart_users, secrets_used
from mlstacks_dagster.sandbox.kube import KubeEmulator

MARKS = {"mlstacks-stack": "sabc", "mlstacks-component": "web", "mlstacks-install": "me"}
AUTH = UnitSecret(name="auth", keys={"password": SecretKey(generate=32)})
USER, OTHER = (ObjectRef("apps/v1", "Deployment", name, "default") for name in ("user", "other"))
JOB = ObjectRef("batch/v1", "Job", "user", "default")


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeClient]:
    with KubeEmulator() as emulator:
        path = tmp_path / "kubeconfig"
        client = KubeClient(path, emulator.kubeconfig(path))
        kube_setup.make_secret(client, "default", AUTH, {}, MARKS)
        source = {"secretKeyRef": {"name": "auth", "key": "password"}}
        deploy(client, "user", env=[{"name": "PASSWORD", "valueFrom": source}])
        deploy(client, "other")
        await_rollout(client, [USER, OTHER], 20)
        yield client


def deploy(kube: KubeClient, name: str, image: str = "c:1", **container: Any) -> None:
    """Apply a Deployment as Helm does."""
    pod = {"containers": [{"name": "c", "image": image, **container}]}
    labels = {"app": name}
    kube.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        manager="helm",
    )


def give(kube: KubeClient, password: str | None, **more: Any) -> None:
    given = {"password": password} if password else {}
    kube_setup.make_secret(kube, "default", AUTH, given, MARKS, **more)


def restart(kube: KubeClient) -> tuple[ObjectRef, ...]:
    return restart_users(kube, [USER, OTHER, JOB], "default", ["auth"])


def pods(kube: KubeClient, name: str) -> set[str]:
    return {p["metadata"]["uid"] for p in kube.list("v1", "Pod", "default", f"app={name}")}


def test_a_changed_password_replaces_the_pods_that_read_it_once(kube: KubeClient) -> None:
    assert restart(kube) == (), "as it was first made"
    before = {name: pods(kube, name) for name in ("user", "other")}
    give(kube, "correct-horse")
    assert restart(kube) == (USER,)
    await_rollout(kube, [USER], 20)
    assert before["user"].isdisjoint(pods(kube, "user"))
    assert before["other"] == pods(kube, "other")
    assert restart(kube) == ()
    give(kube, "correct-horse")
    assert restart(kube) == (), "the same again"
    give(kube, "battery-staple")
    assert restart(kube) == (USER,)


def test_a_run_cut_off_before_the_restart_is_made_good(kube: KubeClient) -> None:
    give(kube, "correct-horse")
    give(kube, "correct-horse")
    assert restart(kube) == (USER,)


def test_helm_leaves_the_annotation_and_does_not_restart_again(kube: KubeClient) -> None:
    give(kube, "correct-horse")
    restart(kube)
    source = {"secretKeyRef": {"name": "auth", "key": "password"}}
    deploy(kube, "user", image="c:2", env=[{"name": "PASSWORD", "valueFrom": source}])
    assert restart(kube) == ()


def test_a_secret_that_was_removed_by_hand_restarts_pods_that_may_know_the_old(
    kube: KubeClient,
) -> None:
    kube.delete(ObjectRef("v1", "Secret", "auth", "default"))
    give(kube, None, is_read=True)
    assert restart(kube) == (USER,)


def test_what_others_add_to_the_secret_is_no_change(kube: KubeClient) -> None:
    head = {"apiVersion": "v1", "kind": "Secret"}
    metadata = {"name": "auth", "namespace": "default"}
    kube.apply({**head, "metadata": metadata, "data": {"theirs": "eA=="}}, manager="other")
    give(kube, None)
    assert restart(kube) == ()


def test_nothing_of_the_password_is_shown(kube: KubeClient) -> None:
    words = set()
    for _ in range(2):
        for password in ("correct-horse", "battery-staple"):
            give(kube, password)
            restart(kube)
            found = kube.get(USER)
            assert found is not None
            (word,) = found["spec"]["template"]["metadata"]["annotations"].values()
            assert password not in word
            assert base64.b64encode(password.encode()).decode() not in word
            words.add(word)
    assert len(words) == 4, "the same password gives another word each time: it is no hash"


def test_pods_that_do_not_come_up_are_an_error_with_their_reason(kube: KubeClient) -> None:
    source = {"secretRef": {"name": "auth"}}
    deploy(kube, "user", image="example.org/c:never-ready", envFrom=[source])
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(MlstacksError, match="Deployment default/user did not become ready"):
        await_rollout(kube, [USER], 30, clock=lambda: now[0], sleep=sleep)
    assert 30 <= now[0] <= 31


def test_all_ways_to_read_a_secret_are_known() -> None:
    one = {"secretKeyRef": {"name": "env", "key": "k"}}
    assert secrets_used(
        {
            "initContainers": [{"env": [{"name": "A", "valueFrom": one}, {"name": "B"}]}],
            "containers": [{"envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {}}]}],
            "volumes": [
                {"secret": {"secretName": "volume"}},
                {"projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {}}]}},
                {"emptyDir": {}},
            ],
        }
    ) == {"env", "from", "volume", "projected"}
