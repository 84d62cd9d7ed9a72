"""Operations on units: begin, what is to be created, finish. Functions of an open session.

``unclean``, ``previous`` and ``planned_items`` look at deploys and destroys only: a drift check
creates nothing, so it neither makes a unit unclean nor cleans it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mlstacks_dagster.errors import LedgerError, RefusedError
from mlstacks_dagster.ledger.models import OperationRow, ResourceRow, StackRow, UnitRow
from mlstacks_dagster.ledger.records import (
    Kind,
    Operation,
    Outcome,
    PlannedItem,
    ResourceItem,
    ResourceRecord,
    UnitRecord,
)
from mlstacks_dagster.ledger.stacks import lock_stack

__all__ = [
    "Ending",
    "add_planned",
    "begin",
    "finish",
    "last_operation",
    "list_resources",
    "list_units",
    "mark_drifted",
    "note",
    "operation_record",
    "planned_items",
    "set_account",
    "unit_record",
]

_ERROR_LIMIT = 4000
_WRITES = ("deploy", "destroy")


@dataclass(frozen=True)
class Ending:
    """How an operation ended; None leaves what is recorded as it is."""

    outcome: Outcome
    summary: Mapping[str, Any]
    error: str | None = None
    outputs: Mapping[str, Any] | None = None
    resources: tuple[ResourceItem, ...] | None = None
    module_digest: str | None = None


def unit_record(row: UnitRow) -> UnitRecord:
    """Return the row as a value."""
    return UnitRecord(
        stack_id=row.stack_id,
        unit=row.unit,
        engine=row.engine,
        status=row.status,  # type: ignore[arg-type]
        input_hash=row.input_hash,
        module_digest=row.module_digest,
        run_id=row.run_id,
        created_at=row.created_at,
        applied_at=row.applied_at,
        destroyed_at=row.destroyed_at,
        drifted=row.drifted,
        resource_count=row.resource_count,
        outputs=row.outputs,
        account=row.account,
        planned_json=row.planned,
    )


def operation_record(row: OperationRow, previous: Operation | None = None) -> Operation:
    """Return the row as a value."""
    return Operation(
        id=row.id,
        stack_id=row.stack_id,
        unit=row.unit,
        kind=row.kind,  # type: ignore[arg-type]
        run_id=row.run_id,
        input_hash=row.input_hash,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,  # type: ignore[arg-type]
        summary=row.summary,
        error=row.error,
        planned=tuple(PlannedItem(**item) for item in row.planned),
        previous=previous,
    )


def last_operation(session: Session, stack_id: str, unit: str) -> OperationRow | None:
    """Return the unit's last deploy or destroy, open or not."""
    return session.scalars(
        select(OperationRow)
        .where(
            OperationRow.stack_id == stack_id,
            OperationRow.unit == unit,
            OperationRow.kind.in_(_WRITES),
        )
        .order_by(OperationRow.id.desc())
        .limit(1)
    ).one_or_none()


def begin(
    session: Session,
    stack_id: str,
    unit: str,
    *,
    engine: str,
    kind: Kind,
    run_id: str,
    input_hash: str | None,
    now: int,
) -> Operation:
    """Record the intent; see ``Ledger.begin``."""
    stack = lock_stack(session, stack_id)
    if stack.status != "live":
        raise RefusedError(
            f"stack {stack.name!r} ({stack_id}) is destroyed; nothing can be done to {unit}",
            remedy="deploy the stack again: it gets a new id",
        )
    _abandon_open(session, stack_id, unit, kind, now)
    previous = last_operation(session, stack_id, unit)
    _intend(session, stack, unit, engine=engine, kind=kind, run_id=run_id, now=now)
    row = OperationRow(
        stack_id=stack_id,
        unit=unit,
        kind=kind,
        run_id=run_id,
        input_hash=input_hash,
        started_at=now,
        summary={},
        planned=[],
    )
    session.add(row)
    session.flush()
    return operation_record(row, operation_record(previous) if previous else None)


def set_account(session: Session, stack_id: str, unit: str, account: str) -> None:
    """Record the cloud account that a unit lies in."""
    session.get_one(UnitRow, (stack_id, unit)).account = account


