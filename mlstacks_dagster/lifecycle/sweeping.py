"""Sweeps with the ledger: list an account, delete an approved plan, verify a teardown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.wiring import Target, Wiring, load_wiring
from mlstacks_dagster.errors import InputError, RefusedError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.ledger.sweeps import SweepRecord
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.clouds import AccountSpec, CloudOpener, open_cloud
from mlstacks_dagster.lifecycle.knowledge import cluster_facts, gather, regions_of
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.settings import Settings, process_environment
from mlstacks_dagster.sweep.inventory.claims import make_context
from mlstacks_dagster.sweep.inventory.decide import liveness
from mlstacks_dagster.sweep.inventory.execute import Approval, Limits, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.handlers import Cloud, Progress
from mlstacks_dagster.sweep.inventory.model import Ref, Snapshot
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import PlanEntry, SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.report import as_text, delete_json
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy
from mlstacks_dagster.sweep.inventory.verify import TeardownReport, verify_teardown, with_clusters

__all__ = ["Sweeper", "find_record"]

_HOME_REGION = "us-east-1"
_CLUSTERS_STAY_KNOWN_SECONDS = 30.0
_EMULATED_BETWEEN_LOOKS = 0.2
_LOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Sweeper:
    """What sweeps work with; tests put their own in.

    ``target`` tells whether the accounts are real or the sandbox's.
    """

    settings: Settings
    ledger: Ledger
    target: Target = "cloud"
    open_cloud: CloudOpener = open_cloud
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    progress: Progress = lambda _line: None
    limits: Limits = field(default_factory=Limits)

    def plan(
        self, account: AccountSpec, *, regions: Sequence[str] = (), policy: Policy | None = None
    ) -> SweepPlan:
        """List an account, decide, and write the plan into the ledger; deletes nothing.

        No ``regions`` means all. Raises :class:`~mlstacks_dagster.errors.MlstacksError` when the
        account can't be opened; a list that fails is part of the plan.
        """
        policy = policy or Policy()
        cloud = self._open(account, regions)
        snapshot = cloud.snapshot(progress=self.progress)
        provider, name = snapshot.scope.provider, snapshot.scope.account
        known = with_clusters(gather(self.ledger, provider, name), cloud)
        first = make_plan(snapshot, cloud.kinds, known, policy, self.clock())
        left = [entry.ref for entry in (*first.entries, *first.others)]
        self.ledger.sweeps.saw(
            provider,
            name,
            [(ref.type, ref.region, ref.id) for ref in left],
            [(c.type, c.region) for c in snapshot.coverage if c.status == "listed"],
        )
        known = gather(self.ledger, provider, name).model_copy(update={"clusters": known.clusters})
        plan = make_plan(snapshot, cloud.kinds, known, policy, self.clock())
        self.ledger.sweeps.record_plan(provider, name, plan.hash, plan.verdict, plan.to_json())
        return plan

    def delete(
        self, account: AccountSpec, plan_hash: str, alias: str, *, by: str = ""
    ) -> DeleteReport:
        """Delete what an approved plan names; the outcome is written into the ledger.

        ``alias`` is the account's, typed by whoever approves. Raises :class:`InputError` for a
        plan that isn't known, :class:`RefusedError` when the approval doesn't hold, and
        :class:`StackBusyError` while another delete is at work in the account.
        """
        record = find_record(self.ledger, plan_hash, account.provider)
        plan = SweepPlan.from_json(record.plan)
        cloud = self._open(account, plan.scope.regions)
        approval = Approval(record.plan_hash, alias, by)
        report = delete_plan(cloud, plan, approval, self._tools(cloud))
        text = as_text(delete_json(report, self.clock()))
        self.ledger.sweeps.executed(record.id, by, text)
        return report

    def verify(self, stack_id: str) -> tuple[TeardownReport, ...]:
        """Prove that nothing of a destroyed stack is left, a report for each of its accounts.

        What is left and proven to be its own is deleted; data is kept and listed. A stack
        without anything in a cloud account, and one whose sandbox is gone, gives no report.
        Raises :class:`RefusedError` while the stack isn't destroyed.
        """
        stack = self.ledger.stack(stack_id)
        if stack is None:
            raise InputError(f"the ledger knows no stack {stack_id}")
        if stack.live:
            there = [u.unit for u in self.ledger.units(stack_id) if u.exists]
            raise RefusedError(
                f"stack {stack.name} is not destroyed: {', '.join(there) or 'it is live'}",
                remedy="destroy the whole stack first, then verify",
            )
        wiring = load_wiring(stack.target, self.settings.sandbox_dir)
        if stack.target == "sandbox" and stack.sandbox_id != wiring.instance_id:
            return ()
        reports = {}
        for cloud in self._clouds_of(stack, wiring):
            where = (cloud.scope.provider, cloud.scope.account)
            if where not in reports:
                reports[where] = self._verify(stack, cloud)
        return tuple(reports.values())

    def _verify(self, stack: StackRecord, cloud: Cloud) -> TeardownReport:
        scope = cloud.scope
        tools = self._tools(cloud)
        if stack.target == "sandbox":
            limits = replace(self.limits, between_looks=_EMULATED_BETWEEN_LOOKS)
            tools = replace(tools, limits=limits)
        return verify_teardown(
            cloud,
            lambda: gather(self.ledger, scope.provider, scope.account),
            stack.stack_id,
            tools=tools,
        )

    def _clouds_of(self, stack: StackRecord, wiring: Wiring) -> Iterator[Cloud]:
        """Open every account that the stack's units worked in.

        An emulated account holds nothing but what is deployed into it, so only the stack's own
        regions are looked at there.
        """
        regions = regions_of(stack) if stack.target == "sandbox" else ()
        done = set()
        for unit in stack.plan.units:
            provider = unit.definition.provider
            environment = unseal(unit.environment, self.settings)
            key = (provider, *sorted(environment.items()))
            if provider not in ("aws", "gcp") or key in done:
                continue
            done.add(key)
            account = AccountSpec("aws" if provider == "aws" else "gcp")
            yield self._open(account, regions, environment, stack.region)

    def _open(
        self,
        account: AccountSpec,
        regions: Sequence[str],
        environment: Mapping[str, str] | None = None,
        home_region: str = _HOME_REGION,
    ) -> Cloud:
        wiring = load_wiring(self.target, self.settings.sandbox_dir)
        stacks = self.ledger.stacks(include_destroyed=True)
        facts = cluster_facts(stacks, self.ledger.sweeps.facts(), account.name)
        return self.open_cloud(
            account,
            wiring,
            tool_environment(process_environment(), environment or {}, wiring),
            home_region=home_region,
            regions=regions,
            clusters=[fact for found in facts.values() for fact in found],
        )

    def _tools(self, cloud: Cloud) -> Tools:
        return Tools(
            clock=self.clock,
            sleep=self.sleep,
            objections=_Objections(self, cloud),
            lock=lambda: self._lock(cloud),
            progress=self.progress,
            limits=self.limits,
        )

    def _lock(self, cloud: Cloud) -> AbstractContextManager[None]:
        scope = cloud.scope
        path = self.settings.locks_dir / f"sweep.{scope.provider}.{scope.account}.lock"
        return locks.hold(path, {"pid": str(os.getpid())}, timeout=_LOCK_SECONDS)


def find_record(ledger: Ledger, plan_hash: str, provider: str | None = None) -> SweepRecord:
    """Return the newest plan with that hash; raises :class:`InputError` unless there is one."""
    again = "list again: mlstacks-dagster sweep"
    if len(plan_hash) < 12:
        raise InputError(f"{plan_hash!r} is too short for a plan's hash", remedy=again)
    found = ledger.sweeps.find(plan_hash, provider)
    if not found:
        raise InputError(f"the ledger has no sweep plan {plan_hash}", remedy=again)
    if len(found) > 1:
        where = ", ".join(f"{r.provider} {r.account}" for r in found)
        raise InputError(f"several plans begin with {plan_hash}: {where}", remedy="write it whole")
    return found[0]


class _Objections:
    """Asks ledger and clusters once more, right before things are deleted."""

    def __init__(self, sweeper: Sweeper, cloud: Cloud) -> None:
        self._sweeper, self._cloud = sweeper, cloud
        self._clusters: dict[str, bool | None] = {}
        self._asked_at: float | None = None

    def __call__(self, entries: Sequence[PlanEntry]) -> dict[Ref, str]:
        knowledge = self._knowledge()
        items = tuple(entry.item for entry in entries)
        snapshot = Snapshot(scope=self._cloud.scope, taken_at=self._sweeper.clock(), items=items)
        context = make_context(snapshot, self._cloud.kinds, knowledge)
        found = {}
        for entry in entries:
            verdict = entry.verdict
            reason = liveness(
                entry.item, verdict.stack_id, knowledge, context, verdict.proof or "T1"
            )
            if reason is not None:
                found[entry.ref] = reason[2]
        return found

    def _knowledge(self) -> Knowledge:
        scope = self._cloud.scope
        known = gather(self._sweeper.ledger, scope.provider, scope.account)
        now = self._sweeper.clock()
        if self._asked_at is None or now - self._asked_at > _CLUSTERS_STAY_KNOWN_SECONDS:
            self._clusters = dict(with_clusters(known, self._cloud).clusters)
            self._asked_at = now
        return known.model_copy(update={"clusters": self._clusters})
