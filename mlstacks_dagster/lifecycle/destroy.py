"""Destroy one unit: brakes, recovery, emptying, destroy, proof."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial

from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.errors import MlstacksError, RefusedError
from mlstacks_dagster.ledger.records import Operation, StackRecord
from mlstacks_dagster.lifecycle.export import write_export
from mlstacks_dagster.lifecycle.inputs import hard_requirements
from mlstacks_dagster.lifecycle.models import DestroyOutcome, ResourceRow
from mlstacks_dagster.lifecycle.operations import operation, prepare
from mlstacks_dagster.lifecycle.recover import take_back
from mlstacks_dagster.lifecycle.session import Session
from mlstacks_dagster.sweep.aws_empty import empty

__all__ = ["destroy", "refuse_protected"]

# The Terraform types behind the things that a unit may ask to have emptied first.
_EMPTIED_TYPES = {"s3_bucket": "aws_s3_bucket", "ecr_repository": "aws_ecr_repository"}


def destroy(session: Session) -> DestroyOutcome:
    """Destroy the unit and what an interrupted run left of it.

    Raises :class:`RefusedError` when the stack is protected or another unit still needs this one.
    """
    record = session.record()
    if record is None or record.status == "destroyed":
        session.ended("unchanged")
        return _never_deployed(session)
    _check_brakes(session)
    unknown = session.ledger.unclean(session.stack.stack_id, session.unit.name)
    state = session.state_path()
    if state is not None and not state.exists():
        unknown = unknown or record.resource_count > 0
    with operation(session, "destroy", record.input_hash or "") as current:
        workspace = prepare(session)
        if unknown:
            _take_back(session, workspace, current.record)
        before = session.rows(workspace)
        _empty(session, before)
        session.phase("plan")
        plan = session.engine.plan(workspace, destroy=True, on_event=session.on_event)
        if plan.has_changes:
            session.phase("destroy")
            session.engine.apply(workspace, plan, on_event=session.on_event)
        left = session.rows(workspace)
        if left:
            names = ", ".join(r.address for r in left)
            raise MlstacksError(
                f"{session.unit.name}: still in the state after destroy: {names}",
                remedy="run the same command again",
            )
        current.succeed(summary={"destroy": len(before)}, outputs={}, resources=())
    closed = _close(session)
    session.ended("done")
    return DestroyOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="destroyed",
        destroyed=len(before),
        resources=before,
        stack_closed=closed,
        seconds=session.elapsed(),
        tool_seconds=session.engine.seconds,
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


def _take_back(session: Session, workspace: Workspace, current: Operation) -> None:
    """Import what is ours and not in the state, so that Terraform destroys it too."""
    session.phase("looking for what exists")
    plan = session.engine.plan(workspace, on_event=session.on_event)
    imports = take_back(session, workspace, plan, current)
    if imports:
        taking = session.engine.plan(
            workspace, imports=imports, only_imports=True, on_event=session.on_event
        )
        session.engine.apply(workspace, taking, on_event=session.on_event)


def _empty(session: Session, resources: tuple[ResourceRow, ...]) -> None:
    context = session.find_context()
    for wanted in session.unit.definition.teardown.empty:
        for row in resources:
            if row.type == _EMPTIED_TYPES[wanted.resource]:
                session.phase(f"emptying {row.id}")
                empty(
                    wanted.resource,
                    row.id,
                    context,
                    on_progress=partial(_say_emptied, session, row.id),
                )


def _say_emptied(session: Session, name: str, done: int) -> None:
    session.report.line(f"emptying {name}: {done} items deleted")


def _close(session: Session) -> bool:
    """Forget the unit's folders; close the stack once all its units are gone."""
    stack_id = session.stack.stack_id
    folders = (
        session.settings.work_dir(stack_id, session.unit.name),
        session.settings.state_dir(stack_id, session.unit.name),
    )
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    write_export(session.settings, session.plan, session.stack, session.ledger)
    closed = session.ledger.destroy_finished(stack_id)
    if closed:
        for folder in folders:
            with suppress(OSError):
                folder.parent.rmdir()
    return closed
