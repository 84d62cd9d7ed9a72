"""Tell whether a unit still is what was applied."""

from __future__ import annotations

from typing import Literal

from mlstacks_dagster.lifecycle.account_guard import check_account
from mlstacks_dagster.lifecycle.models import DriftOutcome
from mlstacks_dagster.lifecycle.session import Session

__all__ = ["drift"]

_Status = Literal["in_sync", "drifted", "not_compared"]
_NOT_COMPARED: _Status = "not_compared"


def drift(session: Session, *, compare: bool = True) -> DriftOutcome:
    """Compare the unit with what was last applied; remember in the ledger when it differs.

    Without ``compare`` only health and exposure are looked at, which is quick.
    A drifted unit is planned again by the next deploy even if its inputs are the same.
    """
    record = session.record()
    if record is None or record.status != "applied":
        return DriftOutcome(status="not_deployed", seconds=session.elapsed())
    status, changes = _comparison(session) if compare else (_NOT_COMPARED, ())
    session.ended("done")
    return DriftOutcome(
        status=status,
        changes=changes,
        problems=session.problems(),
        endpoints=session.endpoints(),
        seconds=session.elapsed(),
    )


def _comparison(session: Session) -> tuple[_Status, tuple[str, ...]]:
    check_account(session)
    changes = session.differences()
    session.ledger.mark_drifted(session.stack.stack_id, session.unit.name, changes is not None)
    return ("in_sync", ()) if changes is None else ("drifted", changes)
