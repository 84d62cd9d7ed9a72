"""The units of published charts through their life, by the real Helm, on stand-in charts.

The stand-ins have the real charts' names, versions and main objects, the Kubernetes API is
emulated: this shows that what we set reaches Kubernetes, in an order in which it can, and that
nothing stays behind. Not that the real charts render, nor that the programs inside work.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import UnitDefinition
from mlstacks_dagster.engines.helm import HelmEngine, HelmRequest
from mlstacks_dagster.engines.helm_tools import find_helm
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.sandbox.standins import build_mirror
from mlstacks_dagster.settings import Settings
from tests.contract.standin_tools import deployed_values, published_units, release_of
from tests.integration.helm_releases import real_helm

# What cert-manager's definitions and Istio's are needed by comes after them.
ORDER = (
    "cert_manager",
    "aws_load_balancer_controller",
    "aws_ebs_csi_driver",
    "istio_base",
    "istiod",
    "istio_gateway",
    "istio_gateway_k3d",
    "ingress_traefik",
    "ingress_traefik_k3d",
    "argo_workflows",
    "tekton_operator",
    "model_deployer_seldon",
    "mlops_platform_zenml",
)

ZENML = "zenml-server"
LOCAL: dict[str, Any] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "mlstacks-gp3"},
    "provisioner": "rancher.io/local-path",
}


@dataclass
class Place:
    """An emulated cluster, the mirror of stand-ins and the engine."""

    folder: Path
    helm: Path
    kube: KubeEmulator
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = self.kube.kubeconfig(self.folder / "kubeconfig")
        self.client = KubeClient(self.folder / "kubeconfig", self.context)
        self.mirror = build_mirror(self.folder / "mirror")
        self.first = self.everything()
        settings = Settings(home=self.folder / "home", stacks_dir=self.folder, helm=self.helm)
        self.engine = HelmEngine(find_helm(settings), ProcessRunner(), settings)

    def everything(self) -> set[tuple[str | None, ...]]:
        """Return what is in the cluster, events aside."""
        return {key for key in self.kube.everything() if not key[0].startswith("events")}

    def request(self, unit: UnitDefinition, values: dict[str, Any]) -> HelmRequest:
        """Return the request for ``unit``'s release."""
        release, chart = release_of(unit)
        return HelmRequest(
            unit=unit.name,
            release=release.release,
            namespace=release.namespace,
            chart=self.mirror / chart.name,
            version=chart.version,
            kubeconfig=self.folder / "kubeconfig",
            context=self.context,
            work_dir=self.folder / "work" / unit.name,
            owner={"mlstacks-stack": "sabc"},
            values=values,
            environment={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            timeout_seconds=90,
        )

    def prepare(self, unit: UnitDefinition) -> None:
        """Make the namespace and the Secrets, as the program does before a release."""
        release, _ = release_of(unit)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace}}
        self.client.apply(space)
        for secret in release.secrets:
            about = {"name": secret.name, "namespace": release.namespace}
            data = dict.fromkeys(secret.keys, "something")
            self.client.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": data}
            )

    def deploy(self, unit: UnitDefinition, values: dict[str, Any]) -> Any:
        """Deploy and wait."""
        return self.engine.deploy(self.request(unit, values), lambda e: self.said.append(e.text))

    def rollback(self, unit: UnitDefinition) -> None:
        """Go back to the first revision, as a person at a terminal would."""
        release, _ = release_of(unit)
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG")}
        done = subprocess.run(
            [
                *(str(self.helm), "rollback", release.release, "1", "--wait", "--timeout", "90s"),
                *("--kubeconfig", str(self.folder / "kubeconfig"), "-n", release.namespace),
                *("--kube-context", self.context),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**homes, "PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        assert done.returncode == 0, done.stderr

    def uninstall(self, unit: UnitDefinition) -> Any:
        """Uninstall; return what stayed."""
        return self.engine.uninstall(
            self.request(unit, {}), lambda e: self.said.append(e.text)
        ).leftovers


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with KubeEmulator() as kube:
        yield Place(tmp_path, real_helm(tmp_path_factory), kube)


def _units(provider: str) -> list[UnitDefinition]:
    found = {unit.name: unit for unit in published_units() if unit.provider == provider}
    assert set(found) <= set(ORDER)
    return [found[name] for name in ORDER if name in found]


@pytest.mark.parametrize("provider", ["aws", "k3d"])
def test_the_stand_ins_of_a_provider_install_upgrade_roll_back_and_go(
    provider: str, place: Place
) -> None:
    """All of them in one cluster, each in the namespace that its unit names."""
    units = _units(provider)
    if provider == "k3d":
        place.client.apply(LOCAL)  # k3d has one of its own
    for unit in units:
        place.prepare(unit)
        values = deployed_values(unit)
        info = place.deploy(unit, values)
        release, chart = release_of(unit)
        assert (info.status, info.chart_version) == ("deployed", chart.version), release.release
        assert not place.deploy(unit, values).changed, f"{unit.name}: a second deploy changes it"

    for unit in units:
        place.rollback(unit)

    for unit in reversed(units):
        place.uninstall(unit)
    stayed = place.everything() - place.first
    namespaces = {release_of(unit)[0].namespace for unit in units}
    odd = {key for key in stayed if not _expected(key, namespaces, units)}
    assert odd == set()


def _expected(
    key: tuple[str | None, ...], namespaces: set[str], units: list[UnitDefinition]
) -> bool:
    """Whether ``key`` is what the units say may stay: namespaces, definitions, one claim.

    Namespaces and Secrets are the program's, which removes them after the release.
    """
    plural, namespace, name = str(key[0]), key[1], str(key[2])
    if plural == "namespaces":
        return name in namespaces
    if plural.startswith("storageclasses"):
        return name == str(LOCAL["metadata"]["name"])
    if plural.startswith("customresourcedefinitions"):
        return any(name.endswith(f".{g}") for u in units for g in release_of(u)[0].crd_groups)
    if plural == "secrets" and name.endswith("-tls"):
        return True  # the emulated cert-manager does not own them, as the real one does here
    ours = {"zenml-server-credentials", "zenml-server-config"} if namespace == ZENML else set()
    return name in {"kube-root-ca.crt", "default", *ours} and namespace in namespaces


def test_a_definition_of_a_stand_in_serves_its_kind_at_once(place: Place) -> None:
    unit = next(u for u in _units("aws") if u.name == "cert_manager")
    place.prepare(unit)
    place.deploy(unit, deployed_values(unit))
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "self"},
        "spec": {"selfSigned": {}},
    }
    place.client.apply(issuer)
    assert place.kube.objects("clusterissuers", "cert-manager.io")
