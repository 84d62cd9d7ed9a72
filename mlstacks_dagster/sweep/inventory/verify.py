"""Verified teardown: nothing of one stack is left, proven by looking twice.

What is found and proven to be the stack's is deleted by the code that deletes for sweeps;
data is kept and listed unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.sweep.inventory.execute import Approval, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.handlers import Cloud
from mlstacks_dagster.sweep.inventory.model import Coverage
from mlstacks_dagster.sweep.inventory.outcome import EntryOutcome
from mlstacks_dagster.sweep.inventory.plan import PlanEntry, SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.report import Row, entry_row
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy

__all__ = ["TeardownReport", "teardown_policy", "verify_teardown", "with_clusters"]

_ROUNDS = 4
_MAX_COUNT = 2_000

Result = Literal["complete", "left"]


class TeardownReport(BaseModel):
    """What a verified teardown found.

    ``complete``: twice every type and region was listed, and nothing was found but data that
    is kept on purpose (``kept``). ``left`` are the things that remain, with why; ``deleted``
    what this found and deleted; ``unverified`` what could not be listed. ``account`` has the
    provider before it; ``regions`` are those that were looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stack_id: str
    result: Result
    account: str = ""
    regions: tuple[str, ...] = ()
    left: tuple[Row, ...] = ()
    kept: tuple[Row, ...] = ()
    deleted: tuple[Row, ...] = ()
    unverified: tuple[Coverage, ...] = ()
    sweeps: int = 0
    seconds: float = 0.0


def teardown_policy(stack_id: str, *, include_data: bool = False) -> Policy:
    """Return the policy for one stack's teardown: no grace, one sweep, no limit on the share."""
    return Policy(
        grace=0.0,
        data_grace=0.0,
        min_sweeps=1,
        include_data=include_data,
        only_stack=stack_id,
        max_count=_MAX_COUNT,
        max_share=1.0,
    )


def verify_teardown(
    cloud: Cloud,
    know: Callable[[], Knowledge],
    stack_id: str,
    *,
    include_data: bool = False,
    tools: Tools | None = None,
) -> TeardownReport:
    """Sweep for one stack until it is clean twice in a row, deleting what is left of it.

    ``know`` gives the knowledge of the moment, in which the stack is destroyed and not busy;
    it is asked before each look, after which the clusters are looked up in ``cloud``.
    ``tools.objections`` are asked before each deletion. Raises :class:`RefusedError` when
    another delete holds the lock.
    """
    tools = tools or Tools()
    started = tools.clock()
    policy = teardown_policy(stack_id, include_data=include_data)
    deleted: dict[str, EntryOutcome] = {}
    clean = sweeps = 0
    deletes = 0
    while True:
        snapshot = cloud.snapshot(progress=tools.progress)
        knowledge = with_clusters(know(), cloud)
        plan = make_plan(snapshot, cloud.kinds, knowledge, policy, tools.clock())
        sweeps += 1
        found = _found(plan)
        clean = 0 if found or plan.unverified else clean + 1
        if clean >= tools.limits.looks:
            break
        if plan.entries and not plan.refused and deletes < _ROUNDS:
            deletes += 1
            report = delete_plan(cloud, plan, _own_approval(plan, cloud), _once(tools))
            for outcome in report.outcomes:
                if outcome.outcome == "deleted":
                    deleted[str(outcome.entry.ref)] = outcome
            continue
        if sweeps >= _ROUNDS + tools.limits.looks + deletes:
            break
        tools.sleep(tools.limits.between_looks)
    now = tools.clock()
    return TeardownReport(
        stack_id=stack_id,
        account=f"{cloud.scope.provider} {cloud.scope.account}",
        regions=snapshot.scope.regions,
        result="complete" if clean >= tools.limits.looks else "left",
        left=tuple(entry_row(e, now, _why_left(e, plan)) for e in found),
        kept=tuple(entry_row(e, now) for e in plan.others if e.verdict.code == "data"),
        deleted=tuple(entry_row(o.entry, now, "deleted") for o in deleted.values()),
        unverified=plan.unverified,
        sweeps=sweeps,
        seconds=now - started,
    )


def with_clusters(knowledge: Knowledge, cloud: Cloud) -> Knowledge:
    """Return ``knowledge`` with what the cloud says of Kubernetes clusters now."""
    states = {f"{region}/{name}": s for (region, name), s in cloud.running_clusters().items()}
    return knowledge.model_copy(update={"clusters": states})


def _found(plan: SweepPlan) -> tuple[PlanEntry, ...]:
    """Return what a plan found, without data that is kept on purpose."""
    return (*plan.entries, *(e for e in plan.others if e.verdict.code != "data"))


def _why_left(entry: PlanEntry, plan: SweepPlan) -> str:
    if entry.action == "none":
        return f"{entry.verdict.decision}: {entry.verdict.reason}"
    return plan.refused or "it was deleted, but is still listed or couldn't be deleted"


def _own_approval(plan: SweepPlan, cloud: Cloud) -> Approval:
    # The person who confirmed the stack's teardown approved what is proven to be the stack's.
    return Approval(plan.hash, cloud.scope.alias or cloud.scope.account, by="teardown")


def _once(tools: Tools) -> Tools:
    """Return the tools for a delete that isn't verified twice: the sweeps after it do that."""
    return replace(tools, limits=replace(tools.limits, looks=0))
