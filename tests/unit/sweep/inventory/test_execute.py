"""Deleting a plan under faults: nothing dropped, nothing wrongly deleted."""

from __future__ import annotations

import pytest

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.sweep.inventory.execute import Approval, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.model import Item, Ref
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, Policy, StackFact
from mlstacks_dagster.sweep.inventory.verify import verify_teardown
from tests.unit.sweep.inventory.fake_cloud import FakeClock, FakeCloud

DEAD, LIVE = "s" + "a" * 12, "s" + "b" * 12
OURS = {"mlstacks-install": "me", "mlstacks-stack": DEAD}
NOW = 1_800_000_000.0
POLICY = Policy(min_sweeps=1)


def ref(kind: str, name: str) -> Ref:
    return Ref(type=kind, region="global" if kind.startswith("iam") else "r1", id=name)


def item(kind: str, name: str, tags: dict[str, str] | None = OURS, **more: object) -> Item:
    return Item(ref=ref(kind, name), tags=tags, created=NOW - 10**6, **more)


def knowledge() -> Knowledge:
    cluster = ClusterFact(account="111", region="r1", name=f"ml-{DEAD}")
    dead = StackFact(
        stack_id=DEAD, name="old", live=False, destroyed_at=NOW - 10**6, clusters=(cluster,)
    )
    live = StackFact(stack_id=LIVE, name="new", live=True)
    return Knowledge(install="me", stacks={DEAD: dead, LIVE: live})


def account() -> FakeCloud:
    vpc, eni, group = ref("ec2:vpc", "vpc"), ref("ec2:eni", "eni"), ref("ec2:group", "sg")
    return FakeCloud(
        [
            item("ec2:vpc", "vpc"),
            item("ec2:group", "sg", {}, inside=(vpc,), used_by=(eni,)),
            item("ec2:eni", "eni", {}, inside=(vpc,), uses=(group,)),
            item("elb:balancer", "lb", {}, clusters=(f"ml-{DEAD}",), uses=(group,)),
            item("iam:role", "role"),
            item("ec2:volume", "vol"),
            item("ec2:vpc", "theirs", {}),
            item("ec2:vpc", "live", {**OURS, "mlstacks-stack": LIVE}),
            item("ec2:vpc", "other", {**OURS, "mlstacks-install": "you"}),
        ]
    )


def planned(cloud: FakeCloud) -> SweepPlan:
    return make_plan(cloud.snapshot(), cloud.kinds, knowledge(), POLICY, NOW)


def run(cloud: FakeCloud, plan: SweepPlan, clock: FakeClock | None = None) -> DeleteReport:
    clock = clock or FakeClock()
    tools = Tools(clock=clock, sleep=clock.sleep)
    return delete_plan(cloud, plan, Approval(plan.hash, "lab"), tools)


GOING = {"vpc", "sg", "eni", "lb", "role"}


def test_orphans_go_in_order_and_all_others_stay() -> None:
    cloud = account()
    plan = planned(cloud)
    report = run(cloud, plan)
    assert report.complete
    assert {r.id for r in cloud.deleted} == GOING
    assert {r.id for r in cloud.items} == {"vol", "theirs", "live", "other"}
    assert [e.item.ref.id for e in plan.others] == ["vol"]


@pytest.mark.parametrize("seed", range(20))
def test_thirty_per_cent_throttling_drops_nothing(seed: int) -> None:
    cloud = account()
    cloud._random.seed(seed)
    cloud.throttle = 0.3
    plan = planned(cloud)
    assert plan.hash == planned(account()).hash
    run(cloud, plan)
    assert {r.id for r in cloud.deleted} == GOING


def test_what_changed_since_the_plan_stays_and_so_does_what_it_holds() -> None:
    cloud = account()
    plan = planned(cloud)
    eni = ref("ec2:eni", "eni")
    cloud.items[eni] = cloud.items[eni].model_copy(update={"tags": {"team": "x"}})
    report = run(cloud, plan)
    by_id = {o.entry.ref.id: o.outcome for o in report.outcomes}
    assert by_id == {
        "eni": "changed",
        "sg": "blocked",
        "vpc": "blocked",
        "lb": "deleted",
        "role": "deleted",
    }


def test_what_is_gone_already_is_fine_and_a_killed_delete_can_be_run_again() -> None:
    cloud = account()
    plan = planned(cloud)

    def kill(_item: Item) -> None:
        if len(cloud.deleted) == 2:
            raise KeyboardInterrupt

    cloud.before_delete = kill
    with pytest.raises(KeyboardInterrupt):
        run(cloud, plan)
    cloud.before_delete = lambda _item: None
    assert run(cloud, plan).complete
    assert sorted(r.id for r in cloud.deleted) == sorted(GOING)


def test_a_denied_item_is_reported_and_what_it_holds_is_blocked() -> None:
    cloud = account()
    cloud.denied = {ref("ec2:eni", "eni")}
    report = run(cloud, planned(cloud))
    assert {o.entry.ref.id: o.outcome for o in report.left} == {
        "eni": "refused",
        "sg": "blocked",
        "vpc": "blocked",
    }


def test_what_comes_back_is_not_called_deleted() -> None:
    cloud = account()
    cloud.comes_back = {ref("iam:role", "role")}
    report = run(cloud, planned(cloud))
    assert [(o.entry.ref.id, o.outcome) for o in report.left] == [("role", "still-there")]


@pytest.mark.parametrize("approval", [Approval("x", "lab"), Approval("", "prod")])
def test_the_approval_must_fit(approval: Approval) -> None:
    cloud = account()
    plan = planned(cloud)
    wrong = Approval(approval.plan_hash or plan.hash, approval.alias)
    with pytest.raises(RefusedError):
        delete_plan(cloud, plan, wrong, Tools(clock=FakeClock()))
    with pytest.raises(RefusedError, match="old"):
        run(cloud, plan, FakeClock(NOW + 86_401))
    assert cloud.deleted == []


def test_a_teardown_is_complete_after_two_clean_looks_and_keeps_data() -> None:
    cloud, clock = account(), FakeClock()
    tools = Tools(clock=clock, sleep=clock.sleep)
    report = verify_teardown(cloud, knowledge, DEAD, tools=tools)
    assert (report.result, report.sweeps) == ("complete", 3)
    assert {r.id for r in cloud.deleted} == GOING
    assert [row.id for row in report.kept] == ["vol"]


@pytest.mark.parametrize("status", ["denied", "failed"])
def test_a_teardown_with_a_list_that_fails_is_never_complete(status: str) -> None:
    cloud, clock = account(), FakeClock()
    cloud.bad_lists = {("eks:cluster", "r2"): status}
    report = verify_teardown(cloud, knowledge, DEAD, tools=Tools(clock=clock, sleep=clock.sleep))
    assert report.result == "left"
    assert [c.type for c in report.unverified] == ["eks:cluster"]
