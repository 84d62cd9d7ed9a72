"""What an EKS cluster leaves is found and deleted, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.lifecycle.clouds import open_cloud
from mlstacks_dagster.sweep.aws.registry import KINDS
from mlstacks_dagster.sweep.inventory.model import Ref
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.verdict import Policy
from tests.integration.eks_ground import Ground, Owner, Planted
from tests.integration.eks_leftovers import ClusterNetwork, plant_balancers
from tests.integration.eks_witness import everything
from tests.integration.eks_world import (
    AWS,
    DAY,
    Emulated,
    World,
    emulated,
    going,
    live_cluster,
    opener,
    said,
    small_world,
    world,
)
from tests.unit.sweep.aws.fake_clients import Answer, Call, FakeClients, Tape, failure, throttling

ALL = Policy(include_data=True)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("sweep-eks")) as running:
        yield running


def asked_of(emulator: Emulated, call: Call) -> Any:
    return getattr(emulator.clients(call.service, call.region), call.operation)(**call.params)


def test_all_leftovers_of_a_cluster_go_and_nothing_else(emulator: Emulated, tmp_path: Path) -> None:
    with world(emulator, tmp_path, "eu-central-1", "us-west-2") as made:
        before = everything(made.grounds)
        planted = made.left.all | made.lived.all
        assert planted | made.neighbours.foreign | set(made.neighbours.said) <= set(before)

        first = made.sweep(open_with=open_cloud)
        assert first.unverified == ()
        assert (first.verdict, going(first)) == ("leftovers", set())
        assert set(said(first)) == made.left.all | set(made.neighbours.said)
        made.clock.tick(DAY / 2)
        assert going(made.sweep()) == set()  # seen twice, but within the grace

        made.clock.tick(3.5 * DAY)
        plan = made.sweep()
        assert plan.refused == ""
        assert going(plan) == made.left.plain
        stays = said(plan)
        assert set(stays) == made.left.data | set(made.neighbours.said)
        assert {stays[ref] for ref in made.left.data} == {("keep", "data"), ("keep", "blocked")}
        assert {ref: stays[ref] for ref in made.neighbours.said} == made.neighbours.said

        with pytest.raises(RefusedError, match="names account 'prod'"):
            made.sweeper().delete(AWS, plan.hash, "prod", by="ada")
        complete(made.delete(plan, open_cloud))
        after = everything(made.grounds)
        assert after == without(before, made.left.plain)

        again = made.sweep()
        assert going(again) == set()
        assert said(again) == stays
        delete_data_while_throttled(made, before)


def delete_data_while_throttled(made: World, before: dict[Ref, Any]) -> None:
    """Delete the rest with three calls of ten refused as too many."""
    busy = FakeClients(throttling(lambda call: asked_of(made.emulated, call), 0.3, seed=11))
    plan = made.sweep(ALL)
    assert going(plan) == made.left.data
    complete(made.delete(plan, opener(busy)))
    assert everything(made.grounds) == without(before, made.left.all)
    last = made.sweep(ALL)
    assert (going(last), said(last)) == (set(), made.neighbours.said)


def complete(report: DeleteReport) -> None:
    assert report.complete, [(str(o.entry.ref), o.outcome, o.why) for o in report.left]


def without(things: dict[Ref, Any], gone: set[Ref]) -> dict[Ref, Any]:
    return {ref: raw for ref, raw in things.items() if ref not in gone}


def leave_little(made: World) -> tuple[Owner, ClusterNetwork, set[Ref]]:
    """Leave a destroyed stack's network and load balancers, seen twice and old enough to go."""
    owner = made.deploy("eks")
    made.destroy(owner)
    [ground] = made.grounds
    network = ClusterNetwork(ground, owner)
    balancers = plant_balancers(ground, owner, network)
    made.arrive()
    return owner, network, balancers


def old_plan(made: World) -> SweepPlan:
    made.sweep()
    made.clock.tick(4 * DAY)
    return made.sweep()


def outcomes(report: DeleteReport) -> dict[str, set[Ref]]:
    found: dict[str, set[Ref]] = {}
    for one in report.outcomes:
        found.setdefault(one.outcome, set()).add(one.entry.ref)
    return found


def only(refs: set[Ref], type_: str, part: str = "") -> Ref:
    [found] = [ref for ref in refs if ref.type == type_ and part in ref.id]
    return found


