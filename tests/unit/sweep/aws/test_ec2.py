"""A cluster's leftovers in EC2, its neighbours', and the order in which they can go."""

from __future__ import annotations

from collections.abc import Iterable

from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.inventory.execute import Approval, Limits, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.model import Item, Ref
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Knowledge, Policy, StackFact
from mlstacks_dagster.sweep.inventory.verify import with_clusters
from tests.unit.sweep.aws.conftest import ACCOUNT, Clock, Emulator
from tests.unit.sweep.aws.planting import (
    CLUSTER,
    INSTALL,
    OF_CLUSTER,
    OTHERS,
    OWN,
    STACK,
    Planter,
    about,
    spec,
)

NOW = 1_900_000_000.0


def plan_of(cloud: AwsCloud, types: Iterable[str] | None = None) -> SweepPlan:
    fact = ClusterFact(account=ACCOUNT, region=cloud.scope.regions[0], name=CLUSTER)
    dead = StackFact(stack_id=STACK, name="dead", live=False, destroyed_at=1.0, clusters=(fact,))
    policy = Policy(grace=0, data_grace=0, min_sweeps=1, include_data=True, max_share=1.0)
    snapshot = cloud.snapshot(types)
    known = with_clusters(Knowledge(install=INSTALL, stacks={STACK: dead}), cloud)
    return make_plan(snapshot, cloud.kinds, known, policy, NOW)


def delete(cloud: AwsCloud, plan: SweepPlan) -> DeleteReport:
    clock = Clock(NOW)
    tools = Tools(clock=clock, sleep=clock.sleep, limits=Limits(workers=4))
    return delete_plan(cloud, plan, Approval(plan.hash, ACCOUNT), tools)


def item_of(cloud: AwsCloud, type_: str, identifier: str) -> Item:
    found = cloud.read([Ref(type=type_, region=cloud.scope.regions[0], id=identifier)])
    [item] = found.values()
    assert item is not None
    return item


def test_a_clusters_leftovers_go_and_nothing_else_does(emulator: Emulator) -> None:
    planter = Planter(emulator)
    planter.whole_stack()
    neighbour = planter.vpc(OTHERS, "10.9.0.0/16")
    group = planter.group(neighbour, "k8s-elb-three", OTHERS)
    theirs = planter.volume({"kubernetes.io/cluster/other": "owned"})
    shared = planter.volume({f"kubernetes.io/cluster/{CLUSTER}": "shared"})
    cloud = emulator.cloud()
    before = {item.ref for item in cloud.snapshot().items}
    plan = plan_of(cloud)
    going = {entry.ref.id for entry in plan.entries}
    assert planter.left <= going
    made_along = {entry.ref.type for entry in plan.entries if entry.ref.id not in planter.left}
    assert made_along <= {"ec2:network-interface"}
    report = delete(cloud, plan)
    assert report.complete, [(str(o.entry.ref), o.outcome, o.why) for o in report.left]
    after = {item.ref for item in cloud.snapshot().items}
    assert after == {ref for ref in before if ref.id not in going}
    assert {neighbour, group} <= {ref.id for ref in after}
    volumes = planter.ec2.describe_volumes(VolumeIds=[theirs, shared])["Volumes"]
    assert {volume["State"] for volume in volumes} == {"available"}


def test_waves_go_in_an_order_that_aws_accepts(emulator: Emulator) -> None:
    """One wave after the other; only groups that name each other need a second round."""
    Planter(emulator).whole_stack()
    cloud = emulator.cloud()
    plan = plan_of(cloud)
    again = []
    for number in sorted({entry.wave for entry in plan.entries}):
        waiting = list(plan.wave(number))
        for _ in range(2):
            fresh = cloud.read([entry.ref for entry in waiting])
            left = [item for item in fresh.values() if item is not None]
            tried = [(item, cloud.delete(item)) for item in left]
            waiting = [e for e in waiting if any(o.status != "deleted" and i.ref == e.ref
                                                 for i, o in tried)]  # fmt: skip
            again += waiting
        assert not waiting, (number, tried)
    assert {entry.ref.type for entry in again} <= {"ec2:security-group"}


def test_groups_that_name_each_other_are_one_wave(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    first, second, third = (planter.group(vpc, name, OWN) for name in "abc")
    planter.ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=about(second))
    planter.ec2.authorize_security_group_egress(GroupId=second, IpPermissions=about(first))
    planter.ec2.authorize_security_group_ingress(GroupId=third, IpPermissions=about(first))
    cloud = emulator.cloud()
    waves = {entry.ref.id: entry.wave for entry in plan_of(cloud).entries}
    assert waves[first] == waves[second]
    assert waves[third] < waves[first]
    listed = {i.ref.id: i for i in cloud.snapshot(["ec2:security-group"]).items}
    read = item_of(cloud, "ec2:security-group", first)
    assert {ref.id for ref in read.used_by} == {second, third}
    assert read == listed[first]


