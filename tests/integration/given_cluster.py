"""A cluster that somebody gives in KUBECONFIG, for the tests of the Helm engine.

They get a namespace of their own in it and remove it. Of what has no namespace they look at their
own cluster role only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.files import write_private

ROLES = "rbac.authorization.k8s.io/v1"

# What a cluster puts into every namespace, and what others say about our objects.
_ITS_OWN = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
_SAID = ("events", "metrics.k8s.io")


class GivenCluster:
    """One namespace in the cluster of the current context of ``given``, and one cluster role."""

    def __init__(self, kubectl: Path, given: str, namespace: str, role: str) -> None:
        self.kubectl, self.given = kubectl, given
        self.namespace, self.role = namespace, role
        self._client: KubeClient | None = None

    def kubeconfig(self, path: Path) -> str:
        """Write what the current context needs to ``path``, and nothing else; return its name."""
        whole = self._config("view", "--raw", "--flatten", "--minify")
        write_private(path, whole.encode())
        context = self._config("current-context").strip()
        self._client = KubeClient(path, context, dict(os.environ))
        return context

    def everything(self) -> list[tuple[str, str | None, str]]:
        """Return plural with group, namespace and name of what is the tests' in the cluster."""
        return list(self._ours())

    def remove(self) -> None:
        """Remove the namespace and the cluster role."""
        if self._client is not None:
            self._client.delete(ObjectRef(ROLES, "ClusterRole", self.role))
            self._client.delete(ObjectRef("v1", "Namespace", self.namespace))

    def _ours(self) -> Iterator[tuple[str, str | None, str]]:
        assert self._client is not None
        for kind in self._client.kinds():
            if not kind.namespaced or "list" not in kind.verbs or self._is_said(kind.api_version):
                continue
            plural = f"{kind.plural}.{kind.api_version.rpartition('/')[0]}".rstrip(".")
            for found in self._client.list(kind.api_version, kind.kind, self.namespace):
                name = found["metadata"]["name"]
                if (plural, name) not in _ITS_OWN:
                    yield plural, self.namespace, name
        if self._client.get(ObjectRef(ROLES, "ClusterRole", self.role)):
            yield "clusterroles.rbac.authorization.k8s.io", None, self.role

    @staticmethod
    def _is_said(api_version: str) -> bool:
        return api_version.startswith(_SAID)

    def _config(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.kubectl), "config", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "KUBECONFIG": self.given},
        )
        return done.stdout
