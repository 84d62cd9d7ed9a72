"""Helm's command lines as values. No secret and no chart value is ever part of one.

Helm 4 applies on the server and watches; Helm 3.17 knows neither, so it gets other flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ChartSource", "HelmTarget", "version_argv"]

Argv = tuple[str, ...]

_SERVER_SIDE = ("--server-side=true", "--force-conflicts")


def version_argv(program: str) -> Argv:
    """``version``, the number only."""
    return (program, "version", "--template", "{{.Version}}")


@dataclass(frozen=True)
class ChartSource:
    """A chart to fetch: ``oci://registry/folder/name``, or ``https://repository/name``."""

    reference: str
    version: str

    def pull_argv(self, program: str, folder: Path) -> Argv:
        """``pull`` into ``folder``."""
        flags = ("--version", self.version, "--destination", str(folder))
        if self.reference.startswith("oci://"):
            return (program, "pull", self.reference, *flags)
        repository, _, name = self.reference.rpartition("/")
        return (program, "pull", name, "--repo", repository, *flags)


@dataclass(frozen=True)
class HelmTarget:
    """A release in a cluster, and the Helm that works on it; ``major`` is Helm's version."""

    program: str
    major: int
    release: str
    namespace: str
    kubeconfig: Path
    context: str

    def upgrade_argv(
        self, chart: Path, *, labels: Mapping[str, str], timeout_seconds: int, history_max: int
    ) -> Argv:
        """``upgrade --install`` with the values on standard input, waiting until ready.

        ``labels`` go onto Helm's record of the release.
        """
        marks = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return (
            *self._start("upgrade"),
            str(chart),
            "--install",
            "--reset-values",
            f"--labels={marks}",
            "--values=-",
            *self._server_side(),
            "--wait",
            "--wait-for-jobs",
            f"--timeout={timeout_seconds}s",
            f"--history-max={history_max}",
            "--hide-notes",
            *self._cluster(),
        )

    def rollback_argv(
        self, revision: int, *, timeout_seconds: int, history_max: int, wait: bool = True
    ) -> Argv:
        """``rollback`` to ``revision``, always a named one; ``wait``: until it is ready."""
        return (
            *self._start("rollback"),
            str(revision),
            *self._server_side(),
            *(("--wait", "--wait-for-jobs") if wait else ()),
            f"--timeout={timeout_seconds}s",
            f"--history-max={history_max}",
            *self._cluster(),
        )

    def uninstall_argv(self, *, timeout_seconds: int) -> Argv:
        """``uninstall`` that waits until the objects are gone; no release is no error."""
        return (
            *self._start("uninstall"),
            "--ignore-not-found",
            "--cascade=foreground",
            "--wait",
            f"--timeout={timeout_seconds}s",
            *self._cluster(),
        )

    def history_argv(self) -> Argv:
        """``history`` as JSON."""
        return (*self._start("history"), "--output=json", *self._cluster())

    def get_argv(self, template: str, revision: int | None = None) -> Argv:
        """``get all`` of a revision (default: the newest), printed by a Go template."""
        flags = [f"--revision={revision}"] if revision is not None else []
        template_flag = f"--template={template}"
        return (self.program, "get", "all", self.release, template_flag, *flags, *self._cluster())

    def template_argv(self, chart: Path, *, kube_version: str = "") -> Argv:
        """``template`` with the values on standard input: no cluster is asked."""
        flags = [f"--kube-version={kube_version}"] if kube_version else []
        start = (*self._start("template"), str(chart), "--values=-", "--skip-tests")
        return (*start, *flags, f"--namespace={self.namespace}")

    def show_crds_argv(self, chart: Path) -> Argv:
        """``show crds``: the definitions that Helm installs once and never removes."""
        return (self.program, "show", "crds", str(chart))

    def _start(self, verb: str) -> Sequence[str]:
        return (self.program, verb, self.release)

    def _server_side(self) -> Sequence[str]:
        return _SERVER_SIDE if self.major >= 4 else ()

    def _cluster(self) -> Sequence[str]:
        return (
            f"--namespace={self.namespace}",
            f"--kubeconfig={self.kubeconfig}",
            f"--kube-context={self.context}",
        )
