"""What the Helm engine is asked to do, and what it says that it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.engines.redaction import Redactor

__all__ = ["HelmRequest", "ReleaseInfo", "Uninstalled"]


@dataclass(frozen=True)
class HelmRequest:
    """One release.

    ``chart`` is a chart's folder or archive, or ``oci://...`` / ``https://repository/name``
    together with ``version`` and, where known, the archive's ``digest`` (``sha256:...``).
    ``values`` replace those of earlier deploys; they reach Helm through standard input.
    ``kubeconfig`` is a private file whose ``context`` is used. ``work_dir`` is this release's
    own folder; ``cache_dir`` keeps fetched charts instead of the cache
    that all units share. ``owner`` are labels for Helm's record: they tell whose the release is.
    ``begun``: we are known to have begun to install it, so it is ours without labels too.
    ``environment`` is all that Helm and credential plugins see. ``timeout_seconds`` bounds
    a deploy, from the install or upgrade to the end of putting the last good revision back, and
    an uninstall; a Helm that takes longer is stopped half a minute later.
    """

    unit: str
    release: str
    namespace: str
    chart: Path | str
    kubeconfig: Path
    context: str
    work_dir: Path
    owner: Mapping[str, str]
    begun: bool = False
    cache_dir: Path | None = None
    version: str = ""
    digest: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    redactor: Redactor = field(default_factory=Redactor, repr=False)
    timeout_seconds: int = 600
    history_max: int = 5

    @property
    def record(self) -> Path:
        """Where a running Helm is written down."""
        return self.work_dir / "child.json"

    def log(self, verb: str) -> Path:
        """Where the output of ``verb`` goes."""
        return self.work_dir / "logs" / f"{verb}.log"


@dataclass(frozen=True)
class ReleaseInfo:
    """A release as it stands.

    ``changed`` is False when a deploy left the rendered manifest as it was. ``objects`` are
    those of the manifest; ``manifest_sha256`` is over its text.
    """

    revision: int
    chart: str
    chart_version: str
    app_version: str
    status: str
    changed: bool
    objects: tuple[ObjectRef, ...]
    manifest_sha256: str


@dataclass(frozen=True)
class Uninstalled:
    """The end of an uninstall. ``found`` is False when there was nothing to remove.

    ``leftovers`` exist still, on purpose: the namespace, definitions (CRDs), claimed volumes of
    StatefulSets, and what a chart says to keep.
    """

    found: bool
    leftovers: tuple[ObjectRef, ...] = ()
