"""Take back what an interrupted Terraform made but did not write down.

Terraform records a resource after its cloud call returned; killed in between, the resource
exists and the state doesn't know it. Before a plan with creates is applied, each create is
looked for in the cloud: ours is imported, somebody else's stops the deploy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mlstacks_dagster.engines.terraform import PlannedChange, PlanResult
from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from mlstacks_dagster.ledger.records import Operation, PlannedItem
from mlstacks_dagster.sweep.contracts import FindResult, Found, Wanted
from mlstacks_dagster.sweep.find import verdict, wait_until_settled

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.terraform_session import TerraformSession

__all__ = ["recover", "take_back"]

# Parents come first: planning their import tells their ids, by which their parts are found.
_MAX_PASSES = 8


def recover(
    session: TerraformSession, workspace: Workspace, plan: PlanResult, operation: Operation
) -> tuple[PlanResult, dict[str, str]]:
    """Plan to import what exists of the plan's creates.

    Returns the plan to apply, and the ids of what it imports by address. Applying it takes them
    into the state, creates what is missing and changes what was left half done. What is to be
    created is written down, and whether it was absent. Raises :class:`NotOwnedError` when a
    resource of that name exists and isn't ours.
    """

    def look(plan: PlanResult) -> list[tuple[Wanted, Found]]:
        wanted = _worth_a_look(session, plan, operation)
        result = _find(session, workspace, wanted)
        _note(session, operation, wanted, result)
        for want, there in result.found:
            if not _is_ours(session, operation, want, there):
                raise _not_ours(session, want, there)
        return list(result.found)

    return _plan_imports(session, workspace, plan, look)


def take_back(
    session: TerraformSession, workspace: Workspace, plan: PlanResult, operation: Operation
) -> dict[str, str]:
    """Return the ids, by address, of what exists of the plan's creates and is ours.

    Somebody else's is left where it is: nothing is created here. Raises
    :class:`NotOwnedError` for what may be ours and doesn't say so.
    """
    planned = session.ledger.planned_items(session.stack.stack_id, session.unit.name)

    def look(plan: PlanResult) -> list[tuple[Wanted, Found]]:
        wanted = [_wanted(change) for change in plan.changes if change.is_create]
        ours = []
        for want, there in _find(session, workspace, wanted).found:
            item = planned.get(want.address)
            if _is_ours(session, operation, want, there):
                ours.append((want, there))
            elif there.tags is None or (item is not None and item.absent_before):
                raise _not_ours(session, want, there)
            else:
                session.report.milestone(
                    f"{session.unit.name}: {want.type} {there.import_id!r} isn't"
                    f" {session.stack.name}'s; it is left alone"
                )
        return ours

    return _plan_imports(session, workspace, plan, look)[1]


def _plan_imports(
    session: TerraformSession,
    workspace: Workspace,
    plan: PlanResult,
    look: Callable[[PlanResult], list[tuple[Wanted, Found]]],
) -> tuple[PlanResult, dict[str, str]]:
    """Plan to import what ``look`` finds, and look again, until it finds nothing."""
    imports: dict[str, str] = {}
    for _ in range(_MAX_PASSES):
        found = look(plan)
        if not found:
            return plan, imports
        for want, there in found:
            session.report.milestone(
                f"{session.unit.name}: taking back {want.address} ({there.import_id}),"
                " made by an interrupted run"
            )
            imports[want.address] = there.import_id
        plan = session.engine.plan(workspace, imports=imports, on_event=session.on_event)
    raise MlstacksError(
        f"{session.unit.name}: {len(imports)} resources were taken back and the plan still"
        " creates some that exist",
        remedy="run the same command again; if it stays, report this with the log",
    )


def _worth_a_look(
    session: TerraformSession, plan: PlanResult, operation: Operation
) -> list[Wanted]:
    """Return the creates that may exist already; write down those that can't.

    A unit that nothing was ever begun for can only collide by a name that the user chose: all
    other names hold the stack id, which is never reused.
    """
    creates = [change for change in plan.changes if change.is_create]
    if operation.previous is None:
        impossible = [c for c in creates if _holds(c, session.stack.stack_id)]
        session.ledger.planned(
            operation.id, [PlannedItem(c.address, c.type, absent_before=True) for c in impossible]
        )
        creates = [c for c in creates if c not in impossible]
    return [_wanted(change) for change in creates]


def _holds(change: PlannedChange, stack_id: str) -> bool:
    named = {
        key: change.after.get(key)
        for key in ("name", "bucket", "repository", "function_name", "cluster_name", "role")
        if change.after.get(key)
    }
    return not named or stack_id in json.dumps(named, default=str)


def _find(session: TerraformSession, workspace: Workspace, wanted: list[Wanted]) -> FindResult:
    if not wanted:
        return FindResult()
    session.phase("looking for what exists")
    held = frozenset(r.id for r in session.engine.resources(workspace))
    context = replace(session.find_context(), in_state=held)
    return wait_until_settled(
        wanted,
        context,
        on_progress=session.report.milestone,
        sleep=session.tools.sleep,
        clock=session.tools.clock,
    )


def _note(
    session: TerraformSession, operation: Operation, wanted: list[Wanted], result: FindResult
) -> None:
    """Write down what is about to be created, and what was looked for and absent."""
    absent = {*result.absent, *result.waiting}
    session.ledger.planned(
        operation.id, [PlannedItem(w.address, w.type, w.address in absent) for w in wanted]
    )


def _is_ours(session: TerraformSession, operation: Operation, want: Wanted, there: Found) -> bool:
    planned = session.ledger.planned_items(session.stack.stack_id, session.unit.name)
    item = planned.get(want.address)
    said = verdict(
        there,
        want,
        session.marks,
        absent_before=bool(item and item.absent_before and operation.previous is not None),
        began_at=item.began_at if item else None,
    )
    return said == "ours"


def _not_ours(session: TerraformSession, want: Wanted, there: Found) -> NotOwnedError:
    return NotOwnedError(
        f"{want.type} {there.import_id!r} exists already and isn't"
        f" {session.stack.name}'s (wanted by {want.address})",
        remedy="choose another name for it in the component file, or remove it yourself",
    )


def _wanted(change: PlannedChange) -> Wanted:
    return Wanted(address=change.address, type=change.type, after=change.after)
