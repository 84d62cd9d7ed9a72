"""The emulated Kubernetes API with the real kubectl and the official Python client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError

from mlstacks_dagster.engines.helm_tools import InstalledTools
from tests.integration.kube_tools import (
    CLUSTERS,
    GOOD,
    NEVER,
    KubeTools,
    installed_tools,
    open_cluster,
    widget_definition,
)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> InstalledTools:
    return installed_tools(tmp_path_factory)


@pytest.fixture(params=CLUSTERS)
def kube(
    request: pytest.FixtureRequest, programs: InstalledTools, tmp_path: Path
) -> Iterator[KubeTools]:
    with open_cluster(programs, request.param, tmp_path) as tools:
        yield tools


def _deployment(image: str = GOOD, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
            **spec,
        },
    }


def _config_map(name: str = "cm", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class TestKubectl:
    def test_it_applies_waits_scales_patches_and_deletes(self, kube: KubeTools) -> None:
        assert "created" in kube.kubectl("apply", "-f", "-", given=_deployment(replicas=1))
        kube.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
        kube.kubectl("scale", "deployment/web", "--replicas=3")
        kube.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        assert len(kube.names("pods")) == 3
        kube.kubectl("set", "env", "deployment/web", "A=b")
        kube.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        kube.kubectl("rollout", "undo", "deployment/web")
        kube.kubectl("patch", "deployment", "web", "-p", '{"spec":{"replicas":1}}')
        kube.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        container = kube.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
        assert "env" not in container
        assert "unchanged" in kube.kubectl("apply", "-f", "-", given=_deployment(replicas=1))
        kube.kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")
        assert kube.names("pods") == []

    def test_a_second_apply_removes_what_the_first_one_had(self, kube: KubeTools) -> None:
        kube.kubectl("apply", "-f", "-", given=_config_map(a="1", b="2"))
        kube.kubectl("apply", "-f", "-", given=_config_map(a="1"))
        assert kube.get("configmap", "cm")["data"] == {"a": "1"}

    def test_two_managers_conflict_until_one_forces(self, kube: KubeTools) -> None:
        apply = ("apply", "--server-side", "-f", "-", "--field-manager")
        kube.kubectl(*apply, "one", given=_config_map(a="1"))
        ran = kube.try_kubectl(*apply, "two", given=_config_map(a="2"))
        assert ran.code == 1
        assert 'conflict with "one": .data.a' in ran.errors
        kube.kubectl(*apply, "two", "--force-conflicts", given=_config_map(a="2"))
        assert kube.get("configmap", "cm")["data"] == {"a": "2"}

    def test_a_dry_run_shows_and_leaves_nothing(self, kube: KubeTools) -> None:
        said = kube.kubectl("apply", "-f", "-", "--dry-run=server", given=_config_map(a="1"))
        assert "server dry run" in said
        assert "cm" not in kube.names("configmaps")

    def test_unknown_fields_are_refused(self, kube: KubeTools) -> None:
        ran = kube.try_kubectl("create", "-f", "-", given=_deployment(replica=1))
        assert ran.code == 1
        assert 'unknown field "spec.replica"' in ran.errors

    def test_it_says_why_a_pod_isnt_ready(self, kube: KubeTools) -> None:
        kube.kubectl("apply", "-f", "-", given=_deployment(NEVER))
        ran = kube.try_kubectl("wait", "--for=condition=Available", "deployment/web",
                               "--timeout=2s")  # fmt: skip
        assert ran.code == 1
        assert kube.until(lambda: "pull" in kube.kubectl("describe", "pods").lower())
        assert kube.until(
            lambda: [e for e in kube.get("events")["items"] if "never-ready" in e["message"]]
        )

    def test_it_creates_what_it_sends_in_its_own_format(self, kube: KubeTools) -> None:
        kube.kubectl("create", "configmap", "made", "--from-literal=a=b")
        kube.kubectl("create", "secret", "generic", "made", "--from-literal=a=b")
        kube.kubectl("create", "serviceaccount", "made")
        assert kube.get("secret", "made")["data"] == {"a": "Yg=="}
        assert "made" in kube.names("serviceaccounts")
        assert kube.kubectl("auth", "can-i", "create", "pods").strip() == "yes"

    def test_labels_select(self, kube: KubeTools) -> None:
        for name in ("one", "two"):
            kube.kubectl("apply", "-f", "-", given=_config_map(name, a="1"))
        kube.kubectl("label", "configmap", "one", "color=red")
        found = kube.kubectl("get", "configmaps", "-l", "color in (red)", "-o", "name")
        assert found.split() == ["configmap/one"]
        kube.kubectl("delete", "configmaps", "-l", "color=red")
        assert "two" in kube.names("configmaps")
        assert "one" not in kube.names("configmaps")

    def test_it_knows_the_schemas(self, kube: KubeTools) -> None:
        assert "FIELD: replicas <integer>" in kube.kubectl("explain", "deployment.spec.replicas")
        assert "deployments" in kube.kubectl("api-resources")


@pytest.fixture
def api(kube: KubeTools) -> Any:
    """Return a client of the cluster."""
    return kubernetes.config.new_client_from_config(str(kube.kubeconfig))


class TestPythonClient:
    def test_it_creates_reads_replaces_patches_lists_and_deletes(
        self, kube: KubeTools, api: Any
    ) -> None:
        core = kubernetes.client.CoreV1Api(api)
        core.create_namespaced_config_map(kube.namespace, _config_map(a="1"))
        found = core.read_namespaced_config_map("cm", kube.namespace)
        found.data = {"a": "2"}
        core.replace_namespaced_config_map("cm", kube.namespace, found)
        with pytest.raises(ApiException) as caught:
            core.replace_namespaced_config_map("cm", kube.namespace, found)
        assert caught.value.status == 409
        core.patch_namespaced_config_map("cm", kube.namespace, {"data": {"b": "3"}})
        listed = core.list_namespaced_config_map(kube.namespace, field_selector="metadata.name=cm")
        assert [item.data for item in listed.items] == [{"a": "2", "b": "3"}]
        core.delete_namespaced_config_map("cm", kube.namespace)
        with pytest.raises(ApiException) as caught:
            core.read_namespaced_config_map("cm", kube.namespace)
        assert caught.value.status == 404

    def test_it_watches(self, kube: KubeTools, api: Any) -> None:
        core = kubernetes.client.CoreV1Api(api)
        version = core.list_namespaced_config_map(kube.namespace).metadata.resource_version

        def act() -> None:
            core.create_namespaced_config_map(kube.namespace, _config_map(a="1"))
            core.delete_namespaced_config_map("cm", kube.namespace)

        threading.Timer(0.1, act).start()
        watch, seen = kubernetes.watch.Watch(), []
        for event in watch.stream(
            core.list_namespaced_config_map,
            kube.namespace,
            resource_version=version,
            field_selector="metadata.name=cm",
            timeout_seconds=60,
        ):
            seen.append(event["type"])
            if event["type"] == "DELETED":
                watch.stop()
        assert seen == ["ADDED", "DELETED"]

    def test_it_applies_any_kind(self, kube: KubeTools, api: Any) -> None:
        dynamic = DynamicClient(api)
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        options = {"namespace": kube.namespace, "field_manager": "one"}
        dynamic.server_side_apply(maps, _config_map(a="1"), name="cm", **options)
        with pytest.raises(ConflictError):
            dynamic.server_side_apply(
                maps, _config_map(a="2"), name="cm", namespace=kube.namespace, field_manager="two"
            )
        made = dynamic.server_side_apply(
            maps, _config_map(a="2"), name="cm", namespace=kube.namespace,
            field_manager="two", force_conflicts=True,
        )  # fmt: skip
        assert made.data.to_dict() == {"a": "2"}

    def test_it_finds_new_kinds(self, kube: KubeTools, api: Any) -> None:
        dynamic = DynamicClient(api)
        definitions = dynamic.resources.get(
            api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition"
        )
        definitions.create(widget_definition())
        try:
            kube.kubectl("wait", "--for=condition=Established", "crd/widgets.example.org")
            dynamic.resources.invalidate_cache()
            widgets = dynamic.resources.get(api_version="example.org/v1", kind="Widget")
            body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"},
                    "spec": {"size": 1}}  # fmt: skip
            widgets.create(body, namespace=kube.namespace)
            assert [w.metadata.name for w in widgets.get(namespace=kube.namespace).items] == ["w"]
        finally:
            definitions.delete("widgets.example.org")

    def test_it_scales_and_reads_status_and_logs(self, kube: KubeTools, api: Any) -> None:
        apps, core = kubernetes.client.AppsV1Api(api), kubernetes.client.CoreV1Api(api)
        apps.create_namespaced_deployment(kube.namespace, _deployment())
        apps.patch_namespaced_deployment_scale("web", kube.namespace, {"spec": {"replicas": 2}})
        assert kube.until(
            lambda: apps.read_namespaced_deployment_status("web", kube.namespace)
            .status.available_replicas == 2
        )  # fmt: skip
        pod = core.list_namespaced_pod(kube.namespace).items[0]
        assert isinstance(core.read_namespaced_pod_log(pod.metadata.name, kube.namespace), str)