def test_a_group_that_anothers_rule_names_stays(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    ours, theirs = planter.group(vpc, "ours", OWN), planter.group(vpc, "theirs", {})
    planter.ec2.authorize_security_group_ingress(GroupId=theirs, IpPermissions=about(ours))
    plan = plan_of(emulator.cloud())
    assert plan.entries == ()
    [left] = [entry for entry in plan.others if entry.ref.id == ours]
    assert left.verdict.code == "blocked"
    assert theirs in left.verdict.reason


def test_no_rule_is_revoked_while_an_interface_has_the_group(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    subnet = planter.subnet(vpc, {})
    ours, other = planter.group(vpc, "ours", OWN), planter.group(vpc, "other", OWN)
    planter.ec2.authorize_security_group_ingress(GroupId=ours, IpPermissions=about(other))
    interface = planter.interface(subnet, [ours], "somebody's", {})
    cloud = emulator.cloud()
    outcome = cloud.delete(item_of(cloud, "ec2:security-group", ours))
    assert outcome.status == "retry"
    assert interface in outcome.why
    rules = planter.ec2.describe_security_groups(GroupIds=[ours])["SecurityGroups"][0]
    assert rules["IpPermissions"]


def test_nothing_of_the_default_vpc_is_ever_a_stacks(emulator: Emulator) -> None:
    """Even where our marks were written on it."""
    planter = Planter(emulator)
    [vpc] = planter.ec2.describe_vpcs()["Vpcs"]
    subnets = [s["SubnetId"] for s in planter.ec2.describe_subnets()["Subnets"]]
    tags = [{"Key": key, "Value": value} for key, value in OWN.items()]
    planter.ec2.create_tags(Resources=[vpc["VpcId"], *subnets], Tags=tags)
    planter.interface(subnets[0], [], "aws-K8S-i-1", {})
    planter.group(vpc["VpcId"], f"GuardDutyManagedSecurityGroup-{vpc['VpcId']}", {})
    plan = plan_of(emulator.cloud())
    assert plan.entries == ()
    assert plan.verdict == "clean"


def test_what_people_put_into_our_vpc_keeps_it(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc(OWN)
    subnet = planter.subnet(vpc, OWN)
    theirs = planter.group(vpc, "somebody's", {})
    interface = planter.interface(subnet, [theirs], "somebody's", {})
    made = planter.interface(subnet, [theirs], "aws-K8S-i-1", {})
    plan = plan_of(emulator.cloud())
    assert plan.entries == ()
    reasons = {entry.ref.id: entry.verdict for entry in plan.others}
    assert interface in reasons[subnet].reason
    assert reasons[vpc].code == "blocked"
    assert "what contains it stays" in reasons[made].reason


def test_an_attached_volume_waits_for_its_instance(emulator: Emulator) -> None:
    planter = Planter(emulator)
    run = planter.ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[*spec("instance", OWN), *spec("volume", OWN)],
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}],
    )
    instance = run["Instances"][0]["InstanceId"]
    volume = planter.volume(OWN)
    planter.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdh")
    cloud = emulator.cloud()
    waves = {entry.ref.id: entry.wave for entry in plan_of(cloud).entries}
    assert waves[instance] < waves[volume]
    assert delete(cloud, plan_of(cloud)).complete


def test_an_instance_profile_waits_for_its_instances(emulator: Emulator) -> None:
    iam, ec2 = emulator.client("iam"), emulator.client("ec2")
    iam.create_instance_profile(InstanceProfileName="nodes", Path="/mlstacks/x/")
    [instance] = ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "nodes"}
    )["Instances"]
    profile = Ref(type="iam:instance-profile", region="global", id="nodes")
    assert profile in item_of(emulator.cloud(), "ec2:instance", instance["InstanceId"]).uses


def test_an_instance_waits_for_the_group_that_would_replace_it(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    planter.nodes(planter.subnet(vpc, {}))
    cloud = emulator.cloud()
    instances = cloud.snapshot(["ec2:instance"]).items
    assert [ref.type for ref in instances[0].used_by] == ["autoscaling:group"]
    assert cloud.delete(instances[0]).status == "retry"
    [state] = planter.ec2.describe_instances()["Reservations"][0]["Instances"]
    assert state["State"]["Name"] == "running"


def test_a_stranger_that_uses_our_address_keeps_it(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    interface = planter.interface(planter.subnet(vpc, {}), [], "somebody's", {})
    address = planter.ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip", OWN))[
        "AllocationId"
    ]
    planter.ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    plan = plan_of(emulator.cloud())
    assert plan.entries == ()
    assert [entry.ref.id for entry in plan.others] == [address]


def test_a_subnet_of_others_keeps_our_route_table(emulator: Emulator) -> None:
    planter = Planter(emulator)
    vpc = planter.vpc({})
    subnet = planter.subnet(vpc, {})
    table = planter.ec2.create_route_table(VpcId=vpc, TagSpecifications=spec("route-table", OWN))
    identifier = table["RouteTable"]["RouteTableId"]
    planter.ec2.associate_route_table(RouteTableId=identifier, SubnetId=subnet)
    plan = plan_of(emulator.cloud())
    assert plan.entries == ()
    assert subnet in plan.others[0].verdict.reason


def test_a_peering_connection_keeps_its_vpc_or_goes_before_it(emulator: Emulator) -> None:
    planter = Planter(emulator)
    ours, theirs = planter.vpc(OWN), planter.vpc({}, "10.1.0.0/16")
    made = planter.ec2.create_vpc_peering_connection(VpcId=ours, PeerVpcId=theirs)
    connection = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert plan_of(emulator.cloud()).entries == ()
    tags = [{"Key": key, "Value": value} for key, value in OWN.items()]
    planter.ec2.create_tags(Resources=[connection], Tags=tags)
    cloud = emulator.cloud()
    plan = plan_of(cloud)
    assert [entry.ref.id for entry in plan.entries] == [connection, ours]
    assert delete(cloud, plan).complete


def test_volumes_of_a_cluster_that_runs_stay(emulator: Emulator) -> None:
    planter = Planter(emulator)
    planter.volume(OF_CLUSTER)
    vpc = planter.vpc({})
    emulator.client("eks").create_cluster(
        name=CLUSTER,
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/any",
        resourcesVpcConfig={"subnetIds": [planter.subnet(vpc, {})]},
    )
    cloud = emulator.cloud()
    plan = plan_of(cloud)
    assert plan.entries == ()
    assert "cluster-runs" in {entry.verdict.code for entry in plan.others}
