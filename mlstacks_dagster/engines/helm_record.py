"""What Helm has recorded of a release, asked for in one call instead of three."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from mlstacks_dagster.engines.kube_objects import KnownObject, known_objects

__all__ = ["RECORD_TEMPLATE", "RecordedRelease", "parse_record"]

_MARK = "==== mlstacks-dagster ===="
_NEW_LINE = '{{"\\n"}}'
_FIELDS = (
    ".Version",
    ".Info.Status",
    ".Chart.Metadata.Name",
    ".Chart.Metadata.Version",
    ".Chart.Metadata.AppVersion",
)

RECORD_TEMPLATE = (
    "{{with .Release}}"
    + "".join(f"{{{{{name}}}}}{_NEW_LINE}" for name in _FIELDS)
    + f"{_MARK}{_NEW_LINE}{{{{.Manifest}}}}{_NEW_LINE}{_MARK}{_NEW_LINE}"
    + f"{{{{range .Hooks}}}}---{_NEW_LINE}{{{{.Manifest}}}}{_NEW_LINE}{{{{end}}}}"
    + "{{end}}"
)


@dataclass(frozen=True)
class RecordedRelease:
    """One revision as Helm wrote it down; ``manifest`` and ``hooks`` may hold secrets."""

    revision: int
    status: str
    chart: str
    chart_version: str
    app_version: str
    manifest: str = field(repr=False)
    hooks: str = field(default="", repr=False)

    @property
    def manifest_sha256(self) -> str:
        """The checksum of the manifest's text, in hexadecimal."""
        return hashlib.sha256(self.manifest.strip().encode()).hexdigest()

    def objects(self, namespace: str) -> tuple[KnownObject, ...]:
        """Return the manifest's objects; those that name no namespace get ``namespace``."""
        return known_objects(self.manifest, namespace)

    def hook_objects(self, namespace: str) -> tuple[KnownObject, ...]:
        """Return the hooks' objects, likewise."""
        return known_objects(self.hooks, namespace, hook=True)


def parse_record(text: str) -> RecordedRelease:
    """Read what Helm prints for :data:`RECORD_TEMPLATE`; raises ValueError."""
    head, manifest, hooks = text.split(f"{_MARK}\n", 2)
    version, status, chart, chart_version, app_version = head.splitlines()[:5]
    return RecordedRelease(int(version), status, chart, chart_version, app_version, manifest, hooks)
