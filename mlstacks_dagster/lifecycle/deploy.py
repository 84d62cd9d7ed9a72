"""Deploy one unit: requirements, intent, what the unit's engine does, record."""

from __future__ import annotations

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.ledger.records import UnitRecord
from mlstacks_dagster.lifecycle.account_guard import deploy_account
from mlstacks_dagster.lifecycle.export import write_export
from mlstacks_dagster.lifecycle.inputs import hard_requirements
from mlstacks_dagster.lifecycle.models import DeployOutcome, ResourceRow
from mlstacks_dagster.lifecycle.operations import operation
from mlstacks_dagster.lifecycle.session import Applied, Session

__all__ = ["deploy"]


def deploy(session: Session) -> DeployOutcome:
    """Bring the unit to what its inputs say; do nothing when it is there already.

    Raises :class:`RefusedError` when a required unit isn't deployed or the credentials are of
    another account, and what the tools raise.
    """
    _check_requirements(session)
    record = session.record()
    if record is not None and _is_current(session, record):
        session.report.milestone(f"{session.unit.name}: no change, nothing applied")
        session.ended("unchanged")
        return _unchanged(session, record)
    account = deploy_account(session)
    with operation(session, "deploy", session.input_hash, account) as current:
        applied = session.apply_unit(current.record)
        current.succeed(
            summary={
                "add": applied.add,
                "change": applied.change,
                "destroy": applied.destroy,
                "seconds": round(session.elapsed(), 3),
                "tool_seconds": round(session.tool_seconds, 3),
            },
            outputs=applied.outputs,
            resources=applied.resources,
            module_digest=session.digest,
        )
    write_export(session.settings, session.plan, session.stack, session.ledger)
    session.ended("done" if applied.changed else "unchanged")
    return _applied(session, applied)


def _check_requirements(session: Session) -> None:
    for name in hard_requirements(session.plan, session.unit):
        record = session.ledger.unit(session.stack.stack_id, name)
        if record is None or record.status != "applied":
            status = "not deployed" if record is None else record.status
            raise RefusedError(
                f"{session.unit.name} needs {name}, which is {status}",
                remedy=f"deploy {name} first, or select it too",
            )


def _is_current(session: Session, record: UnitRecord) -> bool:
    if record.status != "applied" or record.drifted or session.job.replan:
        return False
    return record.input_hash == session.input_hash and session.is_known()


def _unchanged(session: Session, record: UnitRecord) -> DeployOutcome:
    rows = session.ledger.resources(session.stack.stack_id, session.unit.name)
    return DeployOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="unchanged",
        outputs=dict(record.outputs),
        resources=tuple(
            ResourceRow(address=r.address, type=r.type, id=r.resource_id) for r in rows
        ),
        seconds=session.elapsed(),
        state=session.location,
    )


def _applied(session: Session, applied: Applied) -> DeployOutcome:
    return DeployOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="applied" if applied.changed else "unchanged",
        add=applied.add,
        change=applied.change,
        destroy=applied.destroy,
        recovered=applied.recovered,
        outputs=applied.outputs,
        sensitive=applied.sensitive,
        resources=applied.resources,
        release=applied.release,
        seconds=session.elapsed(),
        tool_seconds=session.tool_seconds,
        tool=session.tool,
        state=session.location,
    )
