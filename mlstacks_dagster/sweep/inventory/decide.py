"""Whether a thing may be deleted: three-valued, failing closed. Pure functions.

:func:`decide` judges one item by itself, :func:`decide_all` a whole snapshot, where something
that is used by anything outside the plan stays. Every rule can only keep: an item is an orphan
when all of them have let it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from mlstacks_dagster.sweep.inventory.claims import (
    Claim,
    Context,
    claim_of,
    cluster_state,
    clusters_gone,
    make_context,
)
from mlstacks_dagster.sweep.inventory.data import RETAINED, data_classes, is_data
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref, Snapshot
from mlstacks_dagster.sweep.inventory.times import duration, moment
from mlstacks_dagster.sweep.inventory.verdict import (
    Code,
    Knowledge,
    Policy,
    StackFact,
    Verdict,
)
from mlstacks_dagster.sweep.marks import PROTECT

__all__ = ["decide", "decide_all", "is_data", "item_key", "liveness"]

_CLUSTER_PARTS = frozenset({"addon", "cluster", "fargate-profile", "node-pool", "nodegroup"})


class _Case:
    """One item with everything its rules look at, and the evidence they find."""

    def __init__(
        self,
        item: Item,
        claim: Claim,
        knowledge: Knowledge,
        policy: Policy,
        now: float,
        context: Context,
    ) -> None:
        self.item = item
        self.claim = claim
        self.knowledge = knowledge
        self.policy = policy
        self.now = now
        self.context = context
        self.stack: StackFact = knowledge.stacks[claim.stack_id]
        self.evidence = list(claim.evidence)
        self.data = is_data(item, context.kinds)

    def verdict(
        self,
        decision: Literal["orphan", "keep", "unknown", "report", "foreign"],
        reason: str,
        code: Code = "",
    ) -> Verdict:
        return Verdict(
            decision=decision,
            proof=self.claim.proof,
            stack_id=self.claim.stack_id,
            reason=reason,
            evidence=tuple(self.evidence),
            code=code,
        )


def decide(
    item: Item, knowledge: Knowledge, policy: Policy, now: float, context: Context
) -> Verdict:
    """Return what follows for one item, before it is known what else will go.

    ``now`` is Unix time in seconds, ``context`` comes from
    :func:`~mlstacks_dagster.sweep.inventory.claims.make_context` with the same knowledge.
    """
    claim = claim_of(item, knowledge, context)
    if _is_held(item, knowledge):
        held = "a Terraform state of ours holds it"
        whose = claim.stack_id if claim.whose == "ours" else ""
        return Verdict(decision="keep", code="held", stack_id=whose, reason=held)
    if item.facts.get("implicit") == "true":
        return Verdict(decision="keep", code="implicit", reason="it goes with what contains it")
    hinted = knowledge.stacks.get(claim.stack_id)
    if claim.whose == "report" and hinted is not None and hinted.live:
        reason = f"perhaps of stack {hinted.name}, which is live"
        return Verdict(
            decision="keep", proof="T4", stack_id=hinted.stack_id, code="live", reason=reason
        )
    if claim.whose != "ours":
        return Verdict(
            decision=claim.whose,
            proof=claim.proof,
            stack_id=claim.stack_id,
            reason=claim.reason,
            evidence=claim.evidence,
        )
    case = _Case(item, claim, knowledge, policy, now, context)
    for rule in _RULES:
        verdict = rule(case)
        if verdict is not None:
            return verdict
    return case.verdict("orphan", f"left over from stack {case.stack.name}, which is destroyed")


def decide_all(
    snapshot: Snapshot, kinds: Mapping[str, Kind], knowledge: Knowledge, policy: Policy, now: float
) -> dict[Ref, Verdict]:
    """Return the verdict for every item of a snapshot.

    What anything outside the plan uses, needs or is inside of is kept as ``blocked``, and so is
    what is proven by its container alone while that stays: somebody else may live in there.
    """
    context = make_context(snapshot, kinds, knowledge)
    verdicts = {
        ref: decide(item, knowledge, policy, now, context) for ref, item in context.items.items()
    }
    going = {ref for ref, verdict in verdicts.items() if verdict.decision == "orphan"}
    needs: dict[Ref, list[Ref]] = {}
    blocked = []
    for ref in going:
        first = _goes_only_with(ref, verdicts[ref], context)
        for other in first:
            needs.setdefault(other, []).append(ref)
        blocked += [(ref, other) for other in first if other not in going]
    while blocked:
        ref, _other = blocked.pop()
        if ref in going:
            going.discard(ref)
            verdicts[ref] = _blocked(ref, verdicts[ref], context, going)
            blocked += [(other, ref) for other in needs.get(ref, ())]
    return verdicts


def _goes_only_with(ref: Ref, verdict: Verdict, context: Context) -> tuple[Ref, ...]:
    """Return what must be in the plan as well for an orphan to be."""
    inside = context.items[ref].inside if verdict.proof == "T3" else ()
    return (*context.users.get(ref, ()), *inside)


def liveness(
    item: Item, claim_stack: str, knowledge: Knowledge, context: Context, proof: str = "T1"
) -> tuple[Literal["keep", "unknown"], Code, str] | None:
    """Return why an item of a stack is in use as far as ledger and clusters say, or None.

    Deleting asks this once more, with knowledge of that moment.
    """
    stack = knowledge.stacks.get(claim_stack)
    if stack is None:
        return "unknown", "", f"the ledger doesn't know stack {claim_stack}"
    if stack.protect or _protects(item):
        return "keep", "protect", "it is protected"
    if _is_held(item, knowledge):
        return "keep", "held", "a Terraform state of ours holds it"
    if stack.live or stack.busy:
        doing = "is live" if stack.live else "is being worked on"
        return "keep", "live", f"its stack {stack.name} {doing}"
    return _running(item, stack, knowledge, context, proof)


def item_key(ref: Ref) -> str:
    """Return a reference as one text: ``type|region|id``."""
    return f"{ref.type}|{ref.region}|{ref.id}"


def _is_held(item: Item, knowledge: Knowledge) -> bool:
    names = (item.ref.id, item_key(item.ref), item.facts.get("arn", ""))
    return any(name in knowledge.held for name in names if name)


def _protects(item: Item) -> bool:
    return (item.tags or {}).get(PROTECT, "false") != "false"


def _running(
    item: Item, stack: StackFact, knowledge: Knowledge, context: Context, proof: str
) -> tuple[Literal["keep", "unknown"], Code, str] | None:
    """Return why an item is in use by a Kubernetes cluster, or why that isn't known."""
    ours = {
        (fact.region, fact.name) for fact in stack.clusters if fact.account == context.scope.account
    }
    known = {name for _, name in ours}
    named = {(item.ref.region, name) for name in item.clusters if name not in known}
    shared = [name for _, name in named if stack.stack_id not in name]
    if shared:
        return "keep", "shared", f"it also names cluster {shared[0]}, which isn't its stack's"
    part = proof == "T1" and item.ref.type.rpartition(":")[2] in _CLUSTER_PARTS
    for region, name in sorted(ours | named):
        state = cluster_state(knowledge, context.scope, region, name)
        if state is None:
            return "unknown", "", f"whether cluster {name} in {region} still runs isn't known"
        if state and not part:
            return "keep", "cluster-runs", f"cluster {name} in {region} still runs"
    return None


