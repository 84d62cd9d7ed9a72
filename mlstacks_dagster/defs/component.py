"""The code location: a component that pins what the stack files and the ledger said.

Dagster hands the pinned state to every run, so that a stack file edited or removed after launch
doesn't change the run. The state is the name of a private file of ours, not the stacks: a stack's
environment may hold secrets, and Dagster would store the state with each run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster.components import DefsStateConfig, DefsStateConfigArgs, ResolvedDefsStateConfig

from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.site import LIFECYCLE, Site
from mlstacks_dagster.files import write_private
from mlstacks_dagster.lifecycle.models import StackSnapshot

__all__ = ["StackFolder", "load_snapshot", "store_snapshot"]

_KEPT_SNAPSHOTS = 500


@dataclass
class StackFolder(dg.StateBackedComponent, dg.Resolvable):
    """All stacks that the settings point at; ``lifecycle`` names who does the work."""

    lifecycle: str = LIFECYCLE
    defs_state: ResolvedDefsStateConfig = field(
        default_factory=DefsStateConfigArgs.legacy_code_server_snapshots
    )

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """How Dagster keeps the state: with the code server, for each of its runs."""
        return DefsStateConfig.from_args(self.defs_state, default_key="StackFolder")

    def write_state_to_path(self, state_path: Path) -> None:
        """Read all stacks; a broken one becomes part of the state, never an error."""
        site = Site.load(self.lifecycle)
        snapshot = site.backend.read_stacks(site.settings)
        state_path.write_text(str(store_snapshot(snapshot, site.settings.home / "snapshots")))

    def build_defs_from_state(
        self, context: dg.ComponentLoadContext, state_path: Path | None
    ) -> dg.Definitions:
        """Build the definitions of the pinned stacks."""
        site = Site.load(self.lifecycle)
        if state_path is None:
            return build_defs(StackSnapshot(), site)
        return build_defs(load_snapshot(Path(state_path.read_text())), site)


def store_snapshot(snapshot: StackSnapshot, folder: Path) -> Path:
    """Write ``snapshot`` to ``folder`` under the name of its content, and return the path."""
    text = snapshot.model_dump_json()
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    if path.exists():
        path.touch()
    else:
        write_private(path, text)
        by_age = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in by_age[_KEPT_SNAPSHOTS:]:
            old.unlink(missing_ok=True)
    return path


def load_snapshot(path: Path) -> StackSnapshot:
    """Read a stored snapshot."""
    return StackSnapshot.model_validate_json(path.read_bytes())
