"""What Dagster's steps call. Each function works on one unit and returns what it did."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.engines.wiring import Target, load_wiring
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.accounts import delete_sweep, sweep_account
from mlstacks_dagster.lifecycle.deploy import deploy
from mlstacks_dagster.lifecycle.destroy import destroy
from mlstacks_dagster.lifecycle.drift import drift
from mlstacks_dagster.lifecycle.due import end_of, refuse_ended
from mlstacks_dagster.lifecycle.models import (
    DeployOutcome,
    DestroyOutcome,
    DriftOutcome,
    Reporter,
    UnitJob,
)
from mlstacks_dagster.lifecycle.session import Session, open_ledger, unit_lock
from mlstacks_dagster.lifecycle.snapshot import read_stacks
from mlstacks_dagster.lifecycle.terraform_session import TerraformSession
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.lifecycle.verifying import verify_stack
from mlstacks_dagster.settings import Settings

__all__ = [
    "delete_sweep",
    "deploy_unit",
    "destroy_unit",
    "drift_unit",
    "live_stack",
    "open_session",
    "read_stacks",
    "register",
    "sweep_account",
    "verify_stack",
]


def deploy_unit(
    job: UnitJob, settings: Settings, report: Reporter, tools: Tools | None = None
) -> DeployOutcome:
    """Deploy one unit; the stack is registered in the ledger first."""
    with open_ledger(settings) as ledger:
        stack = register(job.plan, job.target, ledger, settings)
        ledger.bump_generation(stack.stack_id, job.run_id)
        with unit_lock(settings, stack.stack_id, job, report):
            return deploy(open_session(job, stack, settings, ledger, report, tools))


def destroy_unit(
    job: UnitJob, settings: Settings, report: Reporter, tools: Tools | None = None
) -> DestroyOutcome:
    """Destroy one unit; a unit that was never deployed is a success with nothing done."""
    with open_ledger(settings) as ledger:
        stack = live_stack(job.plan.stack, ledger, settings)
        if stack is None:
            return DestroyOutcome(stack_id=None, target=job.target, action="never_deployed")
        with unit_lock(settings, stack.stack_id, job, report):
            return destroy(open_session(job, stack, settings, ledger, report, tools))


def drift_unit(
    job: UnitJob,
    settings: Settings,
    report: Reporter,
    tools: Tools | None = None,
    *,
    compare: bool = True,
) -> DriftOutcome:
    """Check one unit for drift; changes nothing but the ledger's note.

    Without ``compare`` the unit is only asked for its health and what of it can be reached.
    """
    with open_ledger(settings) as ledger:
        stack = live_stack(job.plan.stack, ledger, settings)
        if stack is None:
            return DriftOutcome(status="not_deployed")
        with unit_lock(settings, stack.stack_id, job, report):
            session = open_session(job, stack, settings, ledger, report, tools)
            return drift(session, compare=compare)


def register(
    plan: Plan,
    target: Target,
    ledger: Ledger,
    settings: Settings,
    now: Callable[[], float] = time.time,
) -> StackRecord:
    """Return the stack's live record, made now if there is none.

    A stack that is deployed stays where it is; ``target`` is for one that isn't. A ``ttl`` counts
    from the stack's creation as the ledger has it, so that every unit and every later deploy
    gives the same end. ``now`` returns Unix seconds. Raises :class:`InputError` when that end
    has come already.
    """
    live = live_stack(plan.stack, ledger, settings)
    refuse_ended(plan, live, now())
    if live is not None:
        target = live.target
    wiring = load_wiring(target, settings.sandbox_dir)
    ends = plan.options.expires_at if live is None else end_of(plan.options, live.created_at)
    stack = ledger.register_stack(
        plan, target=target, sandbox_id=wiring.instance_id, expires_at=ends
    )
    ends = end_of(plan.options, stack.created_at)
    if stack.expires_at == ends:
        return stack
    return ledger.register_stack(
        plan, target=target, sandbox_id=wiring.instance_id, expires_at=ends
    )


def live_stack(name: str, ledger: Ledger, settings: Settings) -> StackRecord | None:
    """Return the deployed stack of that name.

    What lived in a sandbox that has been stopped went with it: such a stack is closed here.
    """
    live = ledger.live_stack(name)
    if live is None or live.target == "cloud":
        return live
    wiring = load_wiring("sandbox", settings.sandbox_dir)
    if live.sandbox_id and live.sandbox_id != wiring.instance_id:
        ledger.abandon_sandbox(live.sandbox_id, "the sandbox was stopped")
        return None
    return live


def open_session(
    job: UnitJob,
    stack: StackRecord,
    settings: Settings,
    ledger: Ledger,
    report: Reporter,
    tools: Tools | None = None,
) -> Session:
    """Return the session of the engine that runs the job's unit."""
    if job.plan.unit(job.unit).definition.engine == "terraform":
        return TerraformSession(job, stack, settings, ledger, report, tools)
    from mlstacks_dagster.lifecycle.helm_session import HelmSession  # noqa: PLC0415 - heavier

    return HelmSession(job, stack, settings, ledger, report, tools)