def test_what_changes_after_the_plan_is_left_alone_and_said(
    emulator: Emulated, tmp_path: Path
) -> None:
    with small_world(emulator, tmp_path, "eu-north-1") as made:
        owner, network, balancers = leave_little(made)
        [ground] = made.grounds
        volume = ground.volume({**owner.marks("delete"), **owner.of_cluster})
        plan = old_plan(made)
        planned = {network.vpc, *network.subnets, *network.groups, *balancers, volume}
        assert going(plan) == planned

        retagged = only(balancers, "elb:load-balancer")
        gone = only(balancers, "elbv2:load-balancer", "minio")
        taken_back(ground, retagged)
        ground.client("elbv2").delete_load_balancer(LoadBalancerArn=gone.id)
        attach(ground, volume)
        report = made.delete(plan)
        stays = {network.vpc, *network.subnets, *network.groups}
        assert outcomes(report) == {
            "changed": {retagged, volume},
            "gone": {gone},
            "blocked": stays,
            "deleted": balancers - {retagged, gone},
        }
        why = {one.entry.ref: one.why for one in report.left}
        assert why[retagged] == "its tags changed"
        assert why[volume].startswith("it is in use now, by ec2:instance")
        assert set(everything(made.grounds)) >= {retagged, volume, *stays}
        complete(made.delete(made.sweep()))
        assert set(everything(made.grounds)) & planned == {volume}


def taken_back(ground: Ground, balancer: Ref) -> None:
    tags = [{"Key": "team", "Value": "we still use this"}]
    ground.client("elb").add_tags(LoadBalancerNames=[balancer.id], Tags=tags)


def attach(ground: Ground, volume: Ref) -> None:
    """Let somebody's machine use a volume."""
    ec2 = ground.client("ec2")
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    ec2.attach_volume(VolumeId=volume.id, InstanceId=instance, Device="/dev/sdh")


def test_what_may_not_be_deleted_is_left_and_goes_once_it_may(
    emulator: Emulated, tmp_path: Path
) -> None:
    def denied(call: Call) -> Any:
        if (call.service, call.operation) == ("elbv2", "delete_load_balancer"):
            return failure("AccessDeniedException")
        return asked_of(emulator, call)

    with small_world(emulator, tmp_path, "eu-west-3") as made:
        _, network, balancers = leave_little(made)
        report = made.delete(old_plan(made), opener(FakeClients(denied)))
        found = outcomes(report)
        assert found["refused"] == {r for r in balancers if r.type == "elbv2:load-balancer"}
        assert found["blocked"] >= {network.vpc, *network.subnets, network.managed}
        assert set(found) == {"refused", "blocked", "deleted"}
        plan = made.sweep()
        assert going(plan) == found["refused"] | found["blocked"]
        complete(made.delete(plan))
        assert made.sweep().verdict == "clean"


def test_a_control_planes_interface_is_awaited_and_said(emulator: Emulated, tmp_path: Path) -> None:
    with small_world(emulator, tmp_path, "ap-southeast-2") as made:
        owner, network, balancers = leave_little(made)
        [ground] = made.grounds
        says = f"Amazon EKS {owner.cluster}"
        interface = ground.interface(network.subnets[1], [network.own], says, {})
        plan = old_plan(made)
        held = {network.vpc, network.subnets[1], network.own}
        assert (
            going(plan) == {interface, network.vpc, *network.subnets, *network.groups} | balancers
        )

        report = made.delete(plan)
        left = {one.entry.ref: one.why for one in report.left}
        assert set(left) >= {interface, *held}
        assert "takes it away" in left[interface]
        assert interface in set(everything(made.grounds))
        assert going(made.sweep()) == set(left)

        ground.client("ec2").delete_network_interface(NetworkInterfaceId=interface.id)  # as EKS
        complete(made.delete(made.sweep()))
        assert made.sweep().verdict == "clean"


def test_a_cluster_that_is_destroyed_behind_our_back_is_noticed_by_what_it_left(
    emulator: Emulated, tmp_path: Path
) -> None:
    with small_world(emulator, tmp_path, "ap-south-1") as made:
        owner, [ground] = made.deploy("eks"), made.grounds
        network = ClusterNetwork(ground, owner)
        infra = {network.vpc, *network.subnets}
        made.holds(owner, *live_cluster(ground, owner, Planted(infra | network.groups)))
        volume = ground.volume(owner.of_cluster)
        left = {*network.groups, *plant_balancers(ground, owner, network), volume}
        made.arrive()
        assert made.sweep().verdict == "clean"

        ground.client("eks").delete_cluster(name=owner.cluster)
        made.sweep()
        made.clock.tick(4 * DAY)
        plan = made.sweep(Policy(include_data=True))
        assert (plan.verdict, going(plan)) == ("leftovers", set())
        assert said(plan) == dict.fromkeys(left, ("report", ""))
        assert {e.verdict.reason for e in plan.others} == {
            "its cluster is gone though its stack is live: destroy the stack, or deploy it again"
        }
        with pytest.raises(RefusedError, match="is not destroyed"):
            made.sweeper().verify(owner.stack_id)

        made.destroy(owner)
        [report] = made.sweeper().verify(owner.stack_id)
        assert (report.result, report.left) == ("complete", ())
        assert [row.id for row in report.kept] == [volume.id]
        deleted = {row.id.partition(" (")[0] for row in report.deleted}
        assert deleted == {ref.id for ref in left | infra} - {volume.id}
        assert set(everything(made.grounds)) & (left | infra) == {volume}


