"""What the lifecycle does in a cluster beside Helm: namespaces, Secrets, addresses, exposure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import SecretKey, UnitSecret
from mlstacks_dagster.engines.exposure import Reachable, judge, reachable
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.errors import NotOwnedError
from mlstacks_dagster.lifecycle import kube_setup
from mlstacks_dagster.lifecycle.drain import load_balancer_host
from mlstacks_dagster.sandbox.kube import KubeEmulator

MARKS = {"mlstacks-stack": "sabc", "mlstacks-component": "web", "mlstacks-install": "me"}
OTHERS = {**MARKS, "mlstacks-stack": "sxyz"}
WORDS = UnitSecret(
    name="auth",
    keys={
        "username": SecretKey(value="admin"),
        "password": SecretKey(generate=32),
        "url": SecretKey(optional=True),
    },
)


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[KubeClient]:
    with KubeEmulator() as emulator:
        path = tmp_path / "kubeconfig"
        yield KubeClient(path, emulator.kubeconfig(path))


def namespace(name: str) -> ObjectRef:
    return ObjectRef("v1", "Namespace", name)


def service(name: str, kind: str = "LoadBalancer", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"type": kind, "ports": [{"port": 443}, {"port": 80}], "selector": {"a": "b"}},
    }


def test_a_namespace_of_ours_comes_and_goes_with_its_last_release(kube: KubeClient) -> None:
    assert kube_setup.make_namespace(kube, "web", MARKS)
    labels = (kube.get(namespace("web")) or {})["metadata"]["labels"]
    assert labels["mlstacks-stack"] == "sabc"
    assert "mlstacks-component" not in labels, "several units share it"
    release = {"name": "sh.helm.release.v1.x.v1", "namespace": "web", "labels": {"owner": "helm"}}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": release})
    assert kube_setup.remove_namespace(kube, "web", MARKS, 5) == ()
    assert kube.get(namespace("web")), "a release is left in it"
    kube.delete(ObjectRef("v1", "Secret", release["name"], "web"))  # type: ignore[arg-type]
    assert kube_setup.remove_namespace(kube, "web", MARKS, 5) == ()
    assert kube.get(namespace("web")) is None
    assert kube_setup.remove_namespace(kube, "web", MARKS, 5) == ()


def test_a_namespace_that_is_not_ours_is_used_and_left(kube: KubeClient) -> None:
    assert not kube_setup.make_namespace(kube, "kube-system", MARKS)
    kube_setup.make_namespace(kube, "shared", OTHERS)
    assert not kube_setup.make_namespace(kube, "shared", MARKS)
    for name in ("kube-system", "shared"):
        assert kube_setup.remove_namespace(kube, name, MARKS, 5) == ()
        assert kube.get(namespace(name)) is not None


def test_what_was_generated_once_stays_and_what_is_given_wins(kube: KubeClient) -> None:
    kube_setup.make_secret(kube, "default", WORDS, {}, MARKS)
    first = kube_setup.read_secret(kube, "default", "auth")
    assert set(first) == {"username", "password"}
    assert (first["username"], len(first["password"])) == ("admin", 32)
    kube_setup.make_secret(kube, "default", WORDS, {"url": "x"}, MARKS)
    assert kube_setup.read_secret(kube, "default", "auth") == {**first, "url": "x"}
    kube_setup.make_secret(kube, "default", WORDS, {"password": "mine-for-ever"}, MARKS)
    assert kube_setup.read_secret(kube, "default", "auth") == {
        "username": "admin",
        "password": "mine-for-ever",
    }
    kube_setup.remove_secret(kube, "default", "auth", OTHERS)
    assert kube_setup.read_secret(kube, "default", "auth")
    kube_setup.remove_secret(kube, "default", "auth", MARKS)
    assert kube_setup.read_secret(kube, "default", "auth") == {}


def test_two_generated_passwords_differ(kube: KubeClient) -> None:
    kube_setup.make_secret(kube, "default", WORDS, {}, MARKS)
    other = WORDS.model_copy(update={"name": "other"})
    kube_setup.make_secret(kube, "default", other, {}, MARKS)
    one, two = (kube_setup.read_secret(kube, "default", n)["password"] for n in ("auth", "other"))
    assert one != two


def test_somebody_elses_secret_is_not_touched(kube: KubeClient) -> None:
    kube_setup.make_secret(kube, "default", WORDS, {}, OTHERS)
    before = kube_setup.read_secret(kube, "default", "auth")
    with pytest.raises(NotOwnedError, match="default/auth"):
        kube_setup.make_secret(kube, "default", WORDS, {}, MARKS)
    assert kube_setup.read_secret(kube, "default", "auth") == before


def test_the_address_of_a_load_balancer_is_awaited(kube: KubeClient) -> None:
    kube.apply(service("public"))
    assert load_balancer_host(kube, "default", "public", timeout_seconds=10)
    assert load_balancer_host(kube, "default", "nobody", timeout_seconds=0) == ""


def test_what_is_reachable_is_what_has_an_address(kube: KubeClient) -> None:
    kube.apply(service("public"))
    kube.apply(service("inside", "ClusterIP"))
    host = load_balancer_host(kube, "default", "public", timeout_seconds=10)
    refs = [ObjectRef("v1", "Service", name, "default") for name in ("public", "inside", "gone")]
    ways = reachable(kube, refs, {"public": "/api/v1/users"})
    assert {way.url for way in ways} == {
        f"https://{host}:443/api/v1/users",
        f"http://{host}:80/api/v1/users",
    }


@pytest.mark.parametrize(
    ("answers", "is_open", "answer"),
    [
        ({"http://x/": (200, "")}, True, "200"),
        ({"http://x/": (401, "")}, False, "401"),
        ({"http://x/": (404, "")}, False, "404"),
        ({"http://x/": (302, "/login")}, False, "302"),
        ({"http://x/": (308, "https://x/"), "https://x/": (200, "")}, True, "200"),
        ({"http://x/": (308, "https://x/"), "https://x/": (403, "")}, False, "403"),
        ({"http://x/": (308, "http://x/")}, False, "redirects without end"),
        ({"http://x/": (302, "https://login.example/")}, False, "302"),
        ({}, False, "doesn't answer from here (ConnectionError)"),
    ],
)
def test_an_endpoint_is_open_when_it_answers_who_does_not_say_who_asks(
    answers: dict[str, tuple[int, str]], is_open: bool, answer: str
) -> None:
    def probe(url: str, _address: str) -> tuple[int, str]:
        if url not in answers:
            raise ConnectionError(url)
        return answers[url]

    way = Reachable(ObjectRef("v1", "Service", "web", "ml"), "http://x/")
    verdict = judge(way, probe)
    assert (verdict.open, verdict.answer) == (is_open, answer)
    assert verdict.answered == bool(answers)
