"""One unit at work: its stack, its ledger, its tools, its lock.

A session is what deploy, destroy and drift have in common. Heavy rooms (engines, sweep) are
made on first use, since a unit that has nothing to do needs none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.tf_events import Event
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.ledger.records import StackRecord, UnitRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import inputs, locks
from mlstacks_dagster.lifecycle.models import Progress, Reporter, ResourceRow, UnitJob
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.lifecycle.tools import Engine, Tools
from mlstacks_dagster.settings import Settings, process_environment
from mlstacks_dagster.sweep.contracts import FindContext

_COUNTED_PHASES = frozenset({"apply", "destroy"})
Ending = Literal["done", "unchanged", "failed"]

__all__ = ["Session", "open_ledger", "unit_lock"]


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger that the settings name."""
    with Ledger.open(settings.ledger_url) as ledger:
        yield ledger


@contextmanager
def unit_lock(settings: Settings, stack_id: str, job: UnitJob, report: Reporter) -> Iterator[None]:
    """Hold the unit's lock: no two processes work in one work folder."""

    def on_wait(other: dict[str, str]) -> None:
        report.milestone(f"{job.unit}: waiting for run {other.get('run', '?')} to leave this unit")

    who = {"run": job.run_id, "pid": str(os.getpid())}
    path = settings.locks_dir / f"{stack_id}.{job.unit}.lock"
    with locks.hold(path, who, timeout=settings.lock_timeout, on_wait=on_wait):
        yield


class Session:
    """What working on one unit of a deployed stack needs."""

    def __init__(
        self,
        job: UnitJob,
        stack: StackRecord,
        settings: Settings,
        ledger: Ledger,
        report: Reporter,
        tools: Tools | None = None,
    ) -> None:
        self.job = job
        self.stack = stack
        self.settings = settings
        self.ledger = ledger
        self.report = report
        self.tools = tools or Tools()
        self.started = self.tools.clock()
        self._phase = "starting"

    @property
    def plan(self) -> Plan:
        """The resolved stack."""
        return self.job.plan

    @cached_property
    def unit(self) -> PlannedUnit:
        """The planned unit."""
        return self.plan.unit(self.job.unit)

    @cached_property
    def install(self) -> str:
        """The installation's id, part of the ownership marks."""
        return self.ledger.installation().install_id

    @cached_property
    def wiring(self) -> Wiring:
        """How the tools reach the cloud; raises SandboxError when the sandbox is down."""
        return load_wiring(self.stack.target, self.settings.sandbox_dir)

    @cached_property
    def marks(self) -> dict[str, str]:
        """The ownership marks of this unit."""
        return inputs.tags_and_marks(self.unit, self.stack, self.install)[1]

    @cached_property
    def variables(self) -> dict[str, Any]:
        """The module's input values, bound outputs of other units included."""
        return inputs.variables(self.unit, self.stack, self.install, self._output_of)

    @cached_property
    def backend(self) -> dict[str, Any]:
        """Terraform's backend block."""
        return inputs.backend(self.settings, self.stack, self.unit, self.wiring)

    @cached_property
    def digest(self) -> str:
        """The module's digest."""
        return inputs.module_digest(self.unit.definition.path)

    @cached_property
    def input_hash(self) -> str:
        """The hash that decides whether there is anything to do."""
        return inputs.input_hash(self.digest, self.variables, self.backend, self.unit, self.wiring)

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of the unit's processes and SDK clients."""
        own = unseal(self.unit.environment, self.settings)
        return tool_environment(process_environment(), own, self.wiring)

    @cached_property
    def engine(self) -> Engine:
        """The engine, with its tool found."""
        return self.tools.engine(self.settings)

    def record(self) -> UnitRecord | None:
        """Return the ledger's row of this unit."""
        return self.ledger.unit(self.stack.stack_id, self.unit.name)

    def state_path(self) -> Path | None:
        """Return the local state file; None when the state is in a bucket."""
        local = self.backend.get("local")
        return Path(local["path"]) if local else None

    def stage(self) -> Workspace:
        """Stage the module's private copy."""
        return self.engine.stage(
            UnitRequest(
                unit=self.unit.name,
                module=self.unit.definition.path,
                work_dir=self.settings.work_dir(self.stack.stack_id, self.unit.name),
                backend=self.backend,
                variables=self.variables,
                wiring=self.wiring,
                environment=self.environment,
                redactor=Redactor(self._secrets()),
            ),
            on_event=self.on_event,
        )

    def phase(self, name: str) -> None:
        """Enter a phase and report it."""
        self._phase = name
        self.report.progress(self._progress(0, 0))

    def on_event(self, event: Event) -> None:
        """Pass an event of the tool on to the reporter."""
        if event.kind == "progress" and self._phase in _COUNTED_PHASES:
            self.report.progress(self._progress(event.done, event.total))
        self.report.line(event.text)
        if event.kind in ("milestone", "error"):
            self.report.milestone(f"{self.unit.name}: {event.text}")

    def ended(self, state: Ending) -> None:
        """Report how the unit ended: ``done``, ``unchanged`` or ``failed``."""
        progress = self._progress(0, 0)
        self.report.progress(progress.model_copy(update={"state": state}))

    def elapsed(self) -> float:
        """Return the seconds since the session began."""
        return self.tools.clock() - self.started

    def find_context(self) -> FindContext:
        """Return where the finders and emptiers look, and for whom."""
        return FindContext(
            region=self.unit.region,
            wiring=self.wiring,
            environment=self.environment,
            install=self.install,
            stack_id=self.stack.stack_id,
            unit=self.unit.name,
            client_factory=self.tools.client,
        )

    def rows(self, workspace: Workspace) -> tuple[ResourceRow, ...]:
        """Return the resources in the unit's state."""
        return tuple(
            ResourceRow(address=r.address, type=r.type, id=r.id)
            for r in self.engine.resources(workspace)
        )

    def _progress(self, done: int, total: int) -> Progress:
        return Progress(
            unit=self.unit.name,
            phase=self._phase,
            done=done,
            total=total,
            seconds=round(self.elapsed(), 3),
        )

    def _output_of(self, unit: str, output: str) -> Any:
        record = self.ledger.unit(self.stack.stack_id, unit)
        if record is None or record.status == "destroyed":
            return None
        return record.outputs.get(output)

    def _secrets(self) -> tuple[str, ...]:
        env = self.environment
        words = ("SECRET", "TOKEN", "PASSWORD", "KEY")
        return tuple(
            value
            for name, value in env.items()
            if any(w in name.upper() for w in words) and len(value) > 4
        )
