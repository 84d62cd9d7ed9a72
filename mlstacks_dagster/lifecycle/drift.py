"""Tell whether a unit still is what was applied."""

from __future__ import annotations

from mlstacks_dagster.lifecycle.account_guard import check_account
from mlstacks_dagster.lifecycle.models import DriftOutcome
from mlstacks_dagster.lifecycle.session import Session

__all__ = ["drift"]


def drift(session: Session) -> DriftOutcome:
    """Compare the unit with what was last applied; remember in the ledger when it differs.

    A drifted unit is planned again by the next deploy even if its inputs are the same.
    """
    record = session.record()
    if record is None or record.status != "applied":
        return DriftOutcome(status="not_deployed", seconds=session.elapsed())
    check_account(session)
    changes = session.differences()
    session.ledger.mark_drifted(session.stack.stack_id, session.unit.name, changes is not None)
    session.ended("done")
    return DriftOutcome(
        status="in_sync" if changes is None else "drifted",
        changes=changes or (),
        problems=session.problems(),
        endpoints=session.endpoints(),
        seconds=session.elapsed(),
    )
