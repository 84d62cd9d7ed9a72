"""Deleting what an approved plan names: read again first, in waves, with retries, then verified.

Nothing is deleted that isn't word for word what was approved: an item that changed since is
skipped, and so is everything that it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.sweep.inventory.handlers import Cloud, DeleteOutcome, Progress
from mlstacks_dagster.sweep.inventory.model import Item, Ref, Scope
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport, EntryOutcome, Outcome
from mlstacks_dagster.sweep.inventory.plan import PlanEntry, SweepPlan
from mlstacks_dagster.sweep.inventory.prove import prove_gone
from mlstacks_dagster.sweep.inventory.times import duration
from mlstacks_dagster.sweep.inventory.waves import blockers

__all__ = ["Approval", "Limits", "Objections", "Tools", "check_approval", "delete_plan"]

Objections = Callable[[Sequence[PlanEntry]], Mapping[Ref, str]]
"""Says, for entries whose items were just read again, why one of them must stay after all."""


@dataclass(frozen=True)
class Approval:
    """Who allowed which plan for which account; ``alias`` is typed by that person."""

    plan_hash: str
    alias: str
    by: str = ""


@dataclass(frozen=True)
class Limits:
    """How hard a delete tries. Times are seconds.

    A wave is given up after ``stuck_rounds`` rounds without any progress that took
    ``stuck_after`` or longer. Between rounds it waits ``first_wait``, doubling to ``max_wait``.
    ``looks`` listings, ``between_looks`` apart, must not show what was deleted.
    """

    workers: int = 8
    batch: int = 100
    expires_after: float = 86_400.0
    deadline: float = 5_400.0
    first_wait: float = 2.0
    max_wait: float = 30.0
    stuck_rounds: int = 5
    stuck_after: float = 1_200.0
    looks: int = 2
    between_looks: float = 30.0


def _no_objections(_entries: Sequence[PlanEntry]) -> Mapping[Ref, str]:
    return {}


@dataclass(frozen=True)
class Tools:
    """What a delete works with beside the cloud; tests put their own in."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    objections: Objections = _no_objections
    lock: Callable[[], AbstractContextManager[object]] = nullcontext
    progress: Progress = lambda _line: None
    limits: Limits = field(default_factory=Limits)


def check_approval(
    plan: SweepPlan, approval: Approval, scope: Scope, now: float, limits: Limits | None = None
) -> None:
    """Raise :class:`RefusedError` unless ``approval`` allows this plan in this account now."""
    age = now - plan.made_at
    limit = (limits or Limits()).expires_after
    again = "list again (`sweep`), look at the new plan, and approve that"
    if plan.computed_hash() != plan.hash or approval.plan_hash != plan.hash:
        raise RefusedError("the approval is for another plan", remedy=again)
    if (plan.scope.provider, plan.scope.account) != (scope.provider, scope.account):
        raise RefusedError(
            f"the plan is for {plan.scope.provider} {plan.scope.account}, "
            f"but these credentials are of {scope.provider} {scope.account}",
            remedy="use the credentials of the plan's account",
        )
    if approval.alias != (scope.alias or scope.account):
        raise RefusedError(
            f"the approval names account {approval.alias!r}, not {scope.alias or scope.account!r}",
            remedy="name the account by its alias, or by its id if it has none",
        )
    if plan.refused:
        raise RefusedError(
            f"the plan is over a limit: {plan.refused}",
            remedy="look whether the ledger is the right one; raise the limit only then",
        )
    if not 0 <= age <= limit:
        raise RefusedError(
            f"the plan is {duration(age)} old; an approval holds for {duration(limit)}",
            remedy=again,
        )


