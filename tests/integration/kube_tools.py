"""What the tests of the Kubernetes API share: the real helm and kubectl, a chart, a cluster.

The same tests run on a real cluster: ``KUBECONFIG=... pytest -m cluster``. They make a namespace of
their own there and remove it.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.helm_tools import InstalledTools, install_tools
from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.settings import Settings

__all__ = [
    "CLUSTERS",
    "DONE",
    "GOOD",
    "NEVER",
    "KubeTools",
    "Ran",
    "installed_tools",
    "open_cluster",
]

# As good in an emulator as in a real cluster.
GOOD, NEVER = "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:never-ready"
DONE = "busybox:1.36"

_REAL = os.environ.get("KUBECONFIG") or os.environ.get("MLSTACKS_TEST_KUBECONFIG")

CLUSTERS = [
    pytest.param(None, id="emulated"),
    *([pytest.param(_REAL, id="real", marks=pytest.mark.cluster)] if _REAL else []),
]
"""The clusters that there are to test on."""


def installed_tools(tmp_path_factory: Any) -> InstalledTools:
    """Return the real programs, fetched once for all tests."""
    base: Path = tmp_path_factory.getbasetemp().parent / "shared-helm"
    base.mkdir(exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return install_tools(Settings(home=base, stacks_dir=base))


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    code: int
    output: str
    errors: str


class KubeTools:
    """helm and kubectl, pointed at one namespace of one cluster."""

    def __init__(
        self, programs: InstalledTools, kubeconfig: Path, folder: Path, namespace: str
    ) -> None:
        self.programs = programs
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.namespace = namespace

    def try_helm(self, *arguments: str, values: Any = None) -> Ran:
        """Run helm; ``values`` go in by standard input."""
        argv = [str(self.programs.helm), *arguments, "-n", self.namespace]
        if values is not None:
            argv += ["-f", "-"]
        return self._run(argv, json.dumps(values or {}))

    def helm(self, *arguments: str, values: Any = None) -> str:
        """Run helm, which must succeed; return what it printed."""
        return _good(self.try_helm(*arguments, values=values))

    def try_kubectl(self, *arguments: str, given: Any = None) -> Ran:
        """Run kubectl; ``given`` is the object on its standard input."""
        argv = [str(self.programs.kubectl), *arguments, "-n", self.namespace]
        return self._run(argv, json.dumps(given))

    def kubectl(self, *arguments: str, given: Any = None) -> str:
        """Run kubectl, which must succeed; return what it printed."""
        return _good(self.try_kubectl(*arguments, given=given))

    def get(self, *what: str) -> Any:
        """Return an object, or a list of them."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def names(self, kind: str) -> list[str]:
        """Return the names of the objects of a kind."""
        return [item["metadata"]["name"] for item in self.get(kind)["items"]]

    def until(self, what: Callable[[], Any]) -> Any:
        """Return what ``what`` finds once it finds something; fail after a minute."""
        for _ in range(600):
            found = what()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError("it never came to be so")

    def _run(self, argv: list[str], given: str) -> Ran:
        homes = {f"HELM_{n}_HOME": str(self.folder / n) for n in ("CACHE", "CONFIG", "DATA")}
        env = {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder), **homes}
        done = subprocess.run(
            argv, check=False, input=given, capture_output=True, text=True, timeout=300, env=env
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def _good(ran: Ran) -> str:
    assert ran.code == 0, ran.errors
    return ran.output


@contextmanager
def open_cluster(programs: InstalledTools, real: str | None, folder: Path) -> Iterator[KubeTools]:
    """Open a namespace in the real cluster of a kubeconfig, or in an emulated one."""
    namespace = f"mlstacks-{uuid.uuid4().hex[:8]}"
    if real is None:
        with KubeEmulator() as kube:
            kube.kubeconfig(folder / "kubeconfig")
            tools = KubeTools(programs, folder / "kubeconfig", folder, namespace)
            tools.kubectl("create", "namespace", namespace)
            yield tools
        return
    tools = KubeTools(programs, Path(real), folder, namespace)
    tools.kubectl("create", "namespace", namespace)
    try:
        yield tools
    finally:
        tools.kubectl("delete", "namespace", namespace, "--wait=false")


_TEMPLATES = {
    "deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-web}
spec:
  replicas: {{ .Values.replicas }}
  {{- if .Values.unknown }}
  replica: 1
  {{- end }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - name: web
          image: {{ .Values.image }}
          env: {{ .Values.env | toJson }}
""",
    "others.yaml": """
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-web}
spec: {ports: [{port: 80}], selector: {app: {{ .Release.Name }}}}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-secret}
stringData: {a: {{ .Values.secret | quote }}}
""",
    "hooks.yaml": """
{{- if .Values.hook }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-first
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-weight: "-5"}
data: {a: b}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-job
  annotations:
    helm.sh/hook: "pre-install,pre-upgrade"
    helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job
          image: {{ .Values.hook }}
          command: ["true"]
          envFrom: [{configMapRef: {name: {{ .Release.Name }}-first}}]
{{- end }}
""",
    "custom.yaml": """
{{- if .Values.custom }}
apiVersion: example.org/v1
kind: Widget
metadata: {name: {{ .Release.Name }}}
spec: {size: 3}
{{- end }}
""",
}
_VALUES = {
    "replicas": 1,
    "image": GOOD,
    "env": [],
    "secret": "s",
    "hook": "",
    "custom": False,
    "unknown": False,
}


def write_chart(folder: Path) -> str:
    """Write the chart that the tests deploy; return its path."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 1.2.3\n")
    (folder / "values.yaml").write_text(json.dumps(_VALUES))
    for name, text in _TEMPLATES.items():
        (folder / "templates" / name).write_text(text.lstrip())
    return str(folder)


def widget_definition() -> dict[str, Any]:
    """Return the definition of the custom kind that the chart can use."""
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
