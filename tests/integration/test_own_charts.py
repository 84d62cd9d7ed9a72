"""Every chart of ours through its life, by the real Helm, on an emulated Kubernetes API.

The emulator runs no container: this shows that Kubernetes takes the objects, that they can be
changed and taken back, and that nothing stays behind. Not that the programs inside work.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.sandbox.kube import KubeEmulator
from tests.contract.chart_tools import (
    MARKS,
    NEWEST,
    OLDEST,
    Case,
    cases,
    containers,
    load_objects,
    pod_specs,
)
from tests.integration.helm_releases import real_helm

_CUSTOM = {
    "ClusterIssuer": ("cert-manager.io", "v1", "clusterissuers", "Cluster"),
    "Gateway": ("networking.istio.io", "v1", "gateways", "Namespaced"),
    "TektonConfig": ("operator.tekton.dev", "v1alpha1", "tektonconfigs", "Cluster"),
}
_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "gp3"},
    "provisioner": "rancher.io/local-path",
}
_NAMESPACE = "place"
_RELEASE = "rel"


def _definition(kind: str) -> dict[str, Any]:
    """Return a definition for a kind that another release of the stack brings."""
    group, version, plural, scope = _CUSTOM[kind]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    one = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [one]},
    }


@dataclass
class Place:
    """A namespace in an emulated cluster, and the real Helm for it."""

    helm: Path
    folder: Path
    kube: KubeEmulator

    def __post_init__(self) -> None:
        self.context = self.kube.kubeconfig(self.folder / "kubeconfig")
        client = KubeClient(self.folder / "kubeconfig", self.context)
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
        for kind in _CUSTOM:
            client.apply(_definition(kind))
        client.apply(_STORAGE_CLASS)
        self.client = client

    def prepare(self, case: Case) -> None:
        """Make the Secrets that the chart's pods name, as the program does before a release."""
        rendered = load_objects(self.run("template", _RELEASE, case.chart, "-f", case.values))
        named: dict[str, dict[str, str]] = {}
        for _, template in pod_specs(rendered):
            for container in containers(template):
                for variable in container.get("env", ()):
                    ref = variable.get("valueFrom", {}).get("secretKeyRef")
                    if ref and not ref.get("optional"):
                        named.setdefault(ref["name"], {})[ref["key"]] = "c29tZXRoaW5n"
        for name, data in named.items():
            about = {"name": name, "namespace": _NAMESPACE}
            self.client.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": data}
            )
        self.first = self.everything()

    def everything(self) -> set[tuple[str, ...]]:
        """Return what is in the cluster, events aside."""
        return {key for key in self.kube.everything() if not key[0].startswith("events")}

    def run(self, *arguments: str | Path) -> str:
        """Run Helm; fail the test when it fails."""
        done = subprocess.run(
            [
                *(str(self.helm), *map(str, arguments)),
                *("--kubeconfig", str(self.folder / "kubeconfig")),
                *("--kube-context", self.context, "-n", _NAMESPACE),
            ],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                **{
                    f"HELM_{kind}_HOME": str(self.folder / kind)
                    for kind in ("CACHE", "CONFIG", "DATA")
                },
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, case: Case, marks: dict[str, str]) -> None:
        """Install or upgrade, and wait until everything is ready."""
        file = self.folder / "marks.yaml"
        file.write_text(yaml.safe_dump({"marks": marks}))
        self.run(
            *("upgrade", "--install", _RELEASE, case.chart, "-f", case.values, "-f", file),
            *("--reset-values", "--wait", "--wait-for-jobs", "--timeout", "90s"),
        )

    def stamped(self, mark: str) -> set[str]:
        """Return the values of a mark on what the release has, whatever controllers made."""
        manifest = self.run("get", "manifest", _RELEASE)
        wanted = {
            (found["kind"], found["metadata"]["name"])
            for found in yaml.safe_load_all(manifest)
            if found
        }
        live = [
            found
            for key in self.everything() - self.first
            for found in self._objects(key)
            if (found["kind"], found["metadata"]["name"]) in wanted
        ]
        assert len({(o["kind"], o["metadata"]["name"]) for o in live}) == len(wanted)
        return {found["metadata"]["labels"].get(mark, "") for found in live}

    def _objects(self, key: tuple[str, ...]) -> list[dict[str, Any]]:
        plural, _, group = key[0].partition(".")
        return [o for o in self.kube.objects(plural, group) if o["metadata"]["name"] == key[2]]


def _runs() -> list[Any]:
    """Return each case with the newest Kubernetes, and each default case with the oldest too."""
    newest = [(case, NEWEST) for case in cases()]
    oldest = [(case, OLDEST) for case in cases() if case.is_default]
    return [pytest.param(*run, id=f"{run[0].name}-{run[1]}") for run in newest + oldest]


@pytest.fixture
def place(
    version: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Return a fresh emulated cluster."""
    with KubeEmulator(version=version) as kube:
        yield Place(real_helm(tmp_path_factory), tmp_path, kube)


@pytest.mark.parametrize(("case", "version"), _runs())
def test_a_chart_installs_upgrades_rolls_back_and_leaves_nothing(
    case: Case,
    version: str,
    place: Place,
) -> None:
    place.prepare(case)
    place.deploy(case, {**MARKS, "mlstacks-expires": "2026-12-01"})
    assert place.stamped("mlstacks-expires") == {"2026-12-01"}

    place.deploy(case, {**MARKS, "mlstacks-expires": "2027-01-01"})
    assert place.stamped("mlstacks-expires") == {"2027-01-01"}

    place.run("rollback", _RELEASE, "1", "--wait", "--timeout", "90s")
    assert place.stamped("mlstacks-expires") == {"2026-12-01"}
    history = json.loads(place.run("history", _RELEASE, "-o", "json"))
    assert [r["status"] for r in history] == ["superseded", "superseded", "deployed"]

    place.run("uninstall", _RELEASE, "--wait", "--timeout", "90s")
    assert place.everything() - place.first == set()
