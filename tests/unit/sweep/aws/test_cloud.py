"""Coverage, reading, deletion and clusters, against clients that answer as told."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.aws.identity import _details
from mlstacks_dagster.sweep.aws.look import Memo
from mlstacks_dagster.sweep.inventory.claims import missing_coverage
from mlstacks_dagster.sweep.inventory.model import Item, Ref, Scope
from tests.unit.sweep.aws.conftest import ACCOUNT, Clock
from tests.unit.sweep.aws.fake_clients import REGIONS, Answer, Call, Empty, FakeClients, failure


def cloud_of(fake: FakeClients, *regions: str, clock: Clock | None = None) -> AwsCloud:
    time = clock or Clock()
    scope = Scope(provider="aws", account=ACCOUNT, regions=regions or ("r1",))
    return AwsCloud(scope, fake, clock=time, sleep=time.sleep, workers=8)


def only(operation: str, result: Any, otherwise: Any = None) -> Answer:
    """Answer one operation; all others find nothing."""
    return lambda call: result if call.operation == operation else (otherwise or Empty())


def volume(number: int = 1, **more: Any) -> dict[str, Any]:
    tags = [{"Key": "mlstacks-install", "Value": "inst1"}]
    return {"VolumeId": f"vol-{number}", "Size": 1, "Tags": tags, **more}


def item(type_: str, identifier: str = "x", **facts: str) -> Item:
    return Item(ref=Ref(type=type_, region="r1", id=identifier), facts=facts)


def test_every_type_and_region_is_covered_once() -> None:
    cloud = cloud_of(FakeClients(), "r1", "r2")
    snapshot = cloud.snapshot()
    rows = [(row.type, row.region) for row in snapshot.coverage]
    assert len(rows) == len(set(rows))
    assert missing_coverage(snapshot, cloud.kinds) == ()
    assert snapshot.unverified == ()
    global_types = {row.type for row in snapshot.coverage if row.region == "global"}
    assert global_types == {name for name, kind in cloud.kinds.items() if kind.is_global}


def test_an_empty_account_in_17_regions_takes_at_most_480_calls() -> None:
    fake = FakeClients()
    cloud = cloud_of(fake, *REGIONS)
    snapshot = cloud.snapshot()
    cloud.running_clusters()
    assert snapshot.calls == len(fake.made) <= 480


def test_ten_thousand_volumes_in_17_regions_take_at_most_700_calls() -> None:
    def answer(call: Call) -> Any:
        if call.operation != "describe_volumes":
            return Empty()
        page = int(call.params.get("NextToken", 0))
        first = int(call.region.rpartition("-")[2]) * 10_000 + page * 500
        found = [volume(first + number) for number in range(min(500, 589 - page * 500))]
        return {"Volumes": found, **({"NextToken": "1"} if page == 0 else {})}

    fake = FakeClients(answer)
    snapshot = cloud_of(fake, *REGIONS).snapshot()
    assert len(snapshot.items) == 17 * 589
    assert len(fake.made) <= 700


def test_a_denied_service_is_denied_and_the_others_are_listed() -> None:
    fake = FakeClients(lambda call: failure("AccessDenied") if call.service == "elbv2" else Empty())
    rows = {row.type: row for row in cloud_of(fake).snapshot().coverage}
    denied = {type_ for type_, row in rows.items() if row.status != "listed"}
    assert denied == {"elbv2:load-balancer", "elbv2:target-group"}
    assert rows["elbv2:target-group"].status == "denied"
    assert "AccessDenied" in rows["elbv2:target-group"].why


def test_nothing_of_a_listing_that_failed_half_way_is_shown() -> None:
    def answer(call: Call) -> Any:
        if call.operation != "describe_volumes":
            return Empty()
        if "NextToken" in call.params:
            return failure("InternalError", status=500)
        return {"Volumes": [volume()], "NextToken": "second"}

    snapshot = cloud_of(FakeClients(answer)).snapshot(["ec2:volume"])
    assert snapshot.items == ()
    assert [(row.status, row.count) for row in snapshot.coverage] == [("failed", 0)]


def test_garbage_is_collected_as_usual_again_after_a_listing() -> None:
    usual, meanwhile = gc.get_threshold(), []

    def tell(_line: str) -> None:
        meanwhile.append(gc.get_threshold())
        raise InterruptedError

    cloud = cloud_of(FakeClients())
    with pytest.raises(InterruptedError):
        cloud.snapshot(["ec2:volume"], tell)
    assert meanwhile[0] > usual == gc.get_threshold()
    cloud.snapshot(["ec2:volume"])
    assert gc.get_threshold() == usual


def test_a_type_that_is_not_known_is_not_listed() -> None:
    [row] = cloud_of(FakeClients()).snapshot(["ec2:moon"]).coverage
    assert row.status == "failed"


def test_reading_tells_what_is_gone_and_raises_when_it_cannot() -> None:
    fake = FakeClients(only("describe_volumes", {"Volumes": [volume(1)]}))
    cloud = cloud_of(fake)
    here, gone = (Ref(type="ec2:volume", region="r1", id=f"vol-{n}") for n in (1, 2))
    found = cloud.read([here, gone])
    assert found[gone] is None
    assert found[here] == cloud.snapshot(["ec2:volume"]).items[0]
    fake.answer = only("describe_volumes", failure("UnauthorizedOperation"))
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        cloud.read([here])
    with pytest.raises(MlstacksError, match="no type"):
        cloud.read([Ref(type="ec2:moon", region="r1", id="x")])


def test_a_hundred_things_are_read_in_one_call() -> None:
    fake = FakeClients()
    refs = [Ref(type="ec2:volume", region="r1", id=f"vol-{n}") for n in range(100)]
    assert set(cloud_of(fake).read(refs).values()) == {None}
    assert len(fake.made) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidVolume.NotFound", "deleted"),
        ("VolumeInUse", "retry"),
        ("RequestLimitExceeded", "retry"),
        ("UnauthorizedOperation", "refused"),
        ("AuthFailure", "refused"),
        ("SomethingNew", "refused"),
    ],
)
def test_an_error_decides_whether_a_deletion_is_tried_again(code: str, status: str) -> None:
    fake = FakeClients(only("delete_volume", failure(code)))
    outcome = cloud_of(fake).delete(item("ec2:volume"))
    assert outcome.status == status
    assert code in outcome.why or status == "deleted"


def test_an_interface_that_a_service_holds_is_awaited_and_not_touched() -> None:
    fake = FakeClients(only("delete_network_interface", failure("InvalidParameterValue")))
    cloud = cloud_of(fake)
    managed = item("ec2:network-interface", managed="true", state="in-use")
    attached = item("ec2:network-interface", state="in-use")
    assert {cloud.delete(managed).status, cloud.delete(attached).status} == {"retry"}
    assert fake.made == []
    assert cloud.delete(item("ec2:network-interface", state="available")).status == "retry"


@pytest.mark.parametrize(("exists", "status"), [(False, "deleted"), (True, "refused")])
def test_an_autoscaling_group_is_gone_only_if_it_is_not_there(exists: bool, status: str) -> None:
    group = {"AutoScalingGroupName": "x", "CreatedTime": 1}

    def answer(call: Call) -> Any:
        if call.operation == "delete_auto_scaling_group":
            return failure("ValidationError", "something is not valid")
        return {"AutoScalingGroups": [group] if exists else []}

    assert cloud_of(FakeClients(answer)).delete(item("autoscaling:group")).status == status


@pytest.mark.parametrize(
    ("code", "status"), [("UnauthorizedOperation", "refused"), ("NotFound", "deleted")]
)
def test_an_endpoint_that_aws_did_not_delete_is_no_success(code: str, status: str) -> None:
    answer = {"Unsuccessful": [{"Error": {"Code": code, "Message": "no"}, "ResourceId": "x"}]}
    fake = FakeClients(only("delete_vpc_endpoints", answer))
    assert cloud_of(fake).delete(item("ec2:vpc-endpoint")).status == status


def test_a_rule_that_is_gone_does_not_pass_for_a_group_that_is() -> None:
    pair = {"GroupId": "sg-other", "UserId": ACCOUNT}
    group = {
        "GroupId": "x",
        "GroupName": "n",
        "IpPermissions": [{"IpProtocol": "-1", "UserIdGroupPairs": [pair]}],
    }

    def answer(call: Call) -> Any:
        if call.operation == "revoke_security_group_ingress":
            return failure("InvalidPermission.NotFound")
        return Empty(SecurityGroups=[group])

    fake = FakeClients(answer)
    assert cloud_of(fake).delete(item("ec2:security-group")).status == "deleted"
    assert fake.operations()[-1] == "delete_security_group"


def test_what_goes_with_an_instance_is_not_listed_but_read() -> None:
    part = {"InstanceId": "i-1", "DeleteOnTermination": True}
    fake = FakeClients(only("describe_volumes", {"Volumes": [volume(1, Attachments=[part])]}))
    cloud = cloud_of(fake)
    assert cloud.snapshot(["ec2:volume"]).items == ()
    ref = Ref(type="ec2:volume", region="r1", id="vol-1")
    assert cloud.read([ref])[ref] is not None


@pytest.mark.parametrize(
    ("description", "holder"),
    [
        ("ELB a0123", "elb:load-balancer a0123 (r1)"),
        (
            "ELB app/k8s-web/0123456789abcdef",
            f"elbv2:load-balancer arn:aws:elasticloadbalancing:r1:{ACCOUNT}:"
            "loadbalancer/app/k8s-web/0123456789abcdef (r1)",
        ),
        ("EFS mount target for fs-0a1b (fsmt-1)", "efs:file-system fs-0a1b (r1)"),
        ("AWS Lambda VPC ENI-x", "aws:service AWS Lambda VPC ENI-x (r1)"),
    ],
)
def test_a_descriptions_holder_holds_while_the_interface_is_in_use(
    description: str, holder: str
) -> None:
    raw = {"NetworkInterfaceId": "eni-1", "Status": "in-use", "Description": description}
    fake = FakeClients(only("describe_network_interfaces", {"NetworkInterfaces": [raw]}))
    [listed] = cloud_of(fake).snapshot(["ec2:network-interface"]).items
    assert [str(ref) for ref in listed.used_by] == [holder]
    raw["Status"] = "available"
    [listed] = cloud_of(fake).snapshot(["ec2:network-interface"]).items
    assert listed.used_by == ()


@pytest.mark.parametrize(
    ("state", "held"), [("running", True), ("stopped", True), ("terminated", False)]
)
def test_a_spare_interface_of_a_node_is_held_while_that_exists(state: str, held: bool) -> None:
    tags = [{"Key": "node.k8s.amazonaws.com/instance_id", "Value": "i-1"}]
    raw = {"NetworkInterfaceId": "e", "Status": "available", "TagSet": tags}
    node = {"InstanceId": "i-1", "State": {"Name": state}}

    def answer(call: Call) -> Any:
        if call.operation == "describe_instances":
            return {"Reservations": [{"Instances": [node]}]}
        return Empty(NetworkInterfaces=[raw])

    cloud = cloud_of(FakeClients(answer))
    [listed] = cloud.snapshot(["ec2:network-interface"]).items
    assert [str(ref) for ref in listed.used_by] == (["ec2:instance i-1 (r1)"] if held else [])
    assert cloud.read([listed.ref]) == {listed.ref: listed}


def test_a_clusters_own_interface_names_the_cluster_and_waits_for_nobody() -> None:
    raw = {"NetworkInterfaceId": "e", "Status": "in-use", "Description": "Amazon EKS ml-one"}
    fake = FakeClients(only("describe_network_interfaces", {"NetworkInterfaces": [raw]}))
    [listed] = cloud_of(fake).snapshot(["ec2:network-interface"]).items
    assert (listed.clusters, listed.used_by) == (("ml-one",), ())
    available = listed.model_copy(update={"facts": {**listed.facts, "state": "available"}})
    assert {cloud_of(fake).delete(one).status for one in (listed, available)} == {"retry"}
    assert "delete_network_interface" not in fake.operations()


def test_access_lists_are_not_asked_for_where_only_the_default_vpc_is() -> None:
    def answer(call: Call) -> Any:
        others = [] if call.region == "r1" else [{"VpcId": "vpc-2"}]
        return Empty(Vpcs=[{"VpcId": "vpc-1", "IsDefault": True}, *others])

    fake = FakeClients(answer)
    types = ["ec2:vpc", "ec2:network-acl"]
    assert cloud_of(fake, "r1", "r2").snapshot(types).unverified == ()
    assert [c.region for c in fake.made if c.operation == "describe_network_acls"] == ["r2"]


def clusters(*names: str) -> Answer:
    def answer(call: Call) -> Any:
        if call.operation == "describe_cluster":
            return {"cluster": {"name": call.params["name"], "status": "DELETING"}}
        return Empty(clusters=list(names))

    return answer


def test_a_cluster_that_exists_runs_in_whatever_state() -> None:
    assert cloud_of(FakeClients(clusters("one"))).running_clusters() == {("r1", "one"): True}


def test_a_region_whose_clusters_cannot_be_listed_is_not_known() -> None:
    def answer(call: Call) -> Any:
        if call.service == "eks" and call.region == "r2":
            return failure("AccessDeniedException")
        return clusters("one")(call)

    found = cloud_of(FakeClients(answer), "r1", "r2").running_clusters()
    assert found == {("r1", "one"): True, ("r2", "*"): None}


def test_a_snapshots_clusters_serve_one_answer_and_not_for_long() -> None:
    fake, clock = FakeClients(clusters("one")), Clock()
    cloud = cloud_of(fake, clock=clock)

    def asks() -> int:
        before = fake.operations().count("list_clusters")
        cloud.running_clusters()
        return fake.operations().count("list_clusters") - before

    cloud.snapshot()
    assert [asks(), asks()] == [0, 1]
    cloud.snapshot()
    clock.now += 61
    assert asks() == 1
    cloud.snapshot()
    cloud.delete(item("ec2:volume"))
    assert asks() == 1
    cloud.snapshot(["ec2:volume"])
    assert asks() == 1


@pytest.mark.parametrize("vanished", [1, 2, 7, 20, 21, 45])
def test_one_balancer_that_vanished_does_not_fail_the_others_tags(vanished: int) -> None:
    names = [f"lb-{number}" for number in range(1, 46)]
    rng = random.Random(vanished)
    gone = set(rng.sample(names, vanished))

    def answer(call: Call) -> Any:
        if call.operation == "describe_load_balancers" and call.service == "elb":
            return {"LoadBalancerDescriptions": [{"LoadBalancerName": name} for name in names]}
        if call.operation == "describe_tags":
            asked = call.params["LoadBalancerNames"]
            assert len(asked) <= 20
            if gone & set(asked):
                return failure("LoadBalancerNotFound")
            tags = [{"Key": "k", "Value": "v"}]
            return {"TagDescriptions": [{"LoadBalancerName": n, "Tags": tags} for n in asked]}
        return Empty()

    snapshot = cloud_of(FakeClients(answer)).snapshot(["elb:load-balancer"])
    assert snapshot.unverified == ()
    assert {i.ref.id for i in snapshot.items} == set(names) - gone
    assert all(i.tags == {"k": "v"} for i in snapshot.items)


def test_a_balancer_whose_tags_are_not_told_has_unreadable_ones() -> None:
    fake = FakeClients(
        only("describe_load_balancers", {"LoadBalancerDescriptions": [{"LoadBalancerName": "a"}]})
    )
    [listed] = cloud_of(fake).snapshot(["elb:load-balancer"]).items
    assert listed.tags is None


def test_balancers_tags_are_asked_for_page_by_page() -> None:
    def answer(call: Call) -> Any:
        if call.operation == "describe_tags":
            return {
                "TagDescriptions": [
                    {"ResourceArn": a, "Tags": []} for a in call.params["ResourceArns"]
                ]
            }
        if call.operation != "describe_target_groups":
            return Empty()
        page = int(call.params.get("Marker", 0))
        names = [f"{page}-{number}" for number in range(40)]
        groups = [{"TargetGroupArn": name, "TargetGroupName": name} for name in names]
        return {"TargetGroups": groups, **({"NextMarker": str(page + 1)} if page < 2 else {})}

    fake = FakeClients(answer)
    found = cloud_of(fake).snapshot(["elbv2:target-group"]).items
    assert len(found) == 120
    page = ["describe_target_groups", "describe_tags", "describe_tags"]
    assert fake.operations() == page * 3


def test_policy_documents_are_not_kept_in_memory() -> None:
    role: dict[str, Any] = {
        "RoleName": "ml-x",
        "Path": "/",
        "AssumeRolePolicyDocument": "{}" * 1000,
    }
    role |= {"RolePolicyList": [{"PolicyDocument": "{}"}], "InstanceProfileList": [
        {"InstanceProfileName": "p", "Roles": [{"AssumeRolePolicyDocument": "{}"}]}]}  # fmt: skip
    fake = FakeClients(only("get_account_authorization_details", Empty(RoleDetailList=[role])))
    memo = Memo()
    cloud = cloud_of(fake)
    details = _details(cloud._look("global", memo))
    assert "Document" not in repr(details)
    [profile] = details.roles[0]["InstanceProfileList"]
    assert profile == {"InstanceProfileName": "p"}
