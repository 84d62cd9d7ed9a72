"""One unit at work: its stack, its ledger, its tools, its lock.

A session is what deploy, destroy and drift have in common; what runs the unit is in its
subclasses. Heavy rooms (engines, sweep) are made on first use, since a unit that has nothing to
do needs none of them.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.engines.environment import tool_environment, withheld
from mlstacks_dagster.engines.redaction import secret_values
from mlstacks_dagster.engines.tf_events import Event
from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.ledger.records import Operation, StackRecord, UnitRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import inputs, locks
from mlstacks_dagster.lifecycle.models import Endpoint, Progress, Reporter, ResourceRow, UnitJob
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.settings import Settings, process_environment
from mlstacks_dagster.sweep.contracts import FindContext

_COUNTED_PHASES = frozenset({"apply", "destroy"})
Ending = Literal["done", "unchanged", "failed"]

__all__ = ["Applied", "Session", "open_ledger", "unit_lock"]


@dataclass(frozen=True)
class Applied:
    """What bringing a unit up did; ``outputs`` holds no secret, ``sensitive`` names them."""

    add: int = 0
    change: int = 0
    destroy: int = 0
    recovered: tuple[str, ...] = ()
    outputs: dict[str, Any] = field(default_factory=dict)
    sensitive: tuple[str, ...] = ()
    resources: tuple[ResourceRow, ...] = ()
    release: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.add or self.change or self.destroy or self.recovered)


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


class Session(ABC):
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

    @property
    def keeps_data(self) -> bool:
        """Whether users' data must stay: as last deployed, or as the file says now."""
        return self.stack.keeps_data or self.plan.options.data != "delete"

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

    @property
    @abstractmethod
    def digest(self) -> str:
        """The digest of the module or chart."""

    @property
    @abstractmethod
    def input_hash(self) -> str:
        """The hash that decides whether there is anything to do."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is written down what exists, as people write it."""

    @property
    @abstractmethod
    def tool(self) -> str:
        """The tool and its version, for people."""

    @property
    @abstractmethod
    def tool_seconds(self) -> float:
        """What the tool's processes took, in seconds."""

    @abstractmethod
    def is_known(self) -> bool:
        """Tell whether what exists is still written down where it should be."""

    @abstractmethod
    def apply_unit(self, operation: Operation) -> Applied:
        """Bring the unit to what its inputs say."""

    @abstractmethod
    def remove_unit(self, operation: Operation, *, unclean: bool) -> tuple[ResourceRow, ...]:
        """Take the unit down; return what is gone.

        ``unclean``: an earlier run was cut off, more may exist than is written down.
        """

    @abstractmethod
    def differences(self) -> tuple[str, ...] | None:
        """Return how the unit differs from what was applied, None when it doesn't."""

    @abstractmethod
    def data_held(self) -> tuple[str, ...]:
        """Return what of the unit holds users' data that a destroy would delete, for people."""

    def problems(self) -> tuple[str, ...]:
        """Return what isn't healthy; only a release can tell."""
        return ()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return what can be reached from outside of the cluster; only a release has such."""
        return ()

    def forget(self) -> None:
        """Remove the unit's folders."""
        stack_id, unit = self.stack.stack_id, self.unit.name
        for folder in (
            self.settings.work_dir(stack_id, unit),
            self.settings.state_dir(stack_id, unit),
        ):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another unit's is there
                folder.parent.rmdir()

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of the unit's processes and SDK clients; says what it leaves out."""
        own = self._own_environment
        if names := withheld(own, self.wiring):
            self.report.milestone(
                f"{self.unit.name}: not passed on to the tools: {', '.join(sorted(names))}"
                " (the sandbox has an endpoint and credentials of its own)"
            )
        return tool_environment(process_environment(), own, self.wiring)

    @cached_property
    def _own_environment(self) -> dict[str, str]:
        return unseal(self.unit.environment, self.settings)

    def record(self) -> UnitRecord | None:
        """Return the ledger's row of this unit."""
        return self.ledger.unit(self.stack.stack_id, self.unit.name)

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

    def _progress(self, done: int, total: int) -> Progress:
        return Progress(
            unit=self.unit.name,
            phase=self._phase,
            done=done,
            total=total,
            seconds=round(self.elapsed(), 3),
        )

    def output_of(self, unit: str, output: str) -> Any:
        """Return another unit's output, None when it isn't deployed."""
        record = self.ledger.unit(self.stack.stack_id, unit)
        if record is None or record.status == "destroyed":
            return None
        return record.outputs.get(output)

    def secret_words(self) -> tuple[str, ...]:
        """Return what must not be shown: the component's own values, and passed credentials."""
        theirs = self.wiring.environment  # an emulator's keys open nothing
        passed = {n: v for n, v in self.environment.items() if theirs.get(n) != v}
        return tuple(sorted(secret_values(self._own_environment, passed)))
