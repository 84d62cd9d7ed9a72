"""Take back what an interrupted Terraform made but did not write down.

Terraform records a resource after its cloud call returned; killed in between, the resource
exists and the state doesn't know it. Before a plan with creates is applied, each create is
looked for in the cloud: ours is imported, somebody else's stops the deploy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from mlstacks_dagster.engines.terraform import PlannedChange, PlanResult
from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from mlstacks_dagster.ledger.records import Operation
from mlstacks_dagster.lifecycle.session import Session
from mlstacks_dagster.sweep.find import FindContext, Found, Wanted, find_existing, verdict

__all__ = ["recover"]

# Parents come first: each pass imports what the pass before made findable.
_MAX_PASSES = 8


def recover(
    session: Session, workspace: Workspace, plan: PlanResult, operation: Operation
) -> tuple[PlanResult, tuple[str, ...]]:
    """Import what exists of the plan's creates; return the plan to apply and what was imported.

    Raises :class:`NotOwnedError` when a resource of that name exists and isn't ours.
    """
    imported: list[str] = []
    for _ in range(_MAX_PASSES):
        wanted = _worth_a_look(session, plan, operation)
        found = _find(session, wanted)
        _note_absent(session, operation, wanted, {w.address for w, _ in found})
        if not found:
            return plan, tuple(imported)
        _refuse_foreign(session, operation, found)
        for want, there in found:
            session.report.milestone(
                f"{session.unit.name}: taking back {want.address} ({there.import_id}),"
                " made by an interrupted run"
            )
            session.engine.import_resource(
                workspace, want.address, there.import_id, on_event=session.on_event
            )
            imported.append(want.address)
        plan = session.engine.plan(workspace, on_event=session.on_event)
    raise MlstacksError(
        f"{session.unit.name}: {len(imported)} resources were taken back and the plan still"
        " creates some that exist",
        remedy="run the same command again; if it stays, report this with the log",
    )


def _worth_a_look(session: Session, plan: PlanResult, operation: Operation) -> list[Wanted]:
    """Leave out what can't exist.

    A unit that nothing was ever begun for can only collide by a name that the user chose: all
    other names hold the stack id, which is never reused.
    """
    creates = [c for c in plan.changes if c.actions == ("create",)]
    if operation.previous is None:
        creates = [c for c in creates if not _holds(c, session.stack.stack_id)]
    return [Wanted(address=c.address, type=c.type, after=c.after) for c in creates]


def _holds(change: PlannedChange, stack_id: str) -> bool:
    named = {
        key: change.after.get(key)
        for key in ("name", "bucket", "repository", "function_name", "cluster_name", "role")
        if change.after.get(key)
    }
    return not named or stack_id in json.dumps(named, default=str)


def _find(session: Session, wanted: Iterable[Wanted]) -> list[tuple[Wanted, Found]]:
    wanted = list(wanted)
    if not wanted:
        return []
    session.phase("looking for what exists")
    context = FindContext(
        region=session.unit.region,
        wiring=session.wiring,
        environment=session.environment,
        install=session.install,
        stack_id=session.stack.stack_id,
        unit=session.unit.name,
    )
    return list(find_existing(wanted, context).found)


def _note_absent(
    session: Session, operation: Operation, wanted: list[Wanted], present: set[str]
) -> None:
    session.ledger.planned(
        operation.id,
        [
            {"address": w.address, "type": w.type, "absent_before": w.address not in present}
            for w in wanted
        ],
    )


def _refuse_foreign(
    session: Session, operation: Operation, found: list[tuple[Wanted, Found]]
) -> None:
    planned = session.ledger.planned_items(session.stack.stack_id, session.unit.name)
    for want, there in found:
        item = planned.get(want.address)
        if (
            verdict(
                there,
                want,
                session.marks,
                absent_before=bool(item and item.absent_before and operation.previous is not None),
                began_at=item.began_at if item else None,
            )
            == "foreign"
        ):
            raise NotOwnedError(
                f"{want.type} {there.import_id!r} exists already and isn't"
                f" {session.stack.name}'s (wanted by {want.address})",
                remedy="choose another name for it in the component file, or remove it yourself",
            )
