"""Ways in which something of others could have gone, each as small as it can be."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sweep.aws.registry import KINDS as AWS
from mlstacks_dagster.sweep.gcp.catalog import KINDS as GCP
from mlstacks_dagster.sweep.inventory.execute import Approval, Limits, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Coverage, Item
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, Policy, StackFact
from tests.unit.sweep.inventory.fake_cloud import KINDS, FakeClock, FakeCloud
from tests.unit.sweep.inventory.test_execute import (
    DEAD,
    LIVE,
    NOW,
    OURS,
    POLICY,
    item,
    knowledge,
    ref,
)

PROFILE = Kind("iam:profile", "profile", 80, is_global=True, held_by=("ec2:instance",))
LOGS = Kind("logs:group", "log group", 85, reborn=True)
OLD_END = NOW - 10**6


def decided(*items: Item, know: Knowledge | None = None, policy: Policy = POLICY) -> SweepPlan:
    cloud = FakeCloud(items)
    cloud.kinds = {**KINDS, PROFILE.type: PROFILE, LOGS.type: LOGS}
    return make_plan(cloud.snapshot(), cloud.kinds, know or knowledge(), policy, NOW)


def going(plan: SweepPlan) -> set[str]:
    return {entry.ref.id for entry in plan.entries}


@pytest.mark.parametrize("status", ["denied", "failed"])
@pytest.mark.parametrize("region", ["r1", "r2", "*"])
@pytest.mark.parametrize("type_", ["ec2:instance", "*"])
def test_what_has_no_region_waits_for_the_lists_of_all_regions(
    status: str, region: str, type_: str
) -> None:
    cloud = FakeCloud([item("iam:profile", "profile"), item("iam:role", "role")])
    cloud.kinds = {**KINDS, PROFILE.type: PROFILE}
    seen = cloud.snapshot()
    row = Coverage.model_validate({"type": type_, "region": region, "status": status})
    rows = [c for c in seen.coverage if (c.type, c.region) != (type_, region)]
    half = seen.model_copy(update={"coverage": (*rows, row)})
    plan = make_plan(half, cloud.kinds, knowledge(), POLICY, NOW)
    assert going(plan) == {"role"}
    said = [e.verdict for e in plan.others if e.ref.id == "profile"]
    assert [(v.decision, v.reason) for v in said] == [
        ("unknown", "what may use it could not be listed")
    ]


def test_what_has_no_region_waits_while_not_all_regions_are_looked_at() -> None:
    cloud = FakeCloud(
        [item("iam:profile", "profile"), item("iam:role", "role"), item("ec2:vpc", "vpc")]
    )
    cloud.kinds = {**KINDS, PROFILE.type: PROFILE}
    seen = cloud.snapshot()
    scope = seen.scope.model_copy(update={"partial": True})
    plan = make_plan(
        seen.model_copy(update={"scope": scope}), cloud.kinds, knowledge(), POLICY, NOW
    )
    assert going(plan) == {"role", "vpc"}
    (said,) = (e.verdict for e in plan.others if e.ref.id == "profile")
    assert said.decision == "unknown"
    assert "what may use it in others was not looked for" in said.reason


def test_what_iam_would_not_refuse_to_delete_is_held_by_all_that_may_need_it() -> None:
    assert "ec2:instance" in AWS["iam:instance-profile"].held_by
    assert {"eks:cluster", "iam:instance-profile"} <= set(AWS["iam:role"].held_by)
    assert "eks:cluster" in AWS["iam:oidc-provider"].held_by


@pytest.mark.parametrize("guest", ["ec2:instance", "elb:balancer"])
def test_what_only_its_container_proves_stays_while_others_live_in_there(guest: str) -> None:
    vpc = ref("ec2:vpc", "vpc")
    ours = [
        item("ec2:vpc", "vpc"),
        item("ec2:eni", "eni", {}, inside=(vpc,)),
        item("ec2:group", "sg", {}, inside=(vpc,)),
        item("elb:balancer", "lb", OURS, inside=(vpc,)),
    ]
    assert going(decided(*ours)) == {"vpc", "eni", "sg", "lb"}
    plan = decided(*ours, item(guest, "theirs", {}, inside=(vpc,)))
    assert going(plan) == {"lb"}
    why = {e.ref.id: e.verdict for e in plan.others}
    assert (why["eni"].code, why["eni"].proof) == ("blocked", "T3")
    assert "what contains it stays" in why["eni"].reason


def test_no_type_of_googles_is_proven_by_its_network() -> None:
    assert [kind.type for kind in GCP.values() if kind.structural] == []


def with_clusters(*names: str, destroyed_at: float | None = OLD_END) -> Knowledge:
    facts = tuple(ClusterFact(account="111", region="r1", name=name) for name in names)
    dead = StackFact(
        stack_id=DEAD, name="old", live=False, destroyed_at=destroyed_at, clusters=facts
    )
    return Knowledge(install="me", stacks={DEAD: dead})


def balancer(cluster: str, created: float | None) -> Item:
    return Item(ref=ref("elb:balancer", "lb"), tags={}, created=created, clusters=(cluster,))


@pytest.mark.parametrize(
    ("name", "created", "goes"),
    [
        ("prod", OLD_END, True),
        ("prod", OLD_END - 1, True),
        ("prod", OLD_END + 1, False),
        ("prod", None, False),
        (f"ml-{DEAD}", OLD_END + 1, True),
        (f"ml-{DEAD}", None, True),
    ],
)
def test_a_name_that_can_be_taken_again_proves_nothing_after_its_stacks_end(
    name: str, created: float | None, goes: bool
) -> None:
    know = with_clusters(name)
    know = know.model_copy(update={"first_seen": {"elb:balancer|r1|lb": (OLD_END, 3)}})
    plan = decided(balancer(name, created), know=know)
    assert going(plan) == ({"lb"} if goes else set())
    if not goes:
        [left] = plan.others
        assert (left.verdict.decision, left.verdict.proof) == ("report", "T2")
        assert "others may have taken the name since" in left.verdict.reason


@pytest.mark.parametrize(("late", "goes"), [(80_000, True), (90_000, False)])
def test_a_log_group_may_come_back_for_a_day(late: float, goes: bool) -> None:
    group = ref("logs:group", "/aws/eks/prod/cluster")
    again = Item(ref=group, tags={}, created=OLD_END + late, clusters=("prod",))
    assert bool(going(decided(again, know=with_clusters("prod")))) is goes


def test_a_cluster_of_a_stack_in_another_account_proves_nothing() -> None:
    elsewhere = ClusterFact(account="222", region="r1", name=f"ml-{DEAD}")
    dead = StackFact(
        stack_id=DEAD, name="old", live=False, destroyed_at=OLD_END, clusters=(elsewhere,)
    )
    know = Knowledge(install="me", stacks={DEAD: dead})
    plan = decided(balancer(f"ml-{DEAD}", OLD_END), know=know)
    assert going(plan) == set()


def test_of_two_stacks_with_one_cluster_name_the_live_one_wins() -> None:
    know = with_clusters("prod")
    fact = ClusterFact(account="111", region="r1", name="prod")
    live = StackFact(stack_id=LIVE, name="new", live=True, clusters=(fact,))
    know = know.model_copy(
        update={"stacks": {**know.stacks, LIVE: live}, "clusters": {"r1/prod": True}}
    )
    plan = decided(balancer("prod", OLD_END - 1), know=know)
    assert (plan.entries, plan.counts) == ((), {"keep": 1})


def test_of_two_containers_of_different_stacks_neither_proves_anything() -> None:
    other = "s" + "c" * 12
    also = StackFact(stack_id=other, name="also", live=False, destroyed_at=OLD_END)
    know = knowledge()
    know = know.model_copy(update={"stacks": {**know.stacks, other: also}})
    one, two = ref("ec2:vpc", "one"), ref("ec2:vpc", "two")
    plan = decided(
        item("ec2:vpc", "one"),
        item("ec2:vpc", "two", {**OURS, "mlstacks-stack": other}),
        item("ec2:eni", "eni", {}, inside=(one, two)),
        know=know,
    )
    assert going(plan) == set()
    assert {e.ref.id: e.verdict.decision for e in plan.others}["eni"] == "report"


def test_what_was_listed_twice_with_different_content_is_not_decided() -> None:
    cloud = FakeCloud()
    twice = (item("iam:role", "role"), item("iam:role", "role", {**OURS, "team": "x"}))
    snapshot = cloud.snapshot().model_copy(update={"items": twice})
    plan = make_plan(snapshot, KINDS, knowledge(), POLICY, NOW)
    assert (plan.entries, plan.verdict) == ((), "unverified")


@pytest.mark.parametrize("tags", [{}, {**OURS, "mlstacks-install": "you"}])
@pytest.mark.parametrize("implicit", [False, True])
def test_the_share_is_of_what_is_ours_and_of_nothing_else(
    tags: dict[str, str], implicit: bool
) -> None:
    roles = [item("iam:role", f"role-{n}") for n in range(30)]
    facts = {"implicit": "true"} if implicit else {}
    theirs = [item("ec2:group", f"sg-{n}", tags, facts=facts) for n in range(40)]
    named = [Item(ref=ref("ec2:vpc", f"ml-{LIVE}-{n}"), name=f"ml-{LIVE}") for n in range(40)]
    assert "30 of the 30 things that are ours" in decided(*roles, *theirs, *named).refused


def test_what_a_state_of_ours_holds_or_a_live_stack_has_counts_for_the_share() -> None:
    roles = [item("iam:role", f"role-{n}") for n in range(60)]
    held = knowledge().model_copy(update={"held": frozenset(f"role-{n}" for n in range(30))})
    assert decided(*roles, know=held).refused == ""
    alive = [item("ec2:vpc", f"v{n}", {**OURS, "mlstacks-stack": LIVE}) for n in range(30)]
    assert decided(*roles[:30], *alive).refused == ""


@pytest.mark.parametrize("tie", ["uses", "inside"])
@pytest.mark.parametrize("created", [None, NOW - 10**6])
def test_what_is_tied_to_something_new_since_the_plan_stays(
    tie: str, created: float | None
) -> None:
    role = item("iam:role", "role").model_copy(update={"created": created})
    seen = {"iam:role|global|role": (NOW - 10**6, 3)}
    know = knowledge().model_copy(update={"first_seen": seen})
    cloud = FakeCloud([role])
    plan = make_plan(cloud.snapshot(), KINDS, know, POLICY, NOW)
    assert going(plan) == {"role"}
    changed = role.model_copy(update={tie: (ref("ec2:vpc", "another"),)})
    assert changed.fingerprint != role.fingerprint
    cloud.items[role.ref] = changed
    clock = FakeClock()
    tools = Tools(clock=clock, sleep=clock.sleep)
    report = delete_plan(cloud, plan, Approval(plan.hash, "lab"), tools)
    [outcome] = report.outcomes
    assert (outcome.outcome, cloud.deleted) == ("changed", [])
    assert outcome.why == "it is tied to something else now: ec2:vpc another (r1)"


def test_how_long_an_approval_holds_is_as_the_limits_say() -> None:
    cloud = FakeCloud([item("iam:role", "role")])
    plan = make_plan(cloud.snapshot(), KINDS, knowledge(), POLICY, NOW)
    clock = FakeClock(NOW + 100_000)
    limits = Limits(expires_after=200_000)
    tools = Tools(clock=clock, sleep=clock.sleep, limits=limits)
    assert delete_plan(cloud, plan, Approval(plan.hash, "lab"), tools).complete


def test_marks_that_contradict_the_place_are_reported() -> None:
    vpc = ref("ec2:vpc", "vpc")
    eni = item("ec2:eni", "eni", {"mlstacks-stack": LIVE}, inside=(vpc,))
    plan = decided(item("ec2:vpc", "vpc"), eni)
    assert going(plan) == set()
