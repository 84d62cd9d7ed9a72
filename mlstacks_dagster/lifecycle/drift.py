"""Tell whether a unit still is what was applied, by a plan that refreshes."""

from __future__ import annotations

from mlstacks_dagster.lifecycle.models import DriftOutcome
from mlstacks_dagster.lifecycle.operations import prepare
from mlstacks_dagster.lifecycle.session import Session

__all__ = ["drift"]


def drift(session: Session) -> DriftOutcome:
    """Plan the unit as it was last applied; remember in the ledger when it differs.

    A drifted unit is planned again by the next deploy even if its inputs are the same.
    """
    record = session.record()
    if record is None or record.status != "applied":
        return DriftOutcome(status="not_deployed", seconds=session.elapsed())
    workspace = prepare(session)
    session.phase("plan")
    plan = session.engine.drift(workspace, on_event=session.on_event)
    changes = tuple(
        f"{'/'.join(change.actions)} {change.address}"
        for change in plan.changes
        if change.actions not in (("no-op",), ("read",))
    )
    session.ledger.mark_drifted(session.stack.stack_id, session.unit.name, plan.has_changes)
    session.ended("done")
    return DriftOutcome(
        status="drifted" if plan.has_changes else "in_sync",
        changes=changes,
        seconds=session.elapsed(),
    )
