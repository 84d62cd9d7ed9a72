"""What a run works on, fixed in a file, so that its step processes build only that.

The run's process writes the file; each step process reads it instead of loading the whole code
location. It is private (a stack's environment may be in it) and removed with the run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.files import write_private
from mlstacks_dagster.lifecycle.models import StackSnapshot
from mlstacks_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext

__all__ = ["PinnedRun", "pin_path", "pinned_context", "pinned_definitions", "reconstructable"]


class PinnedRun(BaseModel):
    """A run's stacks, settings and lifecycle.

    The ledger's URL may hold a password: unless it is a file's, it is left out, and the step
    process takes it from its environment.
    """

    model_config = ConfigDict(frozen=True)

    snapshot: StackSnapshot
    settings: dict[str, Any]
    lifecycle: str
    actions: tuple[str, ...]

    @classmethod
    def of(cls, snapshot: StackSnapshot, site: Site, actions: Iterable[str]) -> PinnedRun:
        """Pin ``snapshot`` for ``site``, for a run that does ``actions``."""
        settings = dataclasses.asdict(site.settings)
        if not site.settings.ledger_url.startswith("sqlite:"):
            del settings["ledger_url"]
        actions = tuple(sorted(actions))
        return cls(snapshot=snapshot, settings=settings, lifecycle=site.lifecycle, actions=actions)

    def site(self) -> Site:
        """Return the site that was pinned."""
        values = {"ledger_url": "", **self.settings}
        for name in ("home", "stacks_dir", "terraform", "helm", "chart_mirror"):
            values[name] = Path(values[name]) if values[name] else None
        values["catalog_path"] = tuple(Path(p) for p in values["catalog_path"])
        for name in ("extra_regions", "sweep_accounts", "sweep_protected"):
            values[name] = tuple(values[name])
        values["ledger_url"] = values["ledger_url"] or Settings.load().ledger_url
        return Site(Settings(**values), self.lifecycle)

    def write(self, path: Path) -> None:
        """Write the pin to ``path``, readable by its owner only."""
        write_private(path, self.model_dump_json())

    def definitions(self) -> dg.Definitions:
        """Build the definitions of the pinned stacks."""
        return build_defs(self.snapshot, self.site(), self.actions)


def pin_path(settings: Settings, run_id: str) -> Path:
    """Return where the pin of a run lies."""
    return settings.runs_dir / f"{run_id}.pin.json"


@functools.lru_cache(maxsize=1)
def pinned_definitions(path: str) -> dg.Definitions:
    """Return the definitions pinned at ``path``; step processes call this, through Dagster twice.

    A path has a run's id in it, and one run writes it once.
    """
    return PinnedRun.model_validate_json(Path(path).read_bytes()).definitions()


def reconstructable(path: Path, job: str) -> ReconstructableJob:
    """Return Dagster's recipe for a job of :func:`pinned_definitions`, for step processes."""
    function = ModuleCodePointer(__name__, pinned_definitions.__name__)
    pointer = CustomPointer(function, [str(path)], [])
    return ReconstructableJob(ReconstructableRepository(pointer), job)


@contextmanager
def pinned_context(
    plan_context: PlanOrchestrationContext,
    snapshot: StackSnapshot,
    site: Site,
    stacks: Collection[str],
    actions: Collection[str],
) -> Iterator[PlanOrchestrationContext]:
    """Return a context like ``plan_context`` whose steps build the pinned ``stacks`` only.

    A run of the command line is pinned already and stays as it is. The pin is removed at the end.
    """
    path = pin_path(site.settings, plan_context.run_id)
    if path.exists():
        yield plan_context
        return
    kept = tuple(entry for entry in snapshot.stacks if entry.name in stacks)
    PinnedRun.of(snapshot.model_copy(update={"stacks": kept}), site, actions).write(path)
    try:
        whole = plan_context.reconstructable_job
        job = reconstructable(path, whole.job_name).get_subset(
            op_selection=whole.op_selection,
            asset_selection=_within(whole.asset_selection, stacks),
            asset_check_selection=whole.asset_check_selection,
        )
        yield type(plan_context)(
            plan_data=plan_context.plan_data._replace(job=job),
            log_manager=plan_context.log,
            executor=plan_context.executor,
            output_capture=None,
        )
    finally:
        path.unlink(missing_ok=True)


def _within(
    keys: AbstractSet[dg.AssetKey] | None, stacks: Collection[str]
) -> frozenset[dg.AssetKey] | None:
    """Return the keys that belong to ``stacks``: the pinned definitions have no others."""
    if keys is None:
        return None
    return frozenset(key for key in keys if names.stacks_of([key]) <= set(stacks))