def delete_plan(
    cloud: Cloud, plan: SweepPlan, approval: Approval, tools: Tools | None = None
) -> DeleteReport:
    """Delete what ``plan`` names and verify that it is gone; returns what became of each entry.

    Killed anywhere it can be run again: what is gone is fine. ``tools.lock`` is held meanwhile,
    so that no two deletes run at once. Raises :class:`RefusedError` when the approval doesn't
    hold, and whatever the lock raises.
    """
    tools = tools or Tools()
    with tools.lock():
        started = tools.clock()
        check_approval(plan, approval, cloud.scope, started, tools.limits)
        run = _Run(cloud, plan, tools, started)
        with ThreadPoolExecutor(max_workers=tools.limits.workers) as pool:
            for number in sorted({entry.wave for entry in plan.entries}):
                run.wave(plan.wave(number), pool)
        return _report(run, started)


class _Run:
    """One execution: what became of each entry so far."""

    def __init__(self, cloud: Cloud, plan: SweepPlan, tools: Tools, started: float) -> None:
        self.cloud = cloud
        self.plan = plan
        self.tools = tools
        self.deadline = started + tools.limits.deadline
        self.planned = {entry.ref: entry for entry in plan.entries}
        self.blockers = blockers([entry.item for entry in plan.entries])
        self.outcomes: dict[Ref, EntryOutcome] = {}
        self.last_words: dict[Ref, str] = {}

    def wave(self, entries: Sequence[PlanEntry], pool: ThreadPoolExecutor) -> None:
        """Work on one wave until nothing of it waits any more."""
        limits, clock = self.tools.limits, self.tools.clock
        pending = {entry.ref: entry for entry in entries}
        wait, idle, progressed_at = limits.first_wait, 0, clock()
        while pending:
            before = len(pending)
            self._round(pending, pool)
            if not pending:
                return
            if len(pending) < before:
                wait, idle, progressed_at = limits.first_wait, 0, clock()
            else:
                idle += 1
            stuck = idle >= limits.stuck_rounds and clock() - progressed_at >= limits.stuck_after
            if stuck or clock() + wait > self.deadline:
                why = "no progress" if stuck else "the time is over"
                self._give_up(pending, why)
                return
            self.tools.progress(f"{len(pending)} wait: {next(iter(self.last_words.values()), '')}")
            self.tools.sleep(wait)
            wait = min(wait * 2, limits.max_wait)

    def _round(self, pending: dict[Ref, PlanEntry], pool: ThreadPoolExecutor) -> None:
        """Read what waits again, judge it, and ask for the deletion of what may go."""
        fresh = self._read(tuple(pending), pool)
        ready = []
        for ref, entry in list(pending.items()):
            if ref not in fresh:
                continue
            item = fresh[ref]
            if item is None:
                self._settle(pending, ref, "gone")
            elif change := _change(entry.item, item, self.planned):
                self._settle(pending, ref, "changed", change)
            elif lost := self._lost_blockers(ref, item):
                names = tuple(str(r) for r in lost)
                self._settle(pending, ref, "blocked", f"{names[0]} stays", names)
            elif entry.action == "wait":
                self.last_words[ref] = "it goes by itself, and is still there"
            else:
                ready.append(entry.model_copy(update={"item": item}))
        if not ready:
            return
        for ref, why in self.tools.objections(ready).items():
            self._settle(pending, ref, "changed", why)
        ready = [entry for entry in ready if entry.ref in pending]
        for entry, outcome in zip(ready, pool.map(self._delete, ready), strict=True):
            self._take(pending, entry.ref, outcome)

    def _take(self, pending: dict[Ref, PlanEntry], ref: Ref, outcome: DeleteOutcome) -> None:
        if outcome.status == "deleted":
            self.tools.progress(f"deleted {ref}")
            self._settle(pending, ref, "deleted", outcome.why)
        elif outcome.status == "refused":
            self._settle(pending, ref, "refused", outcome.why)
        else:
            self.last_words[ref] = outcome.why

    def _delete(self, entry: PlanEntry) -> DeleteOutcome:
        try:
            return self.cloud.delete(entry.item)
        except Exception as error:  # noqa: BLE001 - one item's trouble must not stop the others
            return DeleteOutcome("retry", f"{type(error).__name__}: {error}")

    def _read(self, refs: tuple[Ref, ...], pool: ThreadPoolExecutor) -> dict[Ref, Item | None]:
        """Return what could be read; what couldn't is tried again in the next round."""
        size = self.tools.limits.batch
        ordered = sorted(refs, key=lambda r: (r.type, r.region, r.id))
        batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
        found: dict[Ref, Item | None] = {}
        for part in pool.map(self._read_batch, batches):
            found.update(part)
        return {ref: item for ref, item in found.items() if ref in self.planned}

    def _read_batch(self, refs: Sequence[Ref]) -> dict[Ref, Item | None]:
        try:
            return self.cloud.read(refs)
        except Exception as error:  # noqa: BLE001 - what can't be read is not deleted
            why = f"it can't be read again: {type(error).__name__}: {error}"
            self.last_words.update(dict.fromkeys(refs, why))
            return {}

    def _lost_blockers(self, ref: Ref, item: Item) -> list[Ref]:
        """Return what holds an item and will stay."""
        users: Iterable[Ref] = {*self.blockers[ref], *item.used_by}
        lost = [u for u in users if u in self.outcomes and not self.outcomes[u].done]
        return sorted(lost, key=str)

    def _give_up(self, pending: dict[Ref, PlanEntry], why: str) -> None:
        for ref in list(pending):
            words = self.last_words.get(ref, "")
            self._settle(pending, ref, "stuck", f"{why}: {words}" if words else why)

    def _settle(
        self,
        pending: dict[Ref, PlanEntry],
        ref: Ref,
        outcome: Outcome,
        why: str = "",
        held_by: tuple[str, ...] = (),
    ) -> None:
        entry = pending.pop(ref, None)
        if entry is None:
            return
        self.last_words.pop(ref, None)
        users = held_by or tuple(str(user) for user in entry.item.used_by)
        self.outcomes[ref] = EntryOutcome(entry=entry, outcome=outcome, why=why, blockers=users)


