"""Destroy one unit: brakes, intent, what the unit's engine does, record."""

from __future__ import annotations

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.account_guard import check_account
from mlstacks_dagster.lifecycle.export import write_export
from mlstacks_dagster.lifecycle.inputs import hard_requirements
from mlstacks_dagster.lifecycle.models import DestroyOutcome
from mlstacks_dagster.lifecycle.operations import operation
from mlstacks_dagster.lifecycle.retained import refuse_data
from mlstacks_dagster.lifecycle.session import Session

__all__ = ["destroy", "refuse_protected"]


def destroy(session: Session) -> DestroyOutcome:
    """Destroy the unit and what an interrupted run left of it.

    Raises :class:`RefusedError` when the stack is protected, another unit still needs this one,
    the credentials are of another account, or it holds data that the stack keeps.
    """
    record = session.record()
    if record is None or record.status == "destroyed":
        session.ended("unchanged")
        return _never_deployed(session)
    _check_brakes(session)
    check_account(session)
    if session.keeps_data:
        refuse_data(session, session.data_held())
    unclean = session.ledger.unclean(session.stack.stack_id, session.unit.name) or (
        record.resource_count > 0 and not session.is_known()
    )
    with operation(session, "destroy", record.input_hash or "") as current:
        gone = session.remove_unit(current.record, unclean=unclean)
        current.succeed(summary={"destroy": len(gone)}, outputs={}, resources=())
    closed = _close(session)
    session.ended("done")
    return DestroyOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="destroyed",
        destroyed=len(gone),
        resources=gone,
        stack_closed=closed,
        seconds=session.elapsed(),
        tool_seconds=session.tool_seconds,
    )


def refuse_protected(stack: StackRecord | None) -> None:
    """Raise :class:`RefusedError` when the stack, as it was last deployed, is protected."""
    if stack is not None and stack.protect:
        raise RefusedError(
            f"stack {stack.name} is protected",
            remedy="set `protect: false` in its stack file and deploy it, then destroy it",
        )


def _never_deployed(session: Session) -> DestroyOutcome:
    """Return the outcome of a unit that has nothing to destroy."""
    return DestroyOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="never_deployed",
        stack_closed=_close(session),
        seconds=session.elapsed(),
    )


def _check_brakes(session: Session) -> None:
    refuse_protected(session.stack)
    for other in session.plan.units:
        if session.unit.name not in hard_requirements(session.plan, other):
            continue
        record = session.ledger.unit(session.stack.stack_id, other.name)
        if record is not None and record.status != "destroyed":
            raise RefusedError(
                f"{session.unit.name} is still needed by {other.name}, which is {record.status}",
                remedy=f"destroy {other.name} first, or select it too",
            )


def _close(session: Session) -> bool:
    """Forget the unit's folders; close the stack once all its units are gone."""
    session.forget()
    write_export(session.settings, session.plan, session.stack, session.ledger)
    return session.ledger.destroy_finished(session.stack.stack_id)
