"""A sweep plan: what would be deleted, in which waves, why, for how much; with its hash.

The hash covers what would be done and nothing else, so the same leftovers give the same hash
whenever and however slowly they were listed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.sweep.inventory.claims import missing_coverage
from mlstacks_dagster.sweep.inventory.decide import decide_all, is_data
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Coverage, Item, Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy, Verdict
from mlstacks_dagster.sweep.inventory.waves import waves

__all__ = ["PlanEntry", "SweepPlan", "leftover", "make_plan"]

_IN_ORDER = frozenset({"held", "implicit", "live", "other-stack"})
_FORMAT = 1

Summary = Literal["clean", "leftovers", "unverified"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanEntry(_Model):
    """An item with its verdict. ``wave`` counts from 1; 0: it stays.

    ``wait`` entries are never deleted by us: they go by themselves, and others wait for them.
    """

    item: Item
    verdict: Verdict
    wave: int = 0
    action: Literal["delete", "wait", "none"] = "none"
    data: bool = False
    usd_per_month: float = 0.0

    @property
    def ref(self) -> Ref:
        """The item's reference."""
        return self.item.ref


class SweepPlan(_Model):
    """What a sweep of one account found and would do.

    ``entries`` would go, in this order; ``others`` stay though they are or may be left over.
    ``verdict`` is ``clean`` only when every type and region was listed and nothing was found,
    ``unverified`` when something was not listed or can't be decided. A plan with ``refused``
    is over a limit and is never executed. ``made_at`` is Unix time in seconds.
    """

    format: int = _FORMAT
    install: str
    scope: Scope
    policy: Policy
    made_at: float
    entries: tuple[PlanEntry, ...] = ()
    others: tuple[PlanEntry, ...] = ()
    unverified: tuple[Coverage, ...] = ()
    counts: dict[str, int] = {}
    verdict: Summary = "unverified"
    refused: str = ""
    hash: str = ""

    @property
    def usd_per_month(self) -> float:
        """What the entries cost, as far as prices are known."""
        return round(sum(entry.usd_per_month for entry in self.entries), 2)

    def wave(self, number: int) -> tuple[PlanEntry, ...]:
        """Return the entries of one wave."""
        return tuple(entry for entry in self.entries if entry.wave == number)

    def computed_hash(self) -> str:
        """Return the hash of what the plan would do, as it is now."""
        done: dict[str, Any] = {
            "format": self.format,
            "install": self.install,
            "provider": self.scope.provider,
            "account": self.scope.account,
            "entries": [
                [
                    entry.wave,
                    entry.action,
                    entry.ref.model_dump(),
                    entry.item.fingerprint,
                    entry.verdict.proof,
                    entry.verdict.stack_id,
                ]
                for entry in self.entries
            ],
        }
        text = json.dumps(done, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the plan as canonical JSON: the same plan gives the same text."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SweepPlan:
        """Return a plan that :meth:`to_json` wrote; raises :class:`pydantic.ValidationError`."""
        return cls.model_validate_json(text)


def make_plan(
    snapshot: Snapshot, kinds: Mapping[str, Kind], knowledge: Knowledge, policy: Policy, now: float
) -> SweepPlan:
    """Decide for every item of a snapshot and return the plan.

    ``now`` is Unix time in seconds. With ``policy.only_stack`` what is proven to be of other
    stacks is left out.
    """
    verdicts = decide_all(snapshot, kinds, knowledge, policy, now)
    items = {item.ref: item for item in snapshot.items}
    going = [items[ref] for ref, v in verdicts.items() if v.decision == "orphan"]
    ranks = {name: kind.rank for name, kind in kinds.items()}
    entries = tuple(
        _entry(items[ref], verdicts[ref], kinds, number)
        for number, wave in enumerate(waves(going, ranks), start=1)
        for ref in wave
    )
    others = tuple(
        _entry(items[ref], verdicts[ref], kinds, 0)
        for ref in sorted(verdicts, key=lambda r: (r.type, r.region, r.id))
        if verdicts[ref].decision != "orphan" and leftover(items[ref], verdicts[ref], policy)
    )
    unverified = (*snapshot.unverified, *missing_coverage(snapshot, kinds))
    plan = SweepPlan(
        install=knowledge.install,
        scope=snapshot.scope,
        policy=policy,
        made_at=now,
        entries=entries,
        others=others,
        unverified=tuple(sorted(unverified, key=lambda c: (c.type, c.region))),
        counts=dict(sorted(Counter(v.decision for v in verdicts.values()).items())),
        verdict=_summary(entries, others, unverified),
        refused=_over_limit(verdicts, policy),
    )
    return plan.model_copy(update={"hash": plan.computed_hash()})


def leftover(item: Item, verdict: Verdict, policy: Policy) -> bool:
    """Tell whether something is or may be left over, so that an account with it isn't clean."""
    if verdict.decision == "foreign" or verdict.code in _IN_ORDER:
        return False
    if verdict.decision == "report" and policy.only_stack is not None:
        texts = (verdict.stack_id, item.name, item.facts.get("owner-hint", ""), *item.clusters)
        return any(policy.only_stack in text for text in texts)
    return True


def _entry(item: Item, verdict: Verdict, kinds: Mapping[str, Kind], wave: int) -> PlanEntry:
    kind = kinds.get(item.ref.type)
    action: Literal["delete", "wait", "none"] = "none"
    if wave:
        action = "delete" if kind is not None and kind.deletable else "wait"
    return PlanEntry(
        item=item,
        verdict=verdict,
        wave=wave,
        action=action,
        data=is_data(item, kinds),
        usd_per_month=0.0 if kind is None else round(kind.usd_per_month(item), 2),
    )


def _summary(
    entries: tuple[PlanEntry, ...],
    others: tuple[PlanEntry, ...],
    unverified: tuple[Coverage, ...],
) -> Summary:
    if unverified or any(entry.verdict.decision == "unknown" for entry in others):
        return "unverified"
    return "leftovers" if entries or others else "clean"


def _over_limit(verdicts: Mapping[Ref, Verdict], policy: Policy) -> str:
    """Return why a plan wants too much, or nothing.

    The share is of everything that is provably ours, whether it stays or goes: a sweep that
    takes most of it has rather lost its ledger.
    """
    orphans = sum(v.decision == "orphan" for v in verdicts.values())
    kept = [v for v in verdicts.values() if v.decision == "keep" and v.proof != "T4"]
    ours = orphans + sum(bool(v.stack_id) for v in kept)
    if orphans > policy.max_count:
        return f"it would delete {orphans} things; the limit is {policy.max_count}"
    if orphans > policy.max_share * ours and orphans > policy.share_from:
        return (
            f"it would delete {orphans} of the {ours} things that are ours; "
            f"the limit is {policy.max_share:.0%}"
        )
    return ""
