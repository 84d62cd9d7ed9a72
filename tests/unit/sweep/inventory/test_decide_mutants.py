"""Each rule of the decision switched off, one at a time: the judge of the worlds must notice.

A rule that nothing misses is either covered by another one (then an example says what it is good
for) or is no rule.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from mlstacks_dagster.sweep.inventory import claims, decide
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Policy, StackFact
from tests.unit.sweep.inventory.fake_cloud import FakeCloud
from tests.unit.sweep.inventory.test_execute import DEAD, NOW, OURS, item, knowledge
from tests.unit.sweep.inventory.worlds import KINDS, check, make_world
from tests.unit.sweep.inventory.worlds import NOW as WORLD_NOW

WORLDS = 6_000
DecideAll = Callable[..., Any]


class Mutant(NamedTuple):
    """A rule and how it is switched off: a text of a module, and what stands there instead."""

    rule: str
    module: ModuleType
    text: str
    instead: str


MUTANTS = (
    Mutant("what may use it was listed", decide, "    _rule_users_seen,\n", ""),
    Mutant("for the global, all regions count", claims, "region == GLOBAL or where in", "where in"),
    Mutant(
        "T3 goes only with its container",
        decide,
        'if verdict.proof == "T3" else ()',
        "if 0 else ()",
    ),
    Mutant("clocks", decide, "max(born, destroyed, seen) > case.now", "False"),
    Mutant(
        "held by a state", decide, "return any(name in knowledge.held for", "return any(False for"
    ),
    Mutant("listed twice", claims, "if item.ref in context.ambiguous:", "if False:"),
    Mutant("uses makes a user", claims, "(*item.uses, *item.inside)", "item.inside"),
    Mutant("inside makes a user", claims, "(*item.uses, *item.inside)", "item.uses"),
    Mutant("used_by makes a user", claims, "extend(item.used_by)", "extend(())"),
    Mutant("marks contradict the place", claims, "marked != claim.stack_id", "False"),
    Mutant(
        "the live one wins",
        claims,
        "(s.live, s.busy, s.destroyed_at",
        "(not s.live, s.destroyed_at",
    ),
    Mutant("a name may be taken again", claims, "if not _of_its_time(", "if False and ("),
    Mutant(
        "unreadable tags",
        claims,
        "    if item.tags is None:\n",
        "    item = item.model_copy(update={'tags': item.tags or {}})\n    if False:\n",
    ),
    Mutant("another installation", claims, "if install != knowledge.install:", "if False:"),
    Mutant("protected", decide, "if stack.protect or _protects(item):", "if False:"),
    Mutant("live", decide, "if stack.live or stack.busy:", "if False:"),
    Mutant(
        "clusters", decide, "return _running(item, stack, knowledge, context, proof)", "return None"
    ),
    Mutant("a cluster that isn't known", decide, "if state is None:", "if False:"),
    Mutant("one stack only", decide, "    _rule_one_stack,\n", ""),
    Mutant("structural types only", decide, "kind is None or not kind.structural", "False"),
    Mutant("the grace", decide, "if age < grace:", "if False:"),
    Mutant("seen twice", decide, "if sweeps < case.policy.min_sweeps:", "if False:"),
    Mutant("data", decide, "    _rule_data,\n", ""),
    Mutant("what others use stays", decide, "    while blocked:\n", "    while False:\n"),
    Mutant(
        "what holds what is blocked",
        decide,
        "blocked += [(other, ref) for",
        "blocked += [(other, ref) for _ in () for",
    ),
)


def in_a_protected_vpc(decide_all: DecideAll) -> None:
    vpc = item("ec2:vpc", "vpc", {**OURS, "mlstacks-protect": "true"})
    eni = item("ec2:eni", "eni", {}, inside=(vpc.ref,))
    assert code_of(decide_all, eni, vpc) == "protect"


def in_vpcs_of_two_stacks(decide_all: DecideAll) -> None:
    vpcs = (item("ec2:vpc", "a"), item("ec2:vpc", "b", {**OURS, "mlstacks-stack": OTHER}))
    eni = item("ec2:eni", "eni", {}, inside=tuple(vpc.ref for vpc in vpcs))
    assert code_of(decide_all, eni, *vpcs) == "report"


def of_our_cluster_and_anothers(decide_all: DecideAll) -> None:
    balancer = item("elb:balancer", "lb", {}, clusters=(f"ml-{DEAD}", "theirs"))
    assert code_of(decide_all, balancer) == "report"


def of_a_cluster_in_another_account(decide_all: DecideAll) -> None:
    balancer = item("elb:balancer", "lb", {}, clusters=(f"ml-{OTHER}",))
    assert code_of(decide_all, balancer) == "report"


OTHER = "s" + "c" * 12


def beside_what_was_not_listed(decide_all: DecideAll) -> None:
    vpc = item("ec2:vpc", "vpc")
    eni = item("ec2:eni", "eni", {}, inside=(vpc.ref,))
    assert code_of(decide_all, eni, vpc, unlisted="ec2:volume") == "unknown"


def code_of(decide_all: DecideAll, *items: Item, unlisted: str = "") -> str:
    """Return the code (or else the decision) for the first of some items."""
    fact = ClusterFact(account="222", region="r1", name=f"ml-{OTHER}")
    other = StackFact(
        stack_id=OTHER, name="other", live=False, destroyed_at=NOW - 10**6, clusters=(fact,)
    )
    known = knowledge()
    known = known.model_copy(update={"stacks": {**known.stacks, OTHER: other}})
    cloud, policy = FakeCloud(items), Policy(min_sweeps=1)
    cloud.bad_lists = {(unlisted, "r1"): "failed"}
    verdicts = decide_all(cloud.snapshot(), cloud.kinds, known, policy, NOW)
    verdict = verdicts[items[0].ref]
    return str(verdict.code or verdict.decision)


COVERED = (
    (
        Mutant(
            "container's whole region was listed",
            decide,
            "if not case.context.listed(case.item.ref.region):",
            "if False:",
        ),
        beside_what_was_not_listed,
    ),
    (
        Mutant("protected container", decide, "if any(_protects(container) for", "if any(0 for"),
        in_a_protected_vpc,
    ),
    (
        Mutant("two stacks", claims, "{claim.stack_id for claim in claims}) > 1", "()) > 1"),
        in_vpcs_of_two_stacks,
    ),
    (
        Mutant("ours and others' cluster", claims, "if not all(found):", "if False:"),
        of_our_cluster_and_anothers,
    ),
    (
        Mutant("account", claims, "if fact.account == snapshot.scope.account:", "if True:"),
        of_a_cluster_in_another_account,
    ),
)
"""Rules whose absence another rule makes good as far as deletions go."""


def mutated(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> DecideAll:
    """Return ``decide_all`` with one rule off; the real modules stay as they are."""
    for module in (claims, decide):
        source = Path(str(module.__file__)).read_text()
        if module is mutant.module:
            assert source.count(mutant.text) == 1, f"{mutant.rule}: the text has changed"
            source = source.replace(mutant.text, mutant.instead)
        source = source.replace(f"from {claims.__name__} import", "from mutant_claims import")
        name = "mutant_" + module.__name__.rpartition(".")[2]
        made = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        exec(compile(source, name, "exec"), made.__dict__)
    found: DecideAll = sys.modules["mutant_decide"].decide_all
    return found


def first_mistake(decide_all: DecideAll) -> int | None:
    """Return the first world in which something is falsely deleted."""
    for seed in range(WORLDS):
        world = make_world(seed)
        verdicts = decide_all(world.snapshot, KINDS, world.knowledge, world.policy, WORLD_NOW)
        try:
            check(world, {ref for ref, verdict in verdicts.items() if verdict.decision == "orphan"})
        except AssertionError:
            return seed
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_rule_that_is_off_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_mistake(mutated(mutant, monkeypatch)) is not None


@pytest.mark.parametrize(("mutant", "example"), COVERED, ids=lambda one: getattr(one, "rule", None))
def test_a_rule_that_others_cover_still_decides_its_example(
    mutant: Mutant, example: Callable[[DecideAll], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    example(decide.decide_all)
    with pytest.raises(AssertionError):
        example(mutated(mutant, monkeypatch))
