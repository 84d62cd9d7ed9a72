"""Each rule: the wrong order is refused with the cloud's own code, the right order leaves nothing.

moto alone would accept every one of the wrong orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import REGION, Client


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


@pytest.fixture
def ec2(client: Client) -> Any:
    return client("ec2")


@pytest.fixture
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def subnet(ec2: Any, vpc: str) -> str:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=REGION + "a")
    return str(made["Subnet"]["SubnetId"])


@pytest.fixture
def other_subnet(ec2: Any, vpc: str) -> str:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24", AvailabilityZone=REGION + "b")
    return str(made["Subnet"]["SubnetId"])


@pytest.fixture
def group(ec2: Any, vpc: str) -> str:
    return new_group(ec2, vpc, "one")


def new_group(ec2: Any, vpc: str, name: str) -> str:
    made = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)
    return str(made["GroupId"])


def reference(group: str) -> list[dict[str, Any]]:
    return [
        {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "UserIdGroupPairs": [{"GroupId": group}],
        }
    ]


@pytest.fixture
def internet_gateway(ec2: Any, vpc: str) -> str:
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return str(gateway)


@pytest.fixture
def address(ec2: Any) -> str:
    return str(ec2.allocate_address(Domain="vpc")["AllocationId"])


@pytest.fixture
def nat(ec2: Any, subnet: str, address: str) -> str:
    made = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
    return str(made["NatGateway"]["NatGatewayId"])


@pytest.fixture
def interface(ec2: Any, subnet: str, group: str) -> str:
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def test_a_security_group_stays_while_an_interface_uses_it(
    ec2: Any, group: str, interface: str
) -> None:
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_security_group(GroupId=group)
    with refused("InvalidGroup.NotFound"):
        ec2.delete_security_group(GroupId=group)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_security_group_stays_while_another_refers_to_it(
    ec2: Any, vpc: str, group: str, direction: str
) -> None:
    referrer = new_group(ec2, vpc, "two")
    rules = {"GroupId": referrer, "IpPermissions": reference(group)}
    getattr(ec2, f"authorize_security_group_{direction}")(**rules)
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    getattr(ec2, f"revoke_security_group_{direction}")(**rules)
    ec2.delete_security_group(GroupId=group)


def test_a_security_group_that_refers_to_itself_can_go(ec2: Any, group: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=reference(group))
    ec2.delete_security_group(GroupId=group)


def test_two_groups_that_refer_to_each_other_hold_each_other(
    ec2: Any, vpc: str, group: str
) -> None:
    other = new_group(ec2, vpc, "two")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=reference(other))
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=reference(group))
    for held in (group, other):
        with refused("DependencyViolation"):
            ec2.delete_security_group(GroupId=held)
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=reference(group))
    ec2.delete_security_group(GroupId=group)
    ec2.delete_security_group(GroupId=other)


def test_a_subnet_stays_while_an_interface_is_in_it(ec2: Any, subnet: str, interface: str) -> None:
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_subnet(SubnetId=subnet)


def test_a_subnet_stays_while_an_instance_runs_in_it(ec2: Any, subnet: str) -> None:
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    ec2.terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])
    ec2.delete_subnet(SubnetId=subnet)


def test_a_subnet_stays_while_a_nat_gateway_is_in_it(ec2: Any, subnet: str, nat: str) -> None:
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.delete_subnet(SubnetId=subnet)
    here = [{"Name": "subnet-id", "Values": [subnet]}]
    assert not ec2.describe_network_interfaces(Filters=here)["NetworkInterfaces"]


def test_a_subnet_that_goes_frees_its_route_table(ec2: Any, vpc: str, subnet: str) -> None:
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    with refused("DependencyViolation"):
        ec2.delete_route_table(RouteTableId=table)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_route_table(RouteTableId=table)


def test_the_interface_of_a_nat_gateway_goes_only_with_it(ec2: Any, nat: str) -> None:
    found = ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]
    interface = found["NatGatewayAddresses"][0]["NetworkInterfaceId"]
    with refused("InvalidParameterValue"):
        ec2.delete_network_interface(NetworkInterfaceId=interface)


def test_an_address_stays_while_a_nat_gateway_holds_it(ec2: Any, nat: str, address: str) -> None:
    with refused("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=address)
    held = ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]
    with refused("AuthFailure"):
        ec2.disassociate_address(AssociationId=held["AssociationId"])
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.release_address(AllocationId=address)
    with refused("InvalidAllocationID.NotFound"):
        ec2.describe_addresses(AllocationIds=[address])


def test_an_address_of_an_interface_is_released_after_it_was_unmapped(
    ec2: Any, interface: str, address: str
) -> None:
    made = ec2.associate_address(AllocationId=address, NetworkInterfaceId=interface)
    with refused("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=address)
    ec2.disassociate_address(AssociationId=made["AssociationId"])
    ec2.release_address(AllocationId=address)


def test_a_nat_gateway_that_never_was_is_reported_not_found(ec2: Any) -> None:
    with refused("NatGatewayNotFound"):
        ec2.delete_nat_gateway(NatGatewayId="nat-0123456789abcdef0")


def test_an_internet_gateway_stays_while_public_addresses_are_mapped(
    ec2: Any, vpc: str, internet_gateway: str, nat: str
) -> None:
    detach = {"InternetGatewayId": internet_gateway, "VpcId": vpc}
    with refused("DependencyViolation"):
        ec2.detach_internet_gateway(**detach)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.detach_internet_gateway(**detach)
    ec2.delete_internet_gateway(InternetGatewayId=internet_gateway)


def test_public_addresses_of_another_network_hold_no_gateway(
    ec2: Any, nat: str, internet_gateway: str
) -> None:
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=other)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=other)


def test_a_network_stays_while_an_internet_gateway_is_attached(
    ec2: Any, vpc: str, internet_gateway: str
) -> None:
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    ec2.detach_internet_gateway(InternetGatewayId=internet_gateway, VpcId=vpc)
    ec2.delete_vpc(VpcId=vpc)


def _security_group(ec2: Any, vpc: str) -> Callable[[], Any]:
    made = new_group(ec2, vpc, "extra")
    return lambda: ec2.delete_security_group(GroupId=made)


def _subnet(ec2: Any, vpc: str) -> Callable[[], Any]:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.7.0/24")["Subnet"]["SubnetId"]
    return lambda: ec2.delete_subnet(SubnetId=made)


def _route_table(ec2: Any, vpc: str) -> Callable[[], Any]:
    made = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return lambda: ec2.delete_route_table(RouteTableId=made)


def _network_acl(ec2: Any, vpc: str) -> Callable[[], Any]:
    made = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    return lambda: ec2.delete_network_acl(NetworkAclId=made)


def _gateway_endpoint(ec2: Any, vpc: str) -> Callable[[], Any]:
    made = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", VpcEndpointType="Gateway"
    )
    endpoint = made["VpcEndpoint"]["VpcEndpointId"]
    return lambda: ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])


@pytest.mark.parametrize(
    "part", [_security_group, _subnet, _route_table, _network_acl, _gateway_endpoint]
)
def test_a_network_stays_while_it_has_parts(
    ec2: Any, vpc: str, part: Callable[[Any, str], Callable[[], Any]]
) -> None:
    remove = part(ec2, vpc)
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    remove()
    ec2.delete_vpc(VpcId=vpc)


def test_a_network_that_goes_takes_its_defaults_along(ec2: Any, vpc: str) -> None:
    ec2.delete_vpc(VpcId=vpc)
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    assert not ec2.describe_network_acls(Filters=here)["NetworkAcls"]
    assert not ec2.describe_security_groups(Filters=here)["SecurityGroups"]
    assert not ec2.describe_route_tables(Filters=here)["RouteTables"]


@pytest.mark.usefixtures("internet_gateway")
def test_a_load_balancer_holds_its_subnets_groups_and_the_gateway(
    ec2: Any, client: Client, vpc: str, subnet: str, other_subnet: str, group: str
) -> None:
    elb = client("elbv2")
    made = elb.create_load_balancer(
        Name="lb", Subnets=[subnet, other_subnet], SecurityGroups=[group]
    )
    gateway = ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}]
    )["InternetGateways"][0]["InternetGatewayId"]
    calls = (
        lambda: ec2.delete_subnet(SubnetId=subnet),
        lambda: ec2.delete_security_group(GroupId=group),
        lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
    )
    for call in calls:
        with refused("DependencyViolation"):
            call()
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"])
    for call in calls:
        call()


def test_a_classic_load_balancer_holds_its_subnet(ec2: Any, client: Client, subnet: str) -> None:
    elb = client("elb")
    listener = {"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}
    elb.create_load_balancer(LoadBalancerName="old", Listeners=[listener], Subnets=[subnet])
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    elb.delete_load_balancer(LoadBalancerName="old")
    ec2.delete_subnet(SubnetId=subnet)


def test_a_load_balancer_with_deletion_protection_stays(
    client: Client, subnet: str, other_subnet: str
) -> None:
    elb = client("elbv2")
    made = elb.create_load_balancer(Name="guarded", Subnets=[subnet, other_subnet])
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]

    def protect(value: str) -> None:
        attribute = {"Key": "deletion_protection.enabled", "Value": value}
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])

    protect("true")
    with refused("OperationNotPermitted"):
        elb.delete_load_balancer(LoadBalancerArn=arn)
    protect("false")
    elb.delete_load_balancer(LoadBalancerArn=arn)
    with refused("LoadBalancerNotFound"):
        elb.describe_load_balancers(LoadBalancerArns=[arn])


def test_a_cluster_and_its_nodes_hold_their_subnets_and_groups(
    ec2: Any, client: Client, subnet: str, other_subnet: str, group: str
) -> None:
    eks = client("eks")
    role = "arn:aws:iam::123456789012:role/r"
    network = {"subnetIds": [subnet], "securityGroupIds": [group]}
    eks.create_cluster(name="c", roleArn=role, resourcesVpcConfig=network)
    eks.create_nodegroup(clusterName="c", nodegroupName="n", subnets=[other_subnet], nodeRole=role)
    for call in (
        lambda: ec2.delete_subnet(SubnetId=subnet),
        lambda: ec2.delete_subnet(SubnetId=other_subnet),
        lambda: ec2.delete_security_group(GroupId=group),
    ):
        with refused("DependencyViolation"):
            call()
    eks.delete_nodegroup(clusterName="c", nodegroupName="n")
    ec2.delete_subnet(SubnetId=other_subnet)
    eks.delete_cluster(name="c")
    ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet)