def _change(planned: Item, fresh: Item, plan: Mapping[Ref, PlanEntry]) -> str:
    """Return what changed since the plan in a way that matters, or nothing.

    Users that are in the plan themselves may have come or gone: they go before it anyway. What
    it needs or is inside of may have gone too; what has come to these makes it another thing.
    """
    if fresh.tags is None:
        return "its tags can't be read any more"
    if fresh.tags != planned.tags:
        return "its tags changed"
    if fresh.created != planned.created:
        return "it is another one of the same name: it was created at another time"
    return _new_ties(planned, fresh, plan)


def _new_ties(planned: Item, fresh: Item, plan: Mapping[Ref, PlanEntry]) -> str:
    news = [str(user) for user in fresh.used_by if user not in plan]
    if news:
        return f"it is in use now, by {', '.join(news[:3])}"
    known = {*planned.inside, *planned.uses}
    ties = [str(ref) for ref in (*fresh.inside, *fresh.uses) if ref not in known]
    if ties:
        return f"it is tied to something else now: {', '.join(ties[:3])}"
    if set(fresh.clusters) - set(planned.clusters):
        return "it names another cluster now"
    return ""


def _report(run: _Run, started: float) -> DeleteReport:
    limits = run.tools.limits
    settled = tuple(run.outcomes[entry.ref] for entry in run.plan.entries)
    proof = prove_gone(
        run.cloud,
        settled,
        looks=limits.looks,
        between=limits.between_looks,
        deadline=run.deadline,
        clock=run.tools.clock,
        sleep=run.tools.sleep,
    )
    return DeleteReport(
        plan_hash=run.plan.hash,
        scope=run.plan.scope,
        outcomes=proof.outcomes,
        unverified=proof.unverified,
        seconds=run.tools.clock() - started,
    )
