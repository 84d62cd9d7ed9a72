"""Verify that a stack's teardown is complete: what Dagster's last cleanup step calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mlstacks_dagster.errors import LeftoversError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.clouds import CloudOpener, open_cloud
from mlstacks_dagster.lifecycle.models import Reporter, VerifyOutcome
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.report import Row, table
from mlstacks_dagster.sweep.inventory.verify import TeardownReport

__all__ = ["verify_stack"]

_SHOWN = 20
_NOTHING = "the stack had nothing in a cloud account, or its sandbox is gone"


def verify_stack(
    stack: str,
    stack_id: str | None,
    settings: Settings,
    report: Reporter,
    *,
    open_cloud: CloudOpener = open_cloud,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> VerifyOutcome:
    """Prove that nothing is left of a destroyed stack, deleting what is left and is its own.

    ``stack_id`` None means the newest of that name that was destroyed. Raises
    :class:`LeftoversError` with the list while something is left or could not be listed,
    :class:`RefusedError` while the stack isn't destroyed, and for credentials of another account.
    """
    with Ledger.open(settings.ledger_url) as ledger:
        record = _record(ledger, stack, stack_id)
        if record is None:
            return VerifyOutcome(action="never_deployed", note="was never deployed")
        report.milestone(f"{stack}: looking for what is left of {record.stack_id}")
        sweeper = Sweeper(
            settings,
            ledger,
            target=record.target,
            open_cloud=open_cloud,
            clock=clock,
            sleep=sleep,
            progress=report.line,
        )
        reports = sweeper.verify(record.stack_id)
    _raise_unless_complete(record, reports)
    return VerifyOutcome(
        action="verified",
        stack_id=record.stack_id,
        reports=reports,
        note="" if reports else _NOTHING,
    )


def _record(ledger: Ledger, stack: str, stack_id: str | None) -> StackRecord | None:
    if stack_id is not None:
        return ledger.stack(stack_id)
    return ledger.live_stack(stack) or next(iter(ledger.history(stack)), None)


def _raise_unless_complete(stack: StackRecord, reports: Sequence[TeardownReport]) -> None:
    lines = []
    for report in reports:
        if report.result != "complete":
            lines += [_line(row) for row in report.left]
            lines += [
                f"{c.type} in {c.region}: {c.status}" + (f" ({c.why})" if c.why else "")
                for c in report.unverified
            ]
    if not lines and all(report.result == "complete" for report in reports):
        return
    more = f"\n  ... and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    listed = "\n  ".join(lines[:_SHOWN])
    raise LeftoversError(
        f"the teardown of stack {stack.name} ({stack.stack_id}) is not complete:\n  {listed}{more}",
        remedy="remove the causes (rights, users of the resources), then run it again: "
        "mlstacks-dagster sweep shows the same later",
        table=table([row for report in reports for row in report.left]),
    )


def _line(row: Row) -> str:
    used = f", used by {row.used_by}" if row.used_by else ""
    age = f", {row.age} old" if row.age else ""
    return f"{row.type} {row.id} in {row.region}: {row.what} ({row.why_ours}{used}{age})"
