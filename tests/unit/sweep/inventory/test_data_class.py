"""What a stack says of its data: deleted with it, or kept whatever is asked for."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sweep.inventory.model import Coverage, Item, Ref, Snapshot
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy, StackFact
from tests.unit.sweep.inventory.fake_cloud import KINDS, FakeCloud
from tests.unit.sweep.inventory.test_execute import DEAD, LIVE, NOW, OURS, item, knowledge, ref

POLICY = Policy(min_sweeps=1)
VPC = ref("ec2:vpc", "vpc")


def marked(data: str | None, **more: str) -> dict[str, str]:
    return {**OURS, **more} | ({} if data is None else {"mlstacks-data": data})


def decided(*items: Item, policy: Policy = POLICY, know: Knowledge | None = None) -> SweepPlan:
    cloud = FakeCloud(items)
    return make_plan(cloud.snapshot(), cloud.kinds, know or knowledge(), policy, NOW)


def going(plan: SweepPlan) -> set[str]:
    return {entry.ref.id for entry in plan.entries}


def test_data_that_its_stack_gives_up_goes_and_the_plan_says_why() -> None:
    plan = decided(item("ec2:volume", "vol", marked("delete")))
    assert going(plan) == {"vol"}
    assert plan.entries[0].data
    assert "its stack says that its data goes with it" in plan.entries[0].verdict.evidence


@pytest.mark.parametrize("own", [None, "none", "retain", "snapshot", "DELETE", "delete "])
def test_nothing_but_the_word_itself_gives_data_up(own: str | None) -> None:
    assert going(decided(item("ec2:volume", "vol", marked(own)))) == set()


@pytest.mark.parametrize("own", ["retain", "snapshot"])
def test_what_is_retained_stays_even_when_data_is_asked_for(own: str) -> None:
    everything = POLICY.model_copy(update={"include_data": True})
    plan = decided(item("ec2:volume", "vol", marked(own)), policy=everything)
    assert (going(plan), plan.others[0].verdict.code) == (set(), "data")


@pytest.mark.parametrize(
    ("container", "own", "goes"),
    [
        ("delete", None, True),
        ("delete", "none", False),
        ("delete", "retain", False),
        ("none", None, False),
        (None, None, False),
        ("none", "delete", True),
    ],
)
def test_an_item_that_says_nothing_follows_what_contains_it(
    container: str | None, own: str | None, goes: bool
) -> None:
    plan = decided(
        item("ec2:vpc", "vpc", marked(container)),
        item("ec2:volume", "vol", marked(own), inside=(VPC,)),
    )
    assert ("vol" in going(plan)) is goes


def test_of_several_containers_each_has_to_say_it() -> None:
    cluster = ref("eks:cluster", "c")
    volume = item("ec2:volume", "vol", marked(None), inside=(VPC, cluster))
    vpc = item("ec2:vpc", "vpc", marked("delete"))
    assert "vol" not in going(decided(vpc, item("eks:cluster", "c", marked(None)), volume))
    assert "vol" in going(decided(vpc, item("eks:cluster", "c", marked("delete")), volume))
    assert "vol" not in going(decided(vpc, volume))


@pytest.mark.parametrize(
    "tags",
    [
        {"mlstacks-data": "delete"},
        marked("delete", **{"mlstacks-install": "you"}),
        marked("delete", **{"mlstacks-stack": LIVE}),
    ],
)
def test_the_word_of_a_container_of_others_counts_for_nothing(tags: dict[str, str]) -> None:
    plan = decided(
        item("ec2:vpc", "vpc", tags), item("ec2:volume", "vol", marked(None), inside=(VPC,))
    )
    assert going(plan) == set()


def test_the_longer_grace_of_data_still_counts() -> None:
    dead = StackFact(stack_id=DEAD, name="old", live=False, destroyed_at=NOW - 100_000)
    know = Knowledge(install="me", stacks={DEAD: dead})
    plan = decided(item("ec2:volume", "vol", marked("delete")), item("iam:role", "role"), know=know)
    assert going(plan) == {"role"}
    assert plan.others[0].verdict.code == "young"


def test_a_protected_thing_and_one_of_a_live_stack_stay() -> None:
    protected = marked("delete", **{"mlstacks-protect": "true"})
    live = marked("delete", **{"mlstacks-stack": LIVE})
    plan = decided(item("ec2:volume", "a", protected), item("ec2:volume", "b", live))
    assert going(plan) == set()


def test_a_type_that_nobody_knows_is_never_given_up() -> None:
    strange = Item(
        ref=Ref(type="x:disk", region="r1", id="x"), tags=marked("delete"), created=NOW - 10**6
    )
    cloud = FakeCloud()
    seen = cloud.snapshot()
    rows = (*seen.coverage, Coverage(type="x:disk", region="r1", status="listed", count=1))
    snapshot = Snapshot(scope=seen.scope, taken_at=NOW, items=(strange,), coverage=rows)
    plan = make_plan(snapshot, KINDS, knowledge(), POLICY, NOW)
    assert (plan.entries, plan.others[0].verdict.code) == ((), "data")
