"""The ledger: our record of what we created, when, by which run, until when.

Every method is one transaction, safe among processes and threads, and returns values of
:mod:`~mlstacks_dagster.ledger.records`. Database trouble is raised as
:class:`~mlstacks_dagster.errors.LedgerError`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger import operations, stacks
from mlstacks_dagster.ledger.database import connect_engine, ledger_errors, migrate, parse_url
from mlstacks_dagster.ledger.models import InstallationRow, StackRow, UnitRow
from mlstacks_dagster.ledger.records import (
    Installation,
    Kind,
    Operation,
    PlannedItem,
    ResourceItem,
    ResourceRecord,
    StackRecord,
    Target,
    UnitRecord,
)
from mlstacks_dagster.ledger.sweep_book import SweepBook

__all__ = ["Ledger"]


class Ledger:
    """An open ledger. Make one with :meth:`open`, close it or use it in a ``with`` block."""

    def __init__(self, engine: Engine, url: URL, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._writer = engine.execution_options(ledger_write=True)
        self._url = url
        self._clock = clock
        self._pid = os.getpid()

    @classmethod
    def open(cls, url: str, clock: Callable[[], float] = time.time) -> Self:
        """Open the ledger at ``url`` (``Settings.ledger_url``), making or migrating it.

        ``clock`` returns Unix seconds. Raises :class:`SettingError` for a URL that can't be
        used, :class:`LedgerError` when the ledger can't be opened or is newer than this program.
        """
        parsed = parse_url(url)
        with ledger_errors(parsed):
            engine = connect_engine(parsed)
            try:
                migrate(engine, int(clock()))
            except BaseException:
                engine.dispose()
                raise
        return cls(engine, parsed, clock)

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._engine.dispose(close=os.getpid() == self._pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The ledger's URL without its password, for messages."""
        return self._url.render_as_string(hide_password=True)

    def installation(self) -> Installation:
        """Return the id of this control plane, made when the ledger was."""
        with self._read() as session:
            row = session.get(InstallationRow, 1)
            if row is None:
                raise LedgerError(
                    f"the ledger {self.url} has lost its installation id",
                    remedy="restore a backup of the ledger",
                )
            return Installation(row.install_id, row.created_at)

    @property
    def sweeps(self) -> SweepBook:
        """What sweeps read and write."""
        return SweepBook(self._read, self._write, self._now)

    # --- stacks

    def register_stack(
        self,
        plan: Plan,
        *,
        target: Target,
        sandbox_id: str | None = None,
        expires_at: int | None,
    ) -> StackRecord:
        """Return the live stack of the plan's name, made if there is none.

        An existing one gets the new plan, options and source. ``sandbox_id`` counts for
        the target ``sandbox`` only; ``expires_at`` is in Unix seconds.

        Raises :class:`RefusedError` when the live stack is in another target, sandbox, provider
        or state location, or when a deployed unit would change its region.
        """
        with self._write() as session:
            row = stacks.register(
                session,
                plan,
                target=target,
                sandbox_id=sandbox_id if target == "sandbox" else None,
                expires_at=expires_at,
                now=self._now(),
            )
            return stacks.stack_record(row)

    def bump_generation(self, stack_id: str, run_id: str) -> int:
        """Count a deploy run, once however often it is told; returns the run's generation."""
        with self._write() as session:
            return stacks.bump_generation(session, stack_id, run_id, self._now())

    def deploy_runs(self, stack_id: str) -> dict[int, str]:
        """Return the id of the run that made each of the stack's generations."""
        with self._read() as session:
            return stacks.deploy_runs(session, stack_id)

    def live_stack(self, name: str) -> StackRecord | None:
        """Return the live stack of that name."""
        with self._read() as session:
            row = stacks.find_live(session, name)
            return None if row is None else stacks.stack_record(row)

    def stack(self, stack_id: str) -> StackRecord | None:
        """Return the stack with that id, live or destroyed."""
        with self._read() as session:
            row = session.get(StackRow, stack_id)
            return None if row is None else stacks.stack_record(row)

    def stacks(self, *, include_destroyed: bool = False) -> list[StackRecord]:
        """Return the stacks, newest first."""
        with self._read() as session:
            rows = stacks.list_stacks(session, include_destroyed=include_destroyed)
            return [stacks.stack_record(row) for row in rows]

    def history(self, name: str) -> list[StackRecord]:
        """Return every stack that ever had that name, newest first."""
        with self._read() as session:
            rows = stacks.list_stacks(session, name=name, include_destroyed=True)
            return [stacks.stack_record(row) for row in rows]

    def destroy_finished(self, stack_id: str) -> bool:
        """Close the stack if all its units are destroyed; returns whether it is closed.

        Its rows stay as a tombstone, so the id is never used again.
        """
        with self._write() as session:
            return stacks.destroy_finished(session, stack_id, self._now())

    def abandon_sandbox(self, sandbox_id: str, reason: str) -> list[StackRecord]:
        """Close the live stacks of a sandbox that is gone: what it emulated went with it."""
        with self._write() as session:
            rows = stacks.abandon_sandbox(session, sandbox_id, reason, self._now())
            return [stacks.stack_record(row) for row in rows]

    # --- units and operations

    def begin(
        self,
        stack_id: str,
        unit: str,
        *,
        engine: str,
        kind: Kind,
        run_id: str,
        input_hash: str | None = None,
        account: str | None = None,
    ) -> Operation:
        """Record that a unit is about to be worked on, before anything is done.

        ``account`` is the cloud account that this happens in; None leaves what is recorded.
        The caller holds the unit's lock. An operation left open by a crash becomes
        ``abandoned``; ``Operation.previous`` is the deploy or destroy before this one. A drift
        check leaves open deploys alone.

        Raises :class:`RefusedError` when the stack is destroyed, :class:`LedgerError` when it
        is unknown, or for a drift check of a unit that was never deployed.
        """
        with self._write() as session:
            operation = operations.begin(
                session,
                stack_id,
                unit,
                engine=engine,
                kind=kind,
                run_id=run_id,
                input_hash=input_hash,
                now=self._now(),
            )
            if account is not None:
                operations.set_account(session, stack_id, unit, account)
            return operation

    def planned(self, operation_id: int, items: Iterable[PlannedItem]) -> None:
        """Record what the operation will create, before it is created.

        Told again for the same address, ``absent_before`` stays true once it was; the ledger
        sets ``began_at`` itself.
        Raises :class:`LedgerError` when the operation is closed.
        """
        with self._write() as session:
            operations.add_planned(session, operation_id, items, self._now())

    def note(self, operation_id: int, facts: Mapping[str, Any]) -> None:
        """Add facts to the summary of an operation while it is at work.

        They stay when the operation is cut off. Raises :class:`LedgerError` when it is closed.
        """
        with self._write() as session:
            operations.note(session, operation_id, facts)

    def planned_items(self, stack_id: str, unit: str) -> dict[str, PlannedItem]:
        """Return, by address, what was to be created since the unit's last clean operation."""
        with self._read() as session:
            return operations.planned_items(session, stack_id, unit)

    def finish(
        self,
        operation_id: int,
        outcome: Literal["ok", "failed", "interrupted"],
        *,
        summary: Mapping[str, Any],
        error: str | None = None,
        outputs: Mapping[str, Any] | None = None,
        resources: Iterable[ResourceItem] | None = None,
        module_digest: str | None = None,
    ) -> UnitRecord:
        """Close an operation and settle its unit, which is returned.

        ``outputs``: the non-sensitive ones of a deploy. ``resources``: all that exist now, also
        after a failure (without it, after a destroy none exist). What is None leaves the record
        alone. ``error`` is cut to 4000 characters and must be redacted by the caller.

        Raises :class:`LedgerError` when the operation is closed already.
        """
        ending = operations.Ending(
            outcome=outcome,
            summary=summary,
            error=error,
            outputs=outputs,
            resources=None if resources is None else tuple(resources),
            module_digest=module_digest,
        )
        with self._write() as session:
            return operations.unit_record(
                operations.finish(session, operation_id, ending, self._now())
            )

    def unclean(self, stack_id: str, unit: str) -> bool:
        """Return whether the last deploy or destroy of the unit is open or didn't end well."""
        with self._read() as session:
            row = operations.last_operation(session, stack_id, unit)
            return row is not None and row.outcome != "ok"

    def last_operation(self, stack_id: str, unit: str) -> Operation | None:
        """Return the unit's last deploy or destroy, open or not."""
        with self._read() as session:
            row = operations.last_operation(session, stack_id, unit)
            return None if row is None else operations.operation_record(row)

    def unit(self, stack_id: str, unit: str) -> UnitRecord | None:
        """Return a unit, None when it was never begun."""
        with self._read() as session:
            row = session.get(UnitRow, (stack_id, unit))
            return None if row is None else operations.unit_record(row)

    def units(self, stack_id: str) -> list[UnitRecord]:
        """Return the stack's units, oldest first, destroyed ones too."""
        with self._read() as session:
            return [operations.unit_record(r) for r in operations.list_units(session, stack_id)]

    def resources(
        self, stack_id: str, unit: str | None = None, *, present_only: bool = True
    ) -> list[ResourceRecord]:
        """Return the resources of a stack or of one unit, by unit and address."""
        with self._read() as session:
            return operations.list_resources(session, stack_id, unit, present_only=present_only)

    def mark_drifted(self, stack_id: str, unit: str, drifted: bool) -> None:
        """Set or clear the unit's drift flag; raises :class:`LedgerError` if it is unknown."""
        with self._write() as session:
            operations.mark_drifted(session, stack_id, unit, drifted)

    # --- inside

    def _now(self) -> int:
        return int(self._clock())

    @contextmanager
    def _read(self) -> Iterator[Session]:
        self._leave_parents_connections()
        with ledger_errors(self._url), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        self._leave_parents_connections()
        with ledger_errors(self._url), Session(self._writer) as session, session.begin():
            yield session

    def _leave_parents_connections(self) -> None:
        if os.getpid() != self._pid:
            self._engine.dispose(close=False)
            self._pid = os.getpid()
