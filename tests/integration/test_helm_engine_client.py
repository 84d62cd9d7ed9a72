"""The Kubernetes client against the emulated API: reading, applying, deleting, tokens, faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.engines.kube_connection import KubeConnection
from mlstacks_dagster.engines.kube_errors import KubeError, TransientKubeError
from mlstacks_dagster.errors import InputError, MlstacksError, TransientCommandError
from mlstacks_dagster.sandbox.kube import Fault, KubeEmulator

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
REF = ObjectRef("v1", "ConfigMap", "a", "default")


@pytest.fixture
def kube() -> Iterator[KubeEmulator]:
    with KubeEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(kube: KubeEmulator, tmp_path: Path) -> KubeClient:
    return KubeClient(tmp_path / "config", kube.kubeconfig(tmp_path / "config"), sleep=_no_sleep)


def _no_sleep(_seconds: float) -> None:
    return


def config(**more: object) -> dict[str, object]:
    return {**CONFIG, "metadata": {"name": "a", "namespace": "default"}, **more}


def test_an_object_is_applied_read_listed_and_deleted(client: KubeClient) -> None:
    assert client.get(REF) is None
    client.apply(config())
    found = client.get(REF)
    assert found is not None
    assert found["data"] == {"k": "v"}
    assert found["metadata"]["managedFields"][0]["manager"] == "mlstacks-dagster"
    assert [o["metadata"]["name"] for o in client.list("v1", "ConfigMap", "default")] == [
        "a",
        "kube-root-ca.crt",
    ]
    assert client.delete(REF)
    assert not client.delete(REF)
    assert client.wait_gone([REF], 5.0) == ()


def test_a_list_can_be_chosen_by_labels(client: KubeClient) -> None:
    client.apply(config(metadata={"name": "a", "namespace": "default", "labels": {"x": "y"}}))
    assert [o["kind"] for o in client.list("v1", "ConfigMap", labels="x=y")] == ["ConfigMap"]
    assert client.list("v1", "ConfigMap", labels="x=z") == []


def test_a_dry_run_changes_nothing(client: KubeClient) -> None:
    client.apply(config())
    assert client.apply(config(data={"k": "w"}), dry_run=True)["data"] == {"k": "w"}
    found = client.get(REF)
    assert found is not None
    assert found["data"] == {"k": "v"}


def test_a_conflict_is_an_error_unless_forced(client: KubeClient) -> None:
    client.apply(config())
    with pytest.raises(KubeError) as caught:
        client.apply(config(data={"k": "w"}), manager="other", force=False)
    assert caught.value.status == 409
    assert not isinstance(caught.value, TransientCommandError)
    client.apply(config(data={"k": "w"}), manager="other")


def test_kinds_are_found_and_those_that_are_not_served_are_empty(client: KubeClient) -> None:
    kind = client.kind("apps/v1", "Deployment")
    assert kind is not None
    assert (kind.plural, kind.namespaced) == ("deployments", True)
    assert client.kind("example.org/v1", "Thing") is None
    assert client.list("example.org/v1", "Thing") == []
    assert client.get(ObjectRef("example.org/v1", "Thing", "x")) is None
    assert not client.delete(ObjectRef("example.org/v1", "Thing", "x"))
    assert {"Pod", "Deployment", "Ingress"} <= {k.kind for k in client.kinds()}
    with pytest.raises(KubeError, match="does not serve"):
        client.apply({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "x"}})


def test_a_kind_without_namespaces_loses_the_one_it_was_given(client: KubeClient) -> None:
    role = ObjectRef("rbac.authorization.k8s.io/v1", "ClusterRole", "x", "default")
    assert client.normal(role).namespace == ""
    assert client.normal(REF) == REF


def test_a_cluster_has_a_version_and_an_identity(client: KubeClient) -> None:
    assert client.version().startswith("v1.")
    assert len(client.cluster_uid()) == 36


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_asked_again(
    client: KubeClient, kube: KubeEmulator, status: int
) -> None:
    client.apply(config())
    hits = kube.inject(Fault(status=status, path="configmaps/a", times=2))
    assert client.get(REF) is not None
    assert hits() == 2


def test_a_fault_that_stays_is_an_error_that_may_be_retried(
    client: KubeClient, kube: KubeEmulator
) -> None:
    kube.inject(Fault(status=503, path="configmaps/a", times=None))
    with pytest.raises(TransientKubeError, match="answered 503") as caught:
        client.get(REF)
    assert isinstance(caught.value, TransientCommandError)
    assert caught.value.status == 503


def test_what_is_forbidden_says_what_to_ask_for(client: KubeClient, kube: KubeEmulator) -> None:
    kube.inject(Fault(status=403, path="configmaps/a"))
    with pytest.raises(KubeError) as caught:
        client.get(REF)
    assert "ask for the right" in caught.value.remedy


def test_an_api_that_is_gone_is_a_passing_error(tmp_path: Path) -> None:
    with KubeEmulator() as emulator:
        context = emulator.kubeconfig(tmp_path / "config")
    with pytest.raises(TransientKubeError, match="can't be reached"):
        KubeClient(tmp_path / "config", context, sleep=_no_sleep).version()


def test_another_certificate_is_not_trusted(kube: KubeEmulator, tmp_path: Path) -> None:
    with KubeEmulator() as other:
        kube.kubeconfig(tmp_path / "config")
        content = json.loads((tmp_path / "config").read_text())
        other.kubeconfig(tmp_path / "theirs")
        theirs = json.loads((tmp_path / "theirs").read_text())
        authority = theirs["clusters"][0]["cluster"]["certificate-authority-data"]
        content["clusters"][0]["cluster"]["certificate-authority-data"] = authority
        (tmp_path / "config").write_text(json.dumps(content))
        client = KubeClient(tmp_path / "config", kube.name, sleep=_no_sleep)
        with pytest.raises(TransientKubeError, match=r"(?i)certificate"):
            client.version()


def _with_user(kube: KubeEmulator, path: Path, user: dict[str, object]) -> None:
    kube.kubeconfig(path)
    content = json.loads(path.read_text())
    content["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(content))


def test_a_wrong_token_is_an_error_that_says_so(kube: KubeEmulator, tmp_path: Path) -> None:
    _with_user(kube, tmp_path / "config", {"token": "wrong"})
    with pytest.raises(KubeError) as caught:
        KubeClient(tmp_path / "config", kube.name).version()
    assert caught.value.status == 401
    assert "log in" in caught.value.remedy


def test_a_plugin_gives_the_token_and_sees_only_the_tools_environment(
    kube: KubeEmulator, tmp_path: Path
) -> None:
    script = tmp_path / "plugin"
    script.write_text(
        "import json, os, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sorted(os.environ)) + '\\n')\n"
        "print(json.dumps({'status': {'token': os.environ['WORD']}}))\n"
    )
    plugin = {"command": sys.executable, "args": ["-I", "-S", str(script)]}
    _with_user(kube, tmp_path / "config", {"exec": plugin})
    now = [1000.0]
    connection = KubeConnection(
        tmp_path / "config", kube.name, {"WORD": kube.token}, clock=lambda: now[0]
    )
    connection.request("GET", "/version")
    connection.request("GET", "/version")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    now[0] += 290.0
    connection.request("GET", "/version")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert set(calls[0].split()) - {"LC_CTYPE"} == {"WORD"}


@pytest.mark.parametrize("script", ["raise SystemExit('who are you?')", "print('{}')"])
def test_a_plugin_that_gives_no_token_is_an_error(
    kube: KubeEmulator, tmp_path: Path, script: str
) -> None:
    plugin = {"command": sys.executable, "args": ["-I", "-S", "-c", script]}
    _with_user(kube, tmp_path / "config", {"exec": plugin})
    with pytest.raises(MlstacksError, match="gave no token"):
        KubeClient(tmp_path / "config", kube.name).version()
    _with_user(kube, tmp_path / "config", {"exec": {"command": "/nowhere/login"}})
    with pytest.raises(MlstacksError, match="/nowhere/login"):
        KubeClient(tmp_path / "config", kube.name).version()


def test_a_context_that_is_not_there_is_an_error(kube: KubeEmulator, tmp_path: Path) -> None:
    kube.kubeconfig(tmp_path / "config")
    with pytest.raises(InputError, match="no context 'other'"):
        KubeClient(tmp_path / "config", "other")


def test_pods_that_are_not_ready_are_told_with_their_reason(client: KubeClient) -> None:
    labels = {"app": "web"}
    containers = [{"name": "main", "image": "example.org/web:never-ready"}]
    client.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        }
    )
    ref = ObjectRef("apps/v1", "Deployment", "web", "default")
    found = _eventually(lambda: client.trouble([ref, REF]))
    assert "ImagePullBackOff: image example.org/web:never-ready" in found
    gone = ObjectRef("apps/v1", "Deployment", "gone", "default")
    assert client.trouble([gone]) == ("Deployment default/gone does not exist",)


def _eventually(ask: object) -> str:
    for _ in range(1000):
        if "ImagePullBackOff" in (text := "".join(ask())):  # type: ignore[operator]
            return text
    return text


def test_the_official_client_is_not_imported_before_it_is_needed() -> None:
    script = (
        "import sys\nimport mlstacks_dagster.engines.helm\n"
        "sys.exit(' '.join({'kubernetes', 'urllib3'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr) == (0, "")