def add_planned(
    session: Session, operation_id: int, items: Iterable[PlannedItem], now: int
) -> None:
    """Merge items into an open deploy's; see ``Ledger.planned``."""
    row, unit = _open_operation(session, operation_id)
    new = [asdict(replace(item, began_at=now)) for item in items]
    row.planned = [asdict(item) for item in _merge([row.planned, new]).values()]
    if row.kind == "deploy":
        unit.status = "applying"


def note(session: Session, operation_id: int, facts: Mapping[str, Any]) -> None:
    """Add facts to an open operation's summary; see ``Ledger.note``."""
    row, _ = _open_operation(session, operation_id)
    row.summary = {**row.summary, **facts}


def planned_items(session: Session, stack_id: str, unit: str) -> dict[str, PlannedItem]:
    """Return what deploys since the last clean operation set out to create, by address."""
    rows = session.execute(
        select(OperationRow.outcome, OperationRow.planned)
        .where(
            OperationRow.stack_id == stack_id,
            OperationRow.unit == unit,
            OperationRow.kind.in_(_WRITES),
        )
        .order_by(OperationRow.id.desc())
    )
    unclean: list[list[dict[str, Any]]] = []
    for outcome, planned in rows:
        if outcome == "ok":
            break
        unclean.append(planned)
    return _merge(reversed(unclean))


def finish(session: Session, operation_id: int, ending: Ending, now: int) -> UnitRow:
    """Close the operation and settle its unit; see ``Ledger.finish``."""
    row, unit = _open_operation(session, operation_id)
    row.finished_at = now
    row.outcome = ending.outcome
    row.summary = {**row.summary, **ending.summary}
    row.error = None if ending.error is None else _clip(ending.error)
    destroyed = row.kind == "destroy" and ending.outcome == "ok"
    if ending.resources is not None or destroyed:
        unit.resource_count = _settle_resources(session, unit, ending.resources or (), now)
    if row.kind == "drift":
        return unit
    if ending.outcome != "ok":
        unit.status = "failed"
        return unit
    unit.drifted = False
    if destroyed:
        unit.status, unit.destroyed_at = "destroyed", now
        unit.input_hash, unit.outputs = None, {}
        return unit
    unit.status, unit.applied_at = "applied", now
    unit.input_hash = row.input_hash
    if ending.module_digest is not None:
        unit.module_digest = ending.module_digest
    if ending.outputs is not None:
        unit.outputs = _plain_outputs(ending.outputs)
    return unit


def list_units(session: Session, stack_id: str) -> list[UnitRow]:
    """Return the stack's units, oldest first."""
    query = select(UnitRow).where(UnitRow.stack_id == stack_id)
    return list(session.scalars(query.order_by(UnitRow.created_at, UnitRow.unit)))


def list_resources(
    session: Session, stack_id: str, unit: str | None, *, present_only: bool
) -> list[ResourceRecord]:
    """Return the resources of a stack or of one unit, by unit and address."""
    query = select(ResourceRow).where(ResourceRow.stack_id == stack_id)
    if unit is not None:
        query = query.where(ResourceRow.unit == unit)
    if present_only:
        query = query.where(ResourceRow.gone_at.is_(None))
    rows = session.scalars(query.order_by(ResourceRow.unit, ResourceRow.address))
    return [
        ResourceRecord(
            stack_id=row.stack_id,
            unit=row.unit,
            address=row.address,
            type=row.type,
            resource_id=row.resource_id,
            arn=row.arn,
            created_at=row.created_at,
            gone_at=row.gone_at,
        )
        for row in rows
    ]


def mark_drifted(session: Session, stack_id: str, unit: str, drifted: bool) -> None:
    """Set or clear the unit's drift flag; raises :class:`LedgerError` for an unknown unit."""
    lock_stack(session, stack_id)
    row = session.get(UnitRow, (stack_id, unit))
    if row is None:
        raise LedgerError(f"the ledger knows no unit {unit} of stack {stack_id}")
    row.drifted = drifted


