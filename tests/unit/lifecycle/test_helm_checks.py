"""The health of a release and what can be reached of it, on the emulated Kubernetes API."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import HelmRelease, Plan, PlannedUnit, UnitDefinition
from mlstacks_dagster.engines.helm import ReleaseInfo
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.api import drift_unit, open_session
from mlstacks_dagster.lifecycle.helm_session import HelmSession
from mlstacks_dagster.lifecycle.models import DriftOutcome, Endpoint, UnitJob
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import ClusterLocation, StackOptions
from tests.unit.lifecycle.world import Heard

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.org"},
    "spec": {
        "group": "example.org",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "Things"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


class Real(KubeClient):
    """A client that takes the emulated API for a real one."""

    def is_emulated(self) -> bool:
        return False


@dataclass
class Helm:
    """A Helm that knows one release."""

    objects: list[ObjectRef] = field(default_factory=list)
    status: str = "deployed"
    compared: int = 0

    def info(self, _request: object) -> ReleaseInfo | None:
        if not self.status:
            return None
        return ReleaseInfo(1, "web", "1", "1", self.status, False, tuple(self.objects), "")

    def differences(self, _request: object, _kube: object) -> tuple[str, ...]:
        self.compared += 1
        return ("Service default/web: spec.type",)


class Site:
    """A stack with one release in an emulated cluster; ``client`` is what the session gets."""

    def __init__(self, folder: Path, emulator: KubeEmulator) -> None:
        self.settings = Settings(
            home=folder,
            stacks_dir=folder,
            ledger_url=f"sqlite:///{folder / 'ledger.db'}",
            lock_timeout=5.0,
        )
        self.kubeconfig = folder / "kubeconfig"
        self.kube = KubeClient(self.kubeconfig, emulator.kubeconfig(self.kubeconfig))
        self.client: type[KubeClient] = Real
        self.helm = Helm()
        self.exposes = ("web",)
        self.answers: dict[str, int] = {}
        self.tools_probe = self.probe
        with Ledger.open(self.settings.ledger_url) as ledger:
            self.stack = ledger.register_stack(self.plan, target="cloud", expires_at=None)
            begun = ledger.begin(
                self.stack.stack_id, "web", engine="helm", kind="deploy", run_id="run-1"
            )
            ledger.finish(begun.id, "ok", summary={})

    @property
    def plan(self) -> Plan:
        release = HelmRelease(release="web", namespace="default", exposes=self.exposes)
        definition = UnitDefinition(
            name="web",
            title="Web",
            description="A web server.",
            provider="k3d",
            engine="helm",
            path=self.settings.home,
            helm=release,
        )
        cluster = ClusterLocation(kubeconfig=self.kubeconfig)
        return Plan(
            stack="demo",
            provider="k3d",
            region="local",
            units=(PlannedUnit(definition=definition, region="local"),),
            options=StackOptions(cluster=cluster),
        )

    def add(self, *objects: Mapping[str, Any]) -> None:
        """Put objects into the cluster and into the release."""
        for document in objects:
            live = self.kube.apply(document)
            metadata = live["metadata"]
            place = metadata.get("namespace", "")
            ref = ObjectRef(live["apiVersion"], live["kind"], metadata["name"], place)
            self.helm.objects.append(ref)

    def probe(self, url: str, _address: str) -> tuple[int, str]:
        if url not in self.answers:
            raise ConnectionError(url)
        return self.answers[url], ""

    @property
    def tools(self) -> Tools:
        return Tools(
            helm=lambda _: self.helm,  # type: ignore[arg-type, return-value]
            kube=self.client,
            probe=self.tools_probe,
        )

    @property
    def job(self) -> UnitJob:
        return UnitJob(plan=self.plan, unit="web", run_id="run-2")

    def _session(self, ledger: Ledger) -> HelmSession:
        made = open_session(self.job, self.stack, self.settings, ledger, Heard(), self.tools)
        assert isinstance(made, HelmSession)
        return made

    def problems(self) -> tuple[str, ...]:
        with Ledger.open(self.settings.ledger_url) as ledger:
            return self._session(ledger).problems()

    def endpoints(self) -> tuple[Endpoint, ...]:
        with Ledger.open(self.settings.ledger_url) as ledger:
            return self._session(ledger).endpoints()

    def drift(self, *, compare: bool) -> DriftOutcome:
        return drift_unit(self.job, self.settings, Heard(), self.tools, compare=compare)

    def is_drifted(self) -> bool:
        with Ledger.open(self.settings.ledger_url) as ledger:
            record = ledger.unit(self.stack.stack_id, "web")
        assert record is not None
        return record.drifted


@pytest.fixture
def site(tmp_path: Path, empty_ledger: bytes) -> Iterator[Site]:
    (tmp_path / "ledger.db").write_bytes(empty_ledger)
    with KubeEmulator() as emulator:
        yield Site(tmp_path, emulator)


def service(name: str = "web", port: int = 80) -> dict[str, Any]:
    """A Service that is open at an address of its own, of loopback."""
    spec = {"type": "ClusterIP", "externalIPs": ["127.0.0.1"], "ports": [{"port": port}]}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def thing(*conditions: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "one"},
        "status": {"conditions": list(conditions)},
    }


def pod(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }


def test_a_release_that_is_not_there_or_not_deployed_is_a_problem(site: Site) -> None:
    site.helm.status = ""
    assert site.problems() == ("there is no release web in default",)
    assert site.endpoints() == ()
    site.helm.status = "failed"
    assert site.problems() == ("the release is failed",)


def test_a_pod_that_does_not_come_up_is_a_problem(site: Site) -> None:
    site.add(pod("example.org/never-ready:1"))
    deadline = time.monotonic() + 60
    while not (said := "".join(site.problems())) or "ContainersNotReady" in said:
        assert time.monotonic() < deadline, said  # the cluster needs a moment to pull it in vain
        time.sleep(0.05)
    assert "example.org/never-ready:1" in said


def test_a_custom_resource_that_is_not_ready_is_a_problem(site: Site) -> None:
    site.kube.apply(CRD)
    site.add(thing({"type": "Ready", "status": "False", "reason": "Broken", "message": "no key"}))
    assert site.problems() == ("Thing one: not ready: Broken: no key",)
    site.kube.apply(thing({"type": "Ready", "status": "True"}))
    assert site.problems() == ()
    site.kube.apply(thing())
    assert site.problems() == (), "it says nothing of being ready"
    site.kube.delete(site.helm.objects[0])
    assert site.problems() == ("Thing one does not exist",)


def test_objects_of_kubernetes_itself_are_no_custom_resources() -> None:
    role = ObjectRef("rbac.authorization.k8s.io/v1", "Role", "x", "default")
    known = [ObjectRef("v1", "Secret", "x", "default"), ObjectRef("apps/v1", "Deployment", "x")]
    assert [ref.is_custom for ref in (role, *known)] == [False, False, False]


def test_what_answers_without_credentials_is_wrong_and_what_asks_who_is_there_is_not(
    site: Site,
) -> None:
    site.add(service())
    site.answers = {"http://127.0.0.1:80/": 401}
    assert site.endpoints() == (Endpoint(url="http://127.0.0.1:80/", answer="401"),)
    site.answers = {"http://127.0.0.1:80/": 200}
    (found,) = site.endpoints()
    assert found.wrong == "answers without credentials"


def test_the_path_that_must_not_answer_is_the_one_that_the_unit_names(site: Site) -> None:
    site.add(service())
    site.exposes = ("web:/api/users",)
    site.answers = {"http://127.0.0.1:80/": 401, "http://127.0.0.1:80/api/users": 200}
    assert [e.wrong for e in site.endpoints()] == ["answers without credentials"]


def test_what_the_unit_does_not_expose_is_not_meant_to_be_reachable(site: Site) -> None:
    site.add(service("debug"))
    site.answers = {"http://127.0.0.1:80/": 401}
    assert [e.wrong for e in site.endpoints()] == [
        "Service default/debug is not meant to be reachable"
    ]


def test_of_what_does_not_answer_nothing_is_known(site: Site) -> None:
    site.add(service())
    (found,) = site.endpoints()
    assert (found.state, found.wrong) == ("unknown", "")


def test_an_emulated_cluster_s_names_are_never_asked(site: Site) -> None:
    site.add(service(), service("debug", 81))
    site.client = KubeClient
    site.answers = dict.fromkeys(("http://127.0.0.1:80/", "http://127.0.0.1:81/"), 200)
    meant, other = site.endpoints()
    assert (meant.state, meant.answer, meant.wrong) == (
        "emulated",
        "emulated: nothing answers here",
        "",
    )
    assert "not meant to be reachable" in other.wrong


def test_without_a_comparison_health_and_exposure_are_looked_at_all_the_same(site: Site) -> None:
    site.add(service())
    site.helm.status = "failed"
    quick = site.drift(compare=False)
    assert (quick.status, quick.changes) == ("not_compared", ())
    assert quick.problems == ("the release is failed",)
    assert len(quick.endpoints) == 1
    assert (site.helm.compared, site.is_drifted()) == (0, False)
    whole = site.drift(compare=True)
    assert (whole.status, len(whole.changes), len(whole.endpoints)) == ("drifted", 1, 1)
    assert (site.helm.compared, site.is_drifted()) == (1, True)


class Open(http.server.BaseHTTPRequestHandler):
    """Shows everything to everybody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_a_server_that_shows_everything_to_everybody_is_found_by_really_asking(site: Site) -> None:
    site.tools_probe = Tools().probe  # type: ignore[assignment]
    with http.server.HTTPServer(("127.0.0.1", 0), Open) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        site.add(service(port=server.server_address[1]))
        try:
            (found,) = site.endpoints()
        finally:
            server.shutdown()
            thread.join()
    assert (found.answer, found.wrong) == ("200", "answers without credentials")
