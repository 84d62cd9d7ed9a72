"""The emulated Kubernetes API with the real Helm; the same on a real cluster, if one is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.helm_tools import InstalledTools
from mlstacks_dagster.sandbox.kube import Fault, KubeEmulator
from tests.integration.kube_tools import (
    CLUSTERS,
    DONE,
    GOOD,
    NEVER,
    KubeTools,
    installed_tools,
    open_cluster,
    widget_definition,
    write_chart,
)

UP = ("upgrade", "--install", "demo")
WAIT = ("--wait", "--timeout", "60s")
SOON = ("--wait", "--timeout", "4s")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> InstalledTools:
    return installed_tools(tmp_path_factory)


@pytest.fixture(params=CLUSTERS)
def kube(
    request: pytest.FixtureRequest, programs: InstalledTools, tmp_path: Path
) -> Iterator[KubeTools]:
    with open_cluster(programs, request.param, tmp_path) as tools:
        yield tools


@pytest.fixture
def chart(tmp_path: Path) -> str:
    return write_chart(tmp_path / "chart")


def _deployment(kube: KubeTools) -> Any:
    return kube.get("deployment", "demo-web")


def _env(kube: KubeTools) -> list[str]:
    container = _deployment(kube)["spec"]["template"]["spec"]["containers"][0]
    return [entry["name"] for entry in container.get("env", [])]


def _history(kube: KubeTools) -> list[str]:
    return [entry["status"] for entry in json.loads(kube.helm("history", "demo", "-o", "json"))]


def _left(kube: KubeTools) -> dict[str, list[str]]:
    kinds = ("deployments", "replicasets", "pods", "services", "jobs")
    found = {kind: kube.names(kind) for kind in kinds}
    found["secrets"] = [n for n in kube.names("secrets") if "token" not in n]
    found["configmaps"] = [n for n in kube.names("configmaps") if n != "kube-root-ca.crt"]
    return {kind: names for kind, names in found.items() if names}


def test_a_release_is_installed_upgraded_rolled_back_and_uninstalled(
    kube: KubeTools, chart: str
) -> None:
    kube.helm(*UP, chart, *WAIT)
    assert _deployment(kube)["status"]["availableReplicas"] == 1
    env = [{"name": "A", "value": "1"}]
    kube.helm(*UP, chart, *WAIT, values={"replicas": 2, "env": env})
    assert (_deployment(kube)["status"]["readyReplicas"], _env(kube)) == (2, ["A"])
    listed = json.loads(kube.helm("list", "-o", "json"))
    assert [(r["name"], r["revision"], r["status"]) for r in listed] == [("demo", "2", "deployed")]
    kube.helm("rollback", "demo", "1", *WAIT)
    assert _env(kube) == []
    assert _history(kube) == ["superseded", "superseded", "deployed"]
    status = json.loads(kube.helm("status", "demo", "-o", "json"))
    assert status["info"]["status"] == "deployed"
    kube.helm("uninstall", "demo", *WAIT)
    assert kube.until(lambda: not _left(kube))


def test_hooks_run_before_the_release_and_in_their_order(kube: KubeTools, chart: str) -> None:
    kube.helm(*UP, chart, *WAIT, "--wait-for-jobs", values={"hook": DONE})
    assert kube.names("configmaps").count("demo-first") == 1
    assert kube.until(lambda: kube.names("jobs") == [])
    assert _history(kube) == ["deployed"]


def test_a_bad_image_fails_in_time_and_the_old_pods_stay(kube: KubeTools, chart: str) -> None:
    kube.helm(*UP, chart, *WAIT)
    before = kube.names("pods")
    ran = kube.try_helm(*UP, chart, *SOON, values={"image": NEVER})
    assert ran.code == 1
    assert "demo-web not ready" in ran.errors
    assert _history(kube) == ["deployed", "failed"]
    pods = {pod["metadata"]["name"]: pod for pod in kube.get("pods")["items"]}
    assert set(before) < set(pods)
    (new,) = set(pods) - set(before)
    state = pods[new]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
    assert state in ("ImagePullBackOff", "ErrImagePull")
    kube.helm(*UP, chart, *WAIT)
    assert _history(kube)[-1] == "deployed"


def test_a_failed_upgrade_can_roll_itself_back(kube: KubeTools, chart: str) -> None:
    kube.helm(*UP, chart, *WAIT)
    ran = kube.try_helm(*UP, chart, *SOON, "--rollback-on-failure", values={"image": NEVER})
    assert ran.code == 1
    assert _history(kube) == ["superseded", "failed", "deployed"]
    containers = _deployment(kube)["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == GOOD


def test_what_somebody_else_changed_is_a_conflict_until_forced(kube: KubeTools, chart: str) -> None:
    kube.helm(*UP, chart, *WAIT)
    kube.kubectl("scale", "deployment/demo-web", "--replicas=3")
    ran = kube.try_helm(*UP, chart, *WAIT)
    assert ran.code == 1
    assert 'conflict with "kubectl"' in ran.errors
    assert ".spec.replicas" in ran.errors
    kube.helm(*UP, chart, *WAIT, "--force-conflicts")
    assert _deployment(kube)["spec"]["replicas"] == 1


def test_a_dry_run_on_the_server_leaves_nothing(kube: KubeTools, chart: str) -> None:
    assert "kind: Deployment" in kube.helm(*UP, chart, "--dry-run=server")
    assert _left(kube) == {}


def test_an_unknown_field_is_refused(kube: KubeTools, chart: str) -> None:
    ran = kube.try_helm(*UP, chart, values={"unknown": True})
    assert ran.code == 1
    assert ".spec.replica: field not declared in schema" in ran.errors


def test_a_release_can_go_from_client_side_to_server_side(kube: KubeTools, chart: str) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    kube.helm(*UP, chart, *WAIT, "--server-side=false", values={"env": env})
    kube.helm(*UP, chart, *WAIT, "--server-side=true", values={"env": env[:1]})
    assert _env(kube) == ["A"]
    managed = kube.get("deployment", "demo-web", "--show-managed-fields")["metadata"]
    managers = {m["manager"]: m["operation"] for m in managed["managedFields"]}
    assert managers["helm"] == "Apply"


def test_a_custom_resource_needs_its_definition_first(kube: KubeTools, chart: str) -> None:
    ran = kube.try_helm(*UP, chart, values={"custom": True})
    assert ran.code == 1
    assert "ensure CRDs are installed first" in ran.errors
    kube.kubectl("apply", "-f", "-", given=widget_definition())
    try:
        kube.kubectl("wait", "--for=condition=Established", "crd/widgets.example.org")
        kube.helm(*UP, chart, *WAIT, values={"custom": True})
        assert kube.get("widgets", "demo")["spec"] == {"size": 3}
    finally:
        kube.kubectl("delete", "crd", "widgets.example.org")
    assert kube.try_kubectl("get", "widgets").code == 1


def test_an_object_with_a_finalizer_stays_when_uninstall_gives_up(
    kube: KubeTools, chart: str
) -> None:
    """Helm's record is gone by then: only the objects tell the truth."""
    kube.helm(*UP, chart, *WAIT)
    patch = '{"metadata":{"finalizers":["example.org/hold"]}}'
    kube.kubectl("patch", "service", "demo-web", "--type=merge", "-p", patch)
    assert kube.try_helm("uninstall", "demo", *SOON).code == 1
    assert "not found" in kube.try_helm("status", "demo").errors
    assert kube.names("services") == ["demo-web"]
    release = '{"metadata":{"finalizers":null}}'
    kube.kubectl("patch", "service", "demo-web", "--type=merge", "-p", release)
    assert kube.until(lambda: kube.names("services") == [])