def _rule_liveness(case: _Case) -> Verdict | None:
    found = liveness(case.item, case.claim.stack_id, case.knowledge, case.context, case.claim.proof)
    if found is not None:
        decision, code, reason = found
        if case.stack.live and code in ("live", "protect"):
            return _of_live_stack(case, reason)
        return case.verdict(decision, reason, code)
    case.evidence.append(f"stack {case.stack.name} is destroyed, no cluster of it runs")
    return None


def _of_live_stack(case: _Case, reason: str) -> Verdict:
    """Show what a cluster left that is gone behind our back; all else is in order."""
    scope = case.context.scope
    if case.stack.busy or not clusters_gone(case.item, case.stack, case.knowledge, scope):
        return case.verdict("keep", reason, "live")
    reason = "its cluster is gone though its stack is live: destroy the stack, or deploy it again"
    return case.verdict("report", reason)


def _rule_one_stack(case: _Case) -> Verdict | None:
    wanted = case.policy.only_stack
    if wanted is None or case.claim.stack_id == wanted:
        return None
    return case.verdict("keep", "it is of another stack than the one asked for", "other-stack")


def _rule_container(case: _Case) -> Verdict | None:
    """Structural proof holds only for what nobody makes by hand, and where all was seen."""
    if case.claim.proof != "T3":
        return None
    kind = case.context.kinds.get(case.item.ref.type)
    if kind is None or not kind.structural:
        reason = "it is inside something of ours, but may have been put there by people"
        return case.verdict("report", reason)
    containers = [case.context.items[ref] for ref in case.item.inside]
    if any(_protects(container) for container in containers):
        return case.verdict("keep", "what contains it is protected", "protect")
    if not case.context.listed(case.item.ref.region):
        reason = "others may use it: not everything in its region could be listed"
        return case.verdict("unknown", reason)
    return None


