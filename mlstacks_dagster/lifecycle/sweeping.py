"""Sweeps with the ledger: list an account, delete an approved plan, verify a teardown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.wiring import Target, Wiring, load_wiring
from mlstacks_dagster.errors import InputError, RefusedError, SandboxError, StateError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.ledger.sweeps import SweepRecord
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.clouds import (
    AccountSpec,
    CloudOpener,
    account_of,
    home_region_of,
    open_cloud,
)
from mlstacks_dagster.lifecycle.knowledge import cluster_facts, gather, regions_of
from mlstacks_dagster.lifecycle.objections import LedgerObjections
from mlstacks_dagster.lifecycle.protected import refuse_protected_account
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.settings import Settings, process_environment
from mlstacks_dagster.sweep.inventory.execute import (
    Approval,
    Limits,
    Tools,
    check_approval,
    delete_plan,
)
from mlstacks_dagster.sweep.inventory.handlers import Cloud, Progress
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.report import as_text, delete_json
from mlstacks_dagster.sweep.inventory.verdict import Policy
from mlstacks_dagster.sweep.inventory.verify import TeardownReport, verify_teardown, with_clusters

__all__ = ["Sweeper", "find_record", "read_plan"]

_EMULATED_BETWEEN_LOOKS = 0.2
_LOCK_SECONDS = 5.0
_AGAIN = "list again: mlstacks-dagster sweep"


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

        No ``regions`` means all, in the sandbox those that stacks there have used; with some,
        what has no region and may be used in others isn't planned. Raises
        :class:`~mlstacks_dagster.errors.MlstacksError` when the account can't be opened; a list
        that fails is part of the plan.
        """
        policy, partial = policy or Policy(), bool(regions)
        if self.target == "sandbox":
            regions = regions or self._sandbox_regions()
        cloud = self._open(account, self._wiring, regions)
        snapshot = cloud.snapshot(progress=self.progress)
        scope = snapshot.scope.model_copy(update={"partial": partial})
        snapshot = snapshot.model_copy(update={"scope": scope})
        provider, name = snapshot.scope.provider, snapshot.scope.account
        known = with_clusters(gather(self.ledger, provider, name), cloud)
        # Other stacks' leftovers are counted too, whichever stack was asked for.
        everything = policy.model_copy(update={"only_stack": None})
        first = make_plan(snapshot, cloud.kinds, known, everything, self.clock())
        self.ledger.sweeps.saw(
            provider,
            name,
            [(e.ref.type, e.ref.region, e.ref.id) for e in (*first.entries, *first.others)],
            [(c.type, c.region) for c in snapshot.coverage if c.status == "listed"],
        )
        known = gather(self.ledger, provider, name).model_copy(update={"clusters": known.clusters})
        plan = make_plan(snapshot, cloud.kinds, known, policy, self.clock())
        self.ledger.sweeps.record_plan(provider, name, plan.hash, plan.verdict, plan.to_json())
        return plan

    def delete(
        self, account: AccountSpec, plan_hash: str, alias: str, *, by: str = ""
    ) -> DeleteReport:
        """Delete what an approved plan names; approval and outcome go into the ledger.

        ``alias`` is the account's, typed by whoever approves. Raises :class:`InputError` for a
        plan that isn't known, :class:`RefusedError` when the approval doesn't hold or the account
        is protected, and :class:`StackBusyError` while another delete is at work in the account.
        """
        record = find_record(self.ledger, plan_hash, account.provider)
        plan = read_plan(record)
        cloud = self._open(account, self._wiring, plan.scope.regions)
        if self.target == "cloud":
            refuse_protected_account(cloud.scope, self.settings.sweep_protected)
        approval = Approval(record.plan_hash, alias, by)
        numbers = []

        @contextmanager
        def lock() -> Iterator[None]:
            with self._lock(cloud.scope):
                check_approval(plan, approval, cloud.scope, self.clock(), self.limits)
                numbers.append(self.ledger.sweeps.approve(record.id, by))
                yield

        report = delete_plan(
            cloud, plan, approval, replace(self._tools(cloud, self.target), lock=lock)
        )
        self.ledger.sweeps.executed(numbers[0], as_text(delete_json(report, self.clock())))
        return report

    def verify(self, stack_id: str) -> tuple[TeardownReport, ...]:
        """Prove that nothing of a destroyed stack is left, a report for each of its accounts.

        What is left and proven to be its own is deleted; data is kept and listed. A stack
        without anything in a cloud account, and one whose sandbox is gone, gives no report.
        Raises :class:`RefusedError` while the stack isn't destroyed, and when the credentials are
        not of the accounts that it was deployed to.
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
        try:
            wiring = load_wiring(stack.target, self.settings.sandbox_dir)
        except SandboxError:
            return ()
        if stack.target == "sandbox" and stack.sandbox_id != wiring.instance_id:
            return ()
        units = self.ledger.units(stack_id)
        expected = {unit.account for unit in units if unit.account is not None}
        reports: dict[str, TeardownReport] = {}
        for cloud in self._clouds_of(stack, wiring):
            account = cloud.scope.account
            if expected and account not in expected:
                raise _elsewhere(stack, expected, account)
            if account not in reports:
                reports[account] = self._verify(stack, cloud)
        if unseen := expected - set(reports):
            raise _elsewhere(stack, unseen, ", ".join(reports) or "none")
        return tuple(reports.values())

    def _verify(self, stack: StackRecord, cloud: Cloud) -> TeardownReport:
        scope = cloud.scope
        return verify_teardown(
            cloud,
            lambda: gather(self.ledger, scope.provider, scope.account),
            stack.stack_id,
            tools=self._tools(cloud, stack.target),
        )

    def _clouds_of(self, stack: StackRecord, wiring: Wiring) -> Iterator[Cloud]:
        """Open every account that the stack's modules worked in.

        An emulated account holds nothing but what is deployed into it, so only the stack's own
        regions are looked at there.
        """
        regions: tuple[str, ...] = ()
        if stack.target == "sandbox":
            regions = regions_of(stack, self.ledger.sweeps.facts())
        done = set()
        for unit in self._units_of(stack):
            account = account_of(unit)
            if account is None:
                continue
            # The sandbox takes no credentials of the stack's.
            environment = {} if regions else self._unsealed(stack, unit)
            key = (account, *sorted(environment.items()))
            if key not in done:
                done.add(key)
                yield self._open(account, wiring, regions, environment, stack.region)

    def _units_of(self, stack: StackRecord) -> Iterator[PlannedUnit]:
        """Yield the units as last deployed, also those that left the stack file since."""
        deployed = [unit.planned for unit in self.ledger.units(stack.stack_id)]
        yield from (unit for unit in deployed if unit is not None)
        known = {unit.name for unit in deployed if unit is not None}
        yield from (unit for unit in stack.plan.units if unit.name not in known)

    def _unsealed(self, stack: StackRecord, unit: PlannedUnit) -> dict[str, str]:
        try:
            return unseal(unit.environment, self.settings)
        except StateError as error:
            raise StateError(
                f"stack {stack.name} had credentials of its own for {unit.name}; they were "
                "forgotten when it was destroyed",
                remedy="look with those credentials: mlstacks-dagster sweep --account PROFILE",
            ) from error

    def _sandbox_regions(self) -> tuple[str, ...]:
        """Return the regions of all stacks of sandboxes: nothing else is in an emulator."""
        facts = self.ledger.sweeps.facts()
        stacks = self.ledger.stacks(include_destroyed=True)
        found = {r for s in stacks if s.target == "sandbox" for r in regions_of(s, facts)}
        return tuple(sorted(found)) or (home_region_of({}),)

    @property
    def _wiring(self) -> Wiring:
        return load_wiring(self.target, self.settings.sandbox_dir)

    def _open(
        self,
        account: AccountSpec,
        wiring: Wiring,
        regions: Sequence[str],
        environment: Mapping[str, str] | None = None,
        home_region: str = "",
    ) -> Cloud:
        stacks = self.ledger.stacks(include_destroyed=True)
        facts = cluster_facts(stacks, self.ledger.sweeps.facts(), account="")
        env = tool_environment(process_environment(), environment or {}, wiring)
        return self.open_cloud(
            account,
            wiring,
            env,
            home_region=home_region or home_region_of(env),
            regions=regions,
            clusters=[fact for found in facts.values() for fact in found],
        )

    def _tools(self, cloud: Cloud, target: Target) -> Tools:
        limits = self.limits
        if target == "sandbox":
            limits = replace(limits, between_looks=_EMULATED_BETWEEN_LOOKS)
        return Tools(
            clock=self.clock,
            sleep=self.sleep,
            objections=LedgerObjections(self.ledger, cloud, self.clock),
            lock=lambda: self._lock(cloud.scope),
            progress=self.progress,
            limits=limits,
        )

    def _lock(self, scope: Scope) -> AbstractContextManager[None]:
        path = self.settings.locks_dir / f"sweep.{scope.provider}.{scope.account}.lock"
        return locks.hold(path, {"pid": str(os.getpid())}, timeout=_LOCK_SECONDS)


def _elsewhere(stack: StackRecord, expected: Collection[str], found: str) -> RefusedError:
    accounts = ", ".join(sorted(expected))
    return RefusedError(
        f"stack {stack.name} was in the account {accounts}; these credentials are of {found}, and"
        " say nothing about it",
        remedy=f"verify it with credentials of {accounts}",
    )


def find_record(ledger: Ledger, plan_hash: str, provider: str | None = None) -> SweepRecord:
    """Return the newest plan with that hash; raises :class:`InputError` unless there is one."""
    if len(plan_hash) < 12:
        raise InputError(f"{plan_hash!r} is too short for a plan's hash", remedy=_AGAIN)
    found = ledger.sweeps.find(plan_hash, provider)
    if not found:
        raise InputError(f"the ledger has no sweep plan {plan_hash}", remedy=_AGAIN)
    if len(found) > 1:
        where = ", ".join(f"{r.provider} {r.account}" for r in found)
        raise InputError(f"several plans begin with {plan_hash}: {where}", remedy="write it whole")
    return found[0]


def read_plan(record: SweepRecord) -> SweepPlan:
    """Return a recorded plan; raises :class:`InputError` when another version wrote it."""
    try:
        return SweepPlan.from_json(record.plan)
    except ValidationError as error:
        raise InputError(
            f"sweep plan {record.plan_hash[:12]} was written by another version",
            remedy=_AGAIN,
        ) from error