def test_a_release_over_a_mebibyte_is_refused(kube: KubeTools, tmp_path: Path, chart: str) -> None:
    import random

    random.seed(7)
    noise = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_500_000))
    (tmp_path / "chart" / "noise.txt").write_text(noise)
    ran = kube.try_helm(*UP, chart)
    assert ran.code == 1
    assert "may not be more than 1048576 bytes" in ran.errors or "Too long" in ran.errors


def test_releases_can_be_installed_at_once(kube: KubeTools, chart: str) -> None:
    names = [f"r{number}" for number in range(6)]

    def install(name: str) -> int:
        return kube.try_helm("upgrade", "--install", name, chart, *WAIT).code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(install, names)) == [0] * 6
        listed = json.loads(kube.helm("list", "-o", "json"))
        assert sorted(release["name"] for release in listed) == names
        codes = pool.map(lambda n: kube.try_helm("uninstall", n, *WAIT).code, names)
        assert list(codes) == [0] * 6
    assert kube.until(lambda: not _left(kube))


class TestFaults:
    """Only an emulator can be told to fail."""

    @pytest.fixture
    def emulated(self, programs: InstalledTools, tmp_path: Path) -> Iterator[tuple[Any, KubeTools]]:
        with KubeEmulator() as kube:
            kube.kubeconfig(tmp_path / "kubeconfig")
            yield kube, KubeTools(programs, tmp_path / "kubeconfig", tmp_path, "default")

    def test_helm_waits_when_it_is_told_to(
        self, emulated: tuple[KubeEmulator, KubeTools], chart: str
    ) -> None:
        kube, tools = emulated
        hits = kube.inject(Fault(status=429, retry_after_seconds=1, times=2, path="/deployments"))
        tools.helm(*UP, chart, *WAIT)
        assert hits() == 2

    @pytest.mark.parametrize("status", [500, 503, 403])
    def test_helm_fails_when_the_api_does(
        self, emulated: tuple[KubeEmulator, KubeTools], chart: str, status: int
    ) -> None:
        kube, tools = emulated
        kube.inject(Fault(status=status, methods=("PATCH",), path="/services/", times=None))
        ran = tools.try_helm(*UP, chart, *SOON)
        assert ran.code == 1
        assert "this fault was injected" in ran.errors
        kube.clear_faults()
        tools.helm(*UP, chart, *WAIT)

    def test_a_write_that_happened_though_it_failed_is_no_obstacle(
        self, emulated: tuple[KubeEmulator, KubeTools], chart: str
    ) -> None:
        kube, tools = emulated
        kube.inject(Fault(status=500, methods=("PATCH",), path="/deployments/", after=True))
        assert tools.try_helm(*UP, chart, *SOON).code == 1
        tools.helm(*UP, chart, *WAIT)

    def test_a_lost_connection_and_a_late_answer_are_survived(
        self, emulated: tuple[KubeEmulator, KubeTools], chart: str
    ) -> None:
        kube, tools = emulated
        late = kube.inject(Fault(status=0, delay_seconds=0.2, methods=("PATCH",), times=None))
        tools.helm(*UP, chart, *WAIT)
        assert late() > 0

    def test_another_writer_is_a_conflict(
        self, emulated: tuple[KubeEmulator, KubeTools], chart: str
    ) -> None:
        kube, tools = emulated
        kube.inject(Fault(status=409, methods=("PATCH",), path="/services/", times=None))
        assert "this fault was injected" in tools.try_helm(*UP, chart, *SOON).errors