@dataclass(frozen=True)
class Still:
    """A planted account that nobody changes any more, and the plan for it without any fault."""

    made: World
    tape: Tape
    plan: SweepPlan
    calls: int

    def sweep(self, answer: Answer) -> SweepPlan:
        return self.made.sweep(open_with=opener(FakeClients(answer)))


@pytest.fixture(scope="module")
def still(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Still]:
    folder = tmp_path_factory.mktemp("still")
    with world(emulator, folder, "eu-west-1", "us-east-2") as made:
        tape = Tape(emulator.clients)
        made.sweep(open_with=opener(FakeClients(tape)))
        made.clock.tick(4 * DAY)
        calm = FakeClients(tape)
        plan = made.sweep(open_with=opener(calm))
        assert going(plan) == made.left.plain
        yield Still(made, tape, plan, len(calm.made))


@pytest.mark.parametrize("seed", range(3))
def test_throttling_does_not_change_the_plan(still: Still, seed: int) -> None:
    busy = FakeClients(throttling(still.tape, 0.3, seed))
    plan = still.made.sweep(open_with=opener(busy))
    assert plan.unverified == ()
    assert (plan.hash, said(plan)) == (still.plan.hash, said(still.plan))
    assert still.calls < len(busy.made) <= 2 * still.calls


def same_but_less(still: Still, plan: SweepPlan) -> set[str]:
    """Check that a plan has nothing new, and says of all it lacks that or why it isn't known.

    Returns the types that were not listed.
    """
    unlisted = {row.type for row in plan.unverified}
    assert plan.verdict == "unverified"
    assert going(plan) <= going(still.plan)
    needy = {kind.type for kind in KINDS.values() if unlisted & set(kind.held_by)}
    assert {ref.type for ref in going(plan)}.isdisjoint(unlisted | needy)
    lacking = going(still.plan) - going(plan)
    assert {ref for ref in lacking if ref.type not in unlisted} <= set(said(plan))
    assert plan.hash != still.plan.hash
    return unlisted


@pytest.mark.parametrize(
    "service",
    ["autoscaling", "ec2", "efs", "eks", "elb", "elbv2", "iam", "resourcegroupstaggingapi"],
)
def test_a_service_that_is_denied_keeps_what_it_may_know_about(still: Still, service: str) -> None:
    def denied(call: Call) -> Any:
        return failure("AccessDenied") if call.service == service else still.tape(call)

    plan = still.sweep(denied)
    assert same_but_less(still, plan)
    assert {row.status for row in plan.unverified} == {"denied"}
    if service == "eks":
        assert going(plan) == set()


_PAGED = {
    "describe_security_groups": ("SecurityGroups", "NextToken", "NextToken"),
    "describe_network_interfaces": ("NetworkInterfaces", "NextToken", "NextToken"),
    "describe_target_groups": ("TargetGroups", "Marker", "NextMarker"),
    "list_clusters": ("clusters", "nextToken", "nextToken"),
    "describe_log_groups": ("logGroups", "nextToken", "nextToken"),
    "get_resources": ("ResourceTagMappingList", "PaginationToken", "PaginationToken"),
}


def paged(answer: Answer, fails: str = "") -> Answer:
    """Give lists in two pages or more; with ``fails`` all but that operation's first fail."""

    def halves(call: Call) -> Any:
        if call.operation not in _PAGED:
            return answer(call)
        key, asks, names = _PAGED[call.operation]
        token = call.params.get(asks)
        if token and call.operation == fails:
            return failure("InternalError", status=500)
        if token not in (None, "second"):
            return answer(call)  # the emulator's own pages
        whole = answer(call._replace(params={k: v for k, v in call.params.items() if k != asks}))
        half = len(whole[key]) // 2
        if token or whole.get(names):
            return {**whole, key: whole[key][half:]} if token else whole
        return {**whole, key: whole[key][:half], names: "second"}

    return halves


def test_pages_do_not_change_the_plan(still: Still) -> None:
    assert still.sweep(paged(still.tape)).hash == still.plan.hash


@pytest.mark.parametrize("operation", _PAGED)
def test_a_page_that_fails_leaves_its_list_unverified(still: Still, operation: str) -> None:
    plan = still.sweep(paged(still.tape, operation))
    assert same_but_less(still, plan)
    assert {row.status for row in plan.unverified} == {"failed"}