def _rule_users_seen(case: _Case) -> Verdict | None:
    kind = case.context.kinds.get(case.item.ref.type)
    held_by = () if kind is None else kind.held_by
    if held_by and case.context.scope.partial and case.item.ref.region == GLOBAL:
        reason = "it has no region, and what may use it in others was not looked for"
        return case.verdict("unknown", reason)
    if held_by and not case.context.listed(case.item.ref.region, held_by):
        return case.verdict("unknown", "what may use it could not be listed")
    return None


def _rule_age(case: _Case) -> Verdict | None:
    destroyed = case.stack.destroyed_at
    if destroyed is None:
        return case.verdict("unknown", "when its stack was destroyed isn't known")
    seen, sweeps = case.knowledge.first_seen.get(item_key(case.item.ref), (case.now, 1))
    born = seen if case.item.created is None else case.item.created
    if max(born, destroyed, seen) > case.now:
        reason = "the clocks disagree: it or its stack's end lies in the future"
        return case.verdict("keep", reason, "skew")
    said = "first seen" if case.item.created is None else "created"
    case.evidence.append(f"{said} {moment(born)}, stack destroyed {moment(destroyed)}")
    case.evidence.append(f"seen in {sweeps} sweeps")
    grace = case.policy.data_grace if case.data else case.policy.grace
    age = case.now - max(born, destroyed)
    if age < grace:
        reason = f"left over for {duration(age)}; the grace is {duration(grace)}"
        return case.verdict("keep", reason, "young")
    if sweeps < case.policy.min_sweeps:
        needed = f"{case.policy.min_sweeps} sweeps that are needed"
        reason = f"seen in {sweeps} of the {needed}; those within 15 minutes are one"
        return case.verdict("keep", reason, "young")
    return None


def _rule_data(case: _Case) -> Verdict | None:
    if not case.data:
        return None
    said = data_classes(case.item, case.claim.stack_id, case.knowledge, case.context)
    if said & RETAINED:
        return case.verdict("keep", "it holds data that its stack says to retain", "data")
    if case.policy.include_data:
        return None
    if said == {"delete"} and case.item.ref.type in case.context.kinds:
        case.evidence.append("its stack says that its data goes with it")
        return None
    return case.verdict("keep", "it may hold data, which is kept unless asked for", "data")


_RULES: tuple[Callable[[_Case], Verdict | None], ...] = (
    _rule_one_stack,
    _rule_liveness,
    _rule_container,
    _rule_users_seen,
    _rule_age,
    _rule_data,
)


def _blocked(ref: Ref, verdict: Verdict, context: Context, going: set[Ref]) -> Verdict:
    users = [str(user) for user in context.users.get(ref, ()) if user not in going]
    reason = f"in use by {', '.join(users[:3])}" + (" and more" if users[3:] else "")
    if not users:
        stays = [str(r) for r in context.items[ref].inside if r not in going]
        reason = f"what contains it stays, and may need it: {', '.join(stays)}"
    return verdict.model_copy(update={"decision": "keep", "code": "blocked", "reason": reason})