def _abandon_open(session: Session, stack_id: str, unit: str, kind: Kind, now: int) -> None:
    query = update(OperationRow).where(
        OperationRow.stack_id == stack_id,
        OperationRow.unit == unit,
        OperationRow.finished_at.is_(None),
    )
    if kind == "drift":  # reads only: it may run beside a deploy
        query = query.where(OperationRow.kind == "drift")
    session.execute(query.values(finished_at=now, outcome="abandoned"))


def _intend(
    session: Session,
    stack: StackRow,
    name: str,
    *,
    engine: str,
    kind: Kind,
    run_id: str,
    now: int,
) -> None:
    unit = session.get(UnitRow, (stack.stack_id, name))
    if kind == "drift":
        if unit is None:
            raise LedgerError(
                f"unit {name} of stack {stack.name!r} was never deployed, so it can't drift",
                remedy="deploy it first",
            )
        return
    if unit is None:
        unit = UnitRow(stack_id=stack.stack_id, unit=name, status="intended", created_at=now)
        unit.drifted, unit.resource_count, unit.outputs = False, 0, {}
        session.add(unit)
    unit.engine = engine
    unit.run_id = run_id
    if kind == "destroy":
        unit.status = "destroying"
    else:
        unit.planned = _planned_unit(stack, name) or unit.planned
        if unit.status == "destroyed":
            unit.created_at, unit.destroyed_at = now, None
        fresh = unit.status in ("intended", "destroyed")
        unit.status = "intended" if fresh else "applying"
    session.flush()


def _planned_unit(stack: StackRow, name: str) -> dict[str, Any] | None:
    units: list[dict[str, Any]] = stack.plan["units"]
    return next((unit for unit in units if unit["definition"]["name"] == name), None)


def _open_operation(session: Session, operation_id: int) -> tuple[OperationRow, UnitRow]:
    row = session.get(OperationRow, operation_id)
    if row is None:
        raise LedgerError(f"the ledger knows no operation {operation_id}")
    lock_stack(session, row.stack_id)
    session.refresh(row)
    if row.finished_at is not None:
        raise LedgerError(
            f"operation {operation_id} ({row.kind} of {row.unit}, run {row.run_id}) "
            f"is closed already as {row.outcome}",
            remedy="another run has taken the unit over; look at its run",
        )
    unit = session.get_one(UnitRow, (row.stack_id, row.unit))
    return row, unit


def _settle_resources(
    session: Session, unit: UnitRow, present: Iterable[ResourceItem], now: int
) -> int:
    rows = {
        row.address: row
        for row in session.scalars(
            select(ResourceRow).where(
                ResourceRow.stack_id == unit.stack_id, ResourceRow.unit == unit.unit
            )
        )
    }
    items = {item.address: item for item in present}
    for address, item in items.items():
        row = rows.get(address)
        if row is None:
            row = ResourceRow(stack_id=unit.stack_id, unit=unit.unit, address=address)
            session.add(row)
        if row.created_at is None or row.gone_at is not None or row.resource_id != item.resource_id:
            row.created_at = now
        row.type, row.resource_id, row.arn = item.type, item.resource_id, item.arn
        row.gone_at = None
    for address, row in rows.items():
        if address not in items and row.gone_at is None:
            row.gone_at = now
    return len(items)


def _merge(lists: Iterable[list[dict[str, Any]]]) -> dict[str, PlannedItem]:
    # Once seen absent stays so: what is found later can be what we then created.
    merged: dict[str, PlannedItem] = {}
    for planned in lists:
        for values in planned:
            item = PlannedItem(**values)
            earlier = merged.get(item.address)
            if earlier and (earlier.absent_before or not item.absent_before):
                item = replace(earlier, type=item.type)
            merged[item.address] = item
    return merged


def _plain_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    # Terraform's own form of a sensitive output never gets in, whatever the caller does.
    return {
        name: value
        for name, value in outputs.items()
        if not (isinstance(value, Mapping) and value.get("sensitive") is True)
    }


def _clip(error: str) -> str:
    # PostgreSQL refuses NUL, both refuse half characters.
    clean = error.replace("\0", "").encode("utf-8", "replace").decode()
    return clean if len(clean) <= _ERROR_LIMIT else clean[: _ERROR_LIMIT - 1] + "…"
