"""Deploy one unit: intent, plan, recovery, marks, apply, record."""

from __future__ import annotations

from typing import Any

from mlstacks_dagster.engines.terraform import OutputValue, PlanResult
from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.errors import MarksError, RefusedError
from mlstacks_dagster.ledger.records import Operation, UnitRecord
from mlstacks_dagster.lifecycle.export import write_export
from mlstacks_dagster.lifecycle.inputs import hard_requirements
from mlstacks_dagster.lifecycle.models import DeployOutcome, ResourceRow
from mlstacks_dagster.lifecycle.operations import operation, prepare
from mlstacks_dagster.lifecycle.recover import recover
from mlstacks_dagster.lifecycle.session import Session
from mlstacks_dagster.sweep.marks import missing_marks

__all__ = ["deploy"]


def deploy(session: Session) -> DeployOutcome:
    """Bring the unit to what its inputs say; do nothing when it is there already.

    Raises :class:`RefusedError` when a required unit isn't deployed, and what the tools raise.
    """
    _check_requirements(session)
    record = session.record()
    if record is not None and _is_current(session, record):
        session.report.milestone(f"{session.unit.name}: no change, nothing applied")
        session.ended("unchanged")
        return _unchanged(session, record)
    with operation(session, "deploy", session.input_hash) as current:
        workspace = prepare(session)
        plan, imports = _planned(session, workspace, current.record)
        if plan.has_changes:
            session.phase("apply")
            session.engine.apply(workspace, plan, on_event=session.on_event)
        outputs = session.engine.outputs(workspace)
        resources = session.rows(workspace)
        current.succeed(
            summary={
                "add": plan.add,
                "change": plan.change,
                "destroy": plan.destroy,
                "seconds": round(session.elapsed(), 3),
                "tool_seconds": round(session.engine.seconds, 3),
            },
            outputs={k: v.value for k, v in outputs.items() if not v.sensitive},
            resources=resources,
            module_digest=session.digest,
        )
    write_export(session.settings, session.plan, session.stack, session.ledger)
    session.ended("done" if plan.has_changes else "unchanged")
    return _applied(session, plan, tuple(imports), outputs, resources)


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
    state = session.state_path()
    return record.input_hash == session.input_hash and (state is None or state.exists())


def _planned(
    session: Session, workspace: Workspace, current: Operation
) -> tuple[PlanResult, dict[str, str]]:
    session.phase("plan")
    plan = session.engine.plan(workspace, on_event=session.on_event)
    plan, imports = recover(session, workspace, plan, current)
    lacking = missing_marks(plan.changes, session.marks)
    if lacking:
        raise MarksError(
            f"{session.unit.name}: the plan makes resources without ownership marks:"
            f" {', '.join(lacking)}",
            remedy=f"give the provider in {session.unit.definition.path} default_tags = var.tags",
        )
    session.report.milestone(
        f"{session.unit.name}: plan: {plan.add} to add, {plan.change} to change,"
        f" {plan.destroy} to destroy"
    )
    return plan, imports


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
        state=_describe_state(session.backend),
    )


def _applied(
    session: Session,
    plan: PlanResult,
    recovered: tuple[str, ...],
    outputs: dict[str, OutputValue],
    resources: tuple[ResourceRow, ...],
) -> DeployOutcome:
    return DeployOutcome(
        stack_id=session.stack.stack_id,
        target=session.stack.target,
        action="applied" if plan.has_changes else "unchanged",
        add=plan.add,
        change=plan.change,
        destroy=plan.destroy,
        recovered=recovered,
        outputs={k: v.value for k, v in outputs.items() if not v.sensitive},
        sensitive=tuple(k for k, v in outputs.items() if v.sensitive),
        resources=resources,
        seconds=session.elapsed(),
        tool_seconds=session.engine.seconds,
        tool=session.engine.tool_name,
        state=_describe_state(session.backend),
    )


def _describe_state(backend: dict[str, Any]) -> str:
    """Return where a state lies, as people write it: a path or a URL."""
    kind, block = next(iter(backend.items()))
    if kind == "local":
        return str(block["path"])
    if kind == "gcs":
        return f"gs://{block['bucket']}/{block['prefix']}"
    return f"s3://{block['bucket']}/{block['key']}"
