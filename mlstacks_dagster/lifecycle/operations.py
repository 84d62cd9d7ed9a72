"""An operation's frame: the intent before, the outcome after, whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from mlstacks_dagster.errors import CommandCancelledError
from mlstacks_dagster.ledger.records import Operation, ResourceItem
from mlstacks_dagster.lifecycle.models import ResourceRow
from mlstacks_dagster.lifecycle.session import Session

__all__ = ["Current", "operation"]


class Current:
    """The operation at work. It is a failure unless :meth:`succeed` was called."""

    def __init__(self, record: Operation) -> None:
        self.record = record
        self.result: dict[str, Any] | None = None

    def succeed(
        self,
        *,
        summary: dict[str, Any],
        outputs: dict[str, Any] | None = None,
        resources: tuple[ResourceRow, ...] = (),
        module_digest: str | None = None,
    ) -> None:
        """Keep what is recorded when the frame closes."""
        self.result = {
            "summary": summary,
            "outputs": outputs,
            "resources": [ResourceItem(r.address, r.type, r.id) for r in resources],
            "module_digest": module_digest,
        }


@contextmanager
def operation(
    session: Session,
    kind: Literal["deploy", "destroy"],
    input_hash: str,
    account: str | None = None,
) -> Iterator[Current]:
    """Record the intent, and the outcome when the frame is left.

    ``account`` is the cloud account in which it is done, None if that isn't known.
    """
    record = session.ledger.begin(
        session.stack.stack_id,
        session.unit.name,
        engine=session.unit.definition.engine,
        kind=kind,
        run_id=session.job.run_id,
        input_hash=input_hash,
        account=account,
    )
    current = Current(record)
    try:
        yield current
    except BaseException as error:
        stopped = isinstance(error, CommandCancelledError) or not isinstance(error, Exception)
        outcome: Literal["interrupted", "failed"] = "interrupted" if stopped else "failed"
        session.ledger.finish(record.id, outcome, summary={}, error=str(error))
        session.ended("failed")
        raise
    if current.result is None:
        raise AssertionError("an operation must end with succeed()")
    session.ledger.finish(record.id, "ok", **current.result)
