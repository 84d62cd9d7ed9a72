"""Stacks in the ledger: registering, closing, looking up. Functions of an open session."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import LedgerError, RefusedError
from mlstacks_dagster.ledger.models import (
    GenerationRow,
    OperationRow,
    ResourceRow,
    StackRow,
    UnitRow,
)
from mlstacks_dagster.ledger.records import StackRecord, Target
from mlstacks_dagster.spec.models import StateLocation

__all__ = [
    "abandon_sandbox",
    "bump_generation",
    "deploy_runs",
    "destroy_finished",
    "find_live",
    "list_stacks",
    "lock_stack",
    "register",
    "stack_record",
]

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_DESTROY_FIRST = "destroy it first, or choose another name"


def stack_record(row: StackRow) -> StackRecord:
    """Return the row as a value."""
    return StackRecord(
        stack_id=row.stack_id,
        name=row.name,
        provider=row.provider,
        region=row.region,
        target=row.target,  # type: ignore[arg-type]
        sandbox_id=row.sandbox_id,
        status=row.status,  # type: ignore[arg-type]
        generation=row.generation,
        created_at=row.created_at,
        destroyed_at=row.destroyed_at,
        expires_at=row.expires_at,
        protect=row.protect,
        on_failure=row.on_failure,  # type: ignore[arg-type]
        state=StateLocation.model_validate(row.state),
        source=row.source,
        close_reason=row.close_reason,
        plan_json=row.plan,
    )


def lock_stack(session: Session, stack_id: str) -> StackRow:
    """Return the stack's row, locked until the transaction ends.

    Every change to a stack's rows takes this lock first (SQLite locks the whole file instead).
    Raises :class:`LedgerError` for an unknown id.
    """
    row = session.get(StackRow, stack_id, with_for_update=True)
    if row is None:
        raise LedgerError(
            f"the ledger knows no stack with the id {stack_id}",
            remedy="check MLSTACKS_HOME and MLSTACKS_LEDGER_URL",
        )
    return row


def find_live(session: Session, name: str, *, lock: bool = False) -> StackRow | None:
    """Return the live row of that name."""
    query = select(StackRow).where(StackRow.name == name, StackRow.status == "live")
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def list_stacks(
    session: Session, *, name: str | None = None, include_destroyed: bool = False
) -> list[StackRow]:
    """Return stacks, newest first."""
    query = select(StackRow).order_by(StackRow.created_at.desc(), StackRow.stack_id)
    if name is not None:
        query = query.where(StackRow.name == name)
    if not include_destroyed:
        query = query.where(StackRow.status == "live")
    return list(session.scalars(query))


def register(
    session: Session,
    plan: Plan,
    *,
    target: Target,
    sandbox_id: str | None,
    expires_at: int | None,
    now: int,
) -> StackRow:
    """Return the live row of the plan's stack, updated or new; see ``Ledger.register_stack``."""
    _lock_name(session, plan.stack)
    row = find_live(session, plan.stack, lock=True)
    if row is None:
        row = StackRow(
            stack_id=_new_id(session),
            name=plan.stack,
            provider=plan.provider,
            target=target,
            sandbox_id=sandbox_id,
            status="live",
            generation=0,
            created_at=now,
            state=plan.options.state.model_dump(mode="json"),
        )
        session.add(row)
    else:
        _check_same_place(row, plan, target, sandbox_id)
        _check_regions(session, row, plan)
    row.region = plan.region
    row.expires_at = expires_at
    row.protect = plan.options.protect
    row.on_failure = plan.options.on_failure
    row.plan = plan.model_dump(mode="json")
    row.source = None if plan.source is None else str(plan.source)
    session.flush()
    return row


def bump_generation(session: Session, stack_id: str, run_id: str, now: int) -> int:
    """Return the generation of this run, making it when the run is new."""
    row = lock_stack(session, stack_id)
    known = session.get(GenerationRow, (stack_id, run_id))
    if known is not None:
        return known.generation
    row.generation += 1
    session.add(
        GenerationRow(stack_id=stack_id, run_id=run_id, generation=row.generation, started_at=now)
    )
    return row.generation


def deploy_runs(session: Session, stack_id: str) -> dict[int, str]:
    """Return the deploy run of each generation."""
    query = select(GenerationRow).where(GenerationRow.stack_id == stack_id)
    return {row.generation: row.run_id for row in session.scalars(query)}


