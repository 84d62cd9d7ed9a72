"""A unit stays in the account that it was deployed to.

With credentials of another account everything of the unit seems to be gone: its state would be
emptied, and the ledger would call it destroyed while it is still on the bill.
"""

from __future__ import annotations

from mlstacks_dagster.errors import MlstacksError, RefusedError, TransientCommandError
from mlstacks_dagster.ledger.records import UnitRecord
from mlstacks_dagster.lifecycle.cluster import cluster_unit
from mlstacks_dagster.lifecycle.session import Session
from mlstacks_dagster.sweep.aws_account import account_of_credentials

__all__ = ["check_account", "deploy_account"]


def check_account(session: Session) -> None:
    """Raise :class:`RefusedError` unless the credentials are of the account of the unit.

    The account of a release is that of the cluster which the stack made. What is not in a cloud,
    and what was deployed before accounts were recorded, is not checked.
    """
    expected = _expected(session)
    if expected is not None and _is_asked(session):
        _compare(session, expected, account_of_credentials(session.find_context()))


def deploy_account(session: Session) -> str | None:
    """Return the account to record for a deploy; raises as :func:`check_account` does.

    None where there is none, or where nobody can tell: then it is up to the tool to fail.
    """
    if session.unit.definition.engine == "helm":
        check_account(session)
        return None
    if session.unit.definition.provider == "gcp":
        return str(session.unit.variables.get("project_id") or "") or None
    if not _is_asked(session):
        return None
    expected = _expected(session)
    try:
        found = account_of_credentials(session.find_context())
    except TransientCommandError:
        raise
    except MlstacksError:
        if expected is not None:
            raise
        return None
    if expected is not None:
        _compare(session, expected, found)
    return found


def _is_asked(session: Session) -> bool:
    """Tell whether the unit lies in an AWS account that isn't emulated."""
    return session.unit.definition.provider == "aws" and session.wiring.target == "cloud"


def _expected(session: Session) -> str | None:
    record = session.record()
    if session.unit.definition.engine == "helm":
        unit = None if session.plan.options.cluster else cluster_unit(session.plan)
        record = session.ledger.unit(session.stack.stack_id, unit.name) if unit else None
    return _account(record)


def _account(record: UnitRecord | None) -> str | None:
    return record.account if record is not None and record.exists else None


def _compare(session: Session, expected: str, found: str) -> None:
    if found != expected:
        raise RefusedError(
            f"{session.unit.name} of stack {session.stack.name} is in the AWS account {expected},"
            f" but the credentials are of {found}; nothing was done",
            remedy=f"use credentials of {expected}; to move the stack, destroy it there first",
        )
