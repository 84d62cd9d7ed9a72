"""What the tests of the Helm engine share: Helm itself, a chart, a cluster, a release."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlstacks_dagster.engines.helm import HelmEngine, HelmRequest
from mlstacks_dagster.engines.helm_tools import find_helm, install_tools
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.tf_events import Event
from mlstacks_dagster.settings import Settings
from tests.integration.kube_tools import GOOD, NEVER

__all__ = ["GOOD", "NAMESPACE", "NEVER", "RELEASE", "Release", "fresh_copy", "real_helm"]

NAMESPACE = "demo"
RELEASE = "web"

_CHART = """apiVersion: v2
name: demo
version: 1.2.3
appVersion: "9.9"
"""
_VALUES = f"""image: {GOOD}
replicas: 1
names: []
claims: false
hook: false
slow: 0
empty: false
secret: ""
"""
_TEMPLATE = """{{- if not .Values.empty }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: {{ .Values.image | quote }}}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: demo-{{ .Release.Name }}}
rules: []
{{- range .Values.names }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ . }}}
data: {key: value}
{{- end }}
{{- if .Values.secret }}
---
apiVersion: v1
kind: Secret
metadata: {name: given}
stringData: {password: {{ .Values.secret | quote }}}
{{- end }}
{{- if .Values.claims }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: {{ .Values.image | quote }}}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
{{- end }}
{{- if .Values.hook }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "post-install,post-upgrade"}}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: job, image: {{ .Values.hook | quote }}}]}
{{- end }}
{{- end }}
"""
_CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  names: {kind: Thing, plural: things, singular: thing, listKind: ThingList}
  scope: Namespaced
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""


def write_chart(folder: Path, *, crds: bool = False) -> Path:
    """Write the chart that the tests deploy."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(_CHART)
    (folder / "values.yaml").write_text(_VALUES)
    (folder / "templates" / "all.yaml").write_text(_TEMPLATE)
    if crds:
        (folder / "crds").mkdir()
        (folder / "crds" / "things.yaml").write_text(_CRD)
    return folder


def real_helm(tmp_path_factory: Any) -> Path:
    """Return the real Helm: the one of ``MLSTACKS_TEST_HELM``, else fetched once for all tests."""
    named = os.environ.get("MLSTACKS_TEST_HELM")
    if named:
        return Path(named)
    base: Path = tmp_path_factory.getbasetemp().parent / "shared-helm"
    base.mkdir(exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return install_tools(Settings(home=base, stacks_dir=base)).helm


class Cluster(Protocol):
    """An emulated cluster, or one that is given."""

    def kubeconfig(self, path: Path) -> str:
        """Write a kubeconfig for it; return its context's name."""
        ...

    def everything(self) -> list[tuple[str, str | None, str]]:
        """Return plural, namespace and name of the objects that concern the tests."""
        ...


@dataclass
class Release:
    """A release of the tests' chart in a cluster, with what the engine said.

    ``patience`` is how much slower than an emulated cluster this one is; ``environment`` is what a
    credential plugin of its kubeconfig needs.
    """

    folder: Path
    helm: Path
    kube: Cluster
    name: str = RELEASE
    timeout_seconds: int = 30
    namespace: str = NAMESPACE
    patience: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=lambda: {"mlstacks-stack": "sabc"})
    begun: bool = False
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = self.kube.kubeconfig(self.folder / "kubeconfig")
        self.chart = self.folder / "chart"
        if not self.chart.exists():
            write_chart(self.chart)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            **self.environment,
        }
        self.timeout_seconds *= self.patience
        self.client = KubeClient(self.folder / "kubeconfig", self.context, self.environment)
        self.client.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        )
        self.first = set(self.kube.everything())
        self.settings = Settings(home=self.folder / "home", stacks_dir=self.folder, helm=self.helm)

    def hurry(self) -> None:
        """Wait as briefly as a good deploy allows; Helm 3 looks every two seconds only."""
        self.timeout_seconds = (4 if find_helm(self.settings).major > 3 else 8) * self.patience

    def engine(self, runner: ProcessRunner | None = None) -> HelmEngine:
        """Return an engine as a fresh process would make it."""
        return HelmEngine(find_helm(self.settings), runner or ProcessRunner(), self.settings)

    def request(self, **values: Any) -> HelmRequest:
        """Return the request to deploy the chart with ``values``."""
        return HelmRequest(
            unit="web_server",
            release=self.name,
            namespace=self.namespace,
            chart=self.chart,
            kubeconfig=self.folder / "kubeconfig",
            context=self.context,
            work_dir=self.folder / "work" / self.name,
            owner=self.owner,
            begun=self.begun,
            values=values,
            environment=self.environment,
            redactor=Redactor(["a-very-secret-word"]),
            timeout_seconds=self.timeout_seconds,
        )

    def deploy(self, **values: Any) -> Any:
        """Deploy with ``values``."""
        return self.engine().deploy(self.request(**values), self.events.append)

    def uninstall(self) -> Any:
        """Uninstall."""
        return self.engine().uninstall(self.request(), self.events.append)

    def statuses(self) -> list[str]:
        """Return the status of each revision, oldest first."""
        return [r.status for r in self.engine().history(self.request())]

    def milestones(self) -> str:
        """Return what the engine told as milestones, one a line."""
        return "\n".join(e.text for e in self.events if e.kind == "milestone")

    def said(self) -> str:
        """Return everything that the engine told."""
        return "\n".join(e.text for e in self.events)

    def objects(self) -> list[str]:
        """Return plural and name of what is in the cluster and was not there at first."""
        return sorted(
            f"{plural}/{name}"
            for plural, namespace, name in set(self.kube.everything()) - self.first
            if not plural.startswith("events")
        )

    def left(self, *meant: str) -> list[str]:
        """Return the objects but for ``meant`` once there is none, or those of a minute later."""
        deadline = time.monotonic() + 60 * (self.patience > 1)
        while (found := sorted({*self.objects()} - {*meant})) and time.monotonic() < deadline:
            time.sleep(0.5)
        return found


def fresh_copy(release: Release) -> None:
    """Forget the work folder, as if another machine took over."""
    shutil.rmtree(release.folder / "work", ignore_errors=True)