def destroy_finished(session: Session, stack_id: str, now: int) -> bool:
    """Close the stack when every unit is destroyed; returns whether it is closed."""
    row = lock_stack(session, stack_id)
    if row.status == "destroyed":
        return True
    left = select(func.count()).where(UnitRow.stack_id == stack_id, UnitRow.status != "destroyed")
    if session.scalar(left):
        return False
    row.status = "destroyed"
    row.destroyed_at = now
    return True


def abandon_sandbox(session: Session, sandbox_id: str, reason: str, now: int) -> Sequence[StackRow]:
    """Close the live stacks of a sandbox that is gone, with all they had."""
    rows = session.scalars(
        select(StackRow)
        .where(
            StackRow.target == "sandbox",
            StackRow.sandbox_id == sandbox_id,
            StackRow.status == "live",
        )
        .order_by(StackRow.stack_id)
        .with_for_update()
    ).all()
    for row in rows:
        _close_all(session, row.stack_id, reason, now)
        row.status = "destroyed"
        row.destroyed_at = now
        row.close_reason = reason
    return rows


def _close_all(session: Session, stack_id: str, reason: str, now: int) -> None:
    closed: dict[str, Any] = {
        "status": "destroyed",
        "destroyed_at": now,
        "input_hash": None,
        "drifted": False,
        "resource_count": 0,
        "outputs": {},
    }
    session.execute(
        update(UnitRow)
        .where(UnitRow.stack_id == stack_id, UnitRow.status != "destroyed")
        .values(closed)
    )
    session.execute(
        update(ResourceRow)
        .where(ResourceRow.stack_id == stack_id, ResourceRow.gone_at.is_(None))
        .values(gone_at=now)
    )
    session.execute(
        update(OperationRow)
        .where(OperationRow.stack_id == stack_id, OperationRow.finished_at.is_(None))
        .values(finished_at=now, outcome="abandoned", error=reason)
    )


def _check_same_place(row: StackRow, plan: Plan, target: Target, sandbox_id: str | None) -> None:
    name = f"stack {row.name!r}"
    if row.target != target:
        where = "in the sandbox" if row.target == "sandbox" else "in the cloud"
        raise RefusedError(
            f"{name} is deployed {where}, so it can't be deployed to the {target} as well",
            remedy=_DESTROY_FIRST,
        )
    if row.sandbox_id != sandbox_id:
        raise RefusedError(
            f"{name} is deployed in sandbox {row.sandbox_id}, but sandbox {sandbox_id} is running",
            remedy=_DESTROY_FIRST,
        )
    if row.provider != plan.provider:
        raise RefusedError(
            f"{name} is deployed on {row.provider}, but its file now says {plan.provider}",
            remedy=_DESTROY_FIRST,
        )
    recorded = StateLocation.model_validate(row.state)
    if recorded != plan.options.state:
        raise RefusedError(
            f"{name} keeps its state in {_location(recorded)}, "
            f"but its file now says {_location(plan.options.state)}",
            remedy="states can't be moved yet: put the old `state:` back, or " + _DESTROY_FIRST,
        )


def _check_regions(session: Session, row: StackRow, plan: Plan) -> None:
    # Terraform would look in the new region, find nothing, and forget what is in the old one.
    wanted = {unit.name: unit.region for unit in plan.units}
    units = session.scalars(
        select(UnitRow).where(UnitRow.stack_id == row.stack_id, UnitRow.status != "destroyed")
    )
    for unit in units:
        region = (unit.planned or {}).get("region")
        new = wanted.get(unit.unit)
        if region and new and region != new:
            raise RefusedError(
                f"unit {unit.unit} of stack {row.name!r} is deployed in {region}, "
                f"but its file now says {new}",
                remedy=f"destroy {unit.unit} first, or put the region back",
            )


def _location(state: StateLocation) -> str:
    if state.kind == "local":
        return "a folder on this machine"
    scheme = "gs" if state.kind == "gcs" else "s3"
    region = f" ({state.region})" if state.region else ""
    return f"{scheme}://{state.bucket}/{state.prefix}{region}"


def _lock_name(session: Session, name: str) -> None:
    # There may be no row to lock yet. SQLite's writers exclude each other anyway.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('mlstacks stack'), hashtext(:name))"),
            {"name": name},
        )


def _new_id(session: Session) -> str:
    while True:
        stack_id = "s" + "".join(secrets.choice(_BASE32) for _ in range(12))
        if session.get(StackRow, stack_id) is None:
            return stack_id
