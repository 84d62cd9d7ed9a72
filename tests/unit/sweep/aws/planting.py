"""What a cluster and its network leave in EC2 and the load balancers, and what only looks so."""

from __future__ import annotations

from typing import Any

from tests.unit.sweep.aws.conftest import ACCOUNT, Emulator

INSTALL = "inst1"
STACK = "sabcdefgh2345"
CLUSTER = f"ml-{STACK}"
OWN = {"mlstacks-install": INSTALL, "mlstacks-stack": STACK}
OF_CLUSTER = {f"kubernetes.io/cluster/{CLUSTER}": "owned"}
OTHERS = {"mlstacks-install": "inst2", "mlstacks-stack": STACK}


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def spec(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": listed(tags)}] if tags else []


def about(group: str, port: int = 443) -> list[dict[str, Any]]:
    """Return a rule that names another group."""
    pairs = [{"GroupId": group, "UserId": ACCOUNT}]
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs}]


class Planter:
    """Makes things in the emulator; ``left`` are the ids of what a sweep must delete."""

    def __init__(self, emulator: Emulator) -> None:
        self.region = emulator.region
        self.ec2 = emulator.client("ec2")
        self.elb = emulator.client("elb")
        self.elbv2 = emulator.client("elbv2")
        self.autoscaling = emulator.client("autoscaling")
        self.left: set[str] = set()

    def keep(self, identifier: str) -> str:
        self.left.add(identifier)
        return identifier

    def vpc(self, tags: dict[str, str], cidr: str = "10.0.0.0/16") -> str:
        made = self.ec2.create_vpc(CidrBlock=cidr, TagSpecifications=spec("vpc", tags))
        return str(made["Vpc"]["VpcId"])

    def subnet(self, vpc: str, tags: dict[str, str], number: int = 1) -> str:
        made = self.ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=self.region + "ab"[number % 2],
            TagSpecifications=spec("subnet", tags),
        )
        return str(made["Subnet"]["SubnetId"])

    def group(self, vpc: str, name: str, tags: dict[str, str]) -> str:
        made = self.ec2.create_security_group(
            GroupName=name,
            Description=name,
            VpcId=vpc,
            TagSpecifications=spec("security-group", tags),
        )
        return str(made["GroupId"])

    def interface(
        self, subnet: str, groups: list[str], description: str, tags: dict[str, str]
    ) -> str:
        made = self.ec2.create_network_interface(
            SubnetId=subnet,
            Groups=groups,
            Description=description,
            TagSpecifications=spec("network-interface", tags),
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def volume(self, tags: dict[str, str]) -> str:
        made = self.ec2.create_volume(
            Size=10,
            AvailabilityZone=self.region + "a",
            TagSpecifications=spec("volume", tags),
        )
        return str(made["VolumeId"])

    def balancer(self, name: str, subnets: list[str], groups: list[str], tags: Any) -> str:
        made = self.elbv2.create_load_balancer(
            Name=name, Subnets=subnets, SecurityGroups=groups, Tags=listed(tags)
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def target_group(self, name: str, vpc: str, tags: Any) -> str:
        made = self.elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip", Tags=listed(tags)
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def classic(self, name: str, subnets: list[str], groups: list[str], tags: Any) -> str:
        ports = [{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}]
        self.elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=ports,
            Subnets=subnets,
            SecurityGroups=groups,
            Tags=listed(tags),
        )
        return name

    def whole_stack(self) -> str:
        """Plant a network as Terraform leaves it half way, and what controllers left in it."""
        vpc = self.keep(self.vpc(OWN))
        subnets = [self.keep(self.subnet(vpc, OWN, number)) for number in (1, 2)]
        self.gateways(vpc, subnets[0])
        first, second = (
            self.keep(self.group(vpc, f"k8s-elb-{n}", OF_CLUSTER)) for n in ("one", "two")
        )
        self.ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=about(second))
        self.ec2.authorize_security_group_egress(GroupId=second, IpPermissions=about(first))
        self.keep(self.interface(subnets[0], [first], "aws-K8S-i-0123", {}))
        self.keep(self.group(vpc, f"GuardDutyManagedSecurityGroup-{vpc}", {}))
        self.keep(self.classic("a" + "0" * 31, subnets, [first], OF_CLUSTER))
        tags = {"elbv2.k8s.aws/cluster": CLUSTER}
        balancer = self.keep(self.balancer("k8s-ml-web", subnets, [second], tags))
        targets = self.keep(self.target_group("k8s-ml-web", vpc, tags))
        self.elbv2.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
        )
        self.nodes(subnets[1])
        self.keep(self.volume({**OF_CLUSTER, "CSIVolumeName": "pvc-1"}))
        return vpc

    def gateways(self, vpc: str, subnet: str) -> None:
        made = self.ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", OWN))
        gateway = self.keep(made["InternetGateway"]["InternetGatewayId"])
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        address = self.ec2.allocate_address(
            Domain="vpc", TagSpecifications=spec("elastic-ip", OWN)
        )["AllocationId"]
        made = self.ec2.create_nat_gateway(
            SubnetId=subnet, AllocationId=address, TagSpecifications=spec("natgateway", OWN)
        )
        self.left |= {address, made["NatGateway"]["NatGatewayId"]}
        table = self.ec2.create_route_table(VpcId=vpc, TagSpecifications=spec("route-table", OWN))[
            "RouteTable"
        ]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        acl = self.ec2.create_network_acl(VpcId=vpc, TagSpecifications=spec("network-acl", OWN))
        exit_ = self.ec2.create_egress_only_internet_gateway(
            VpcId=vpc, TagSpecifications=spec("egress-only-internet-gateway", OWN)
        )["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
        self.left |= {table, acl["NetworkAcl"]["NetworkAclId"], exit_}
        endpoint = self.ec2.create_vpc_endpoint(
            VpcId=vpc,
            VpcEndpointType="Interface",
            ServiceName=f"com.amazonaws.{self.region}.guardduty-data",
            SubnetIds=[subnet],
            TagSpecifications=spec("vpc-endpoint", {"GuardDutyManaged": "true"}),
        )
        self.keep(endpoint["VpcEndpoint"]["VpcEndpointId"])

    def nodes(self, subnet: str) -> None:
        made = self.ec2.create_launch_template(
            LaunchTemplateName=f"{CLUSTER}-nodes",
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m5.large"},
            TagSpecifications=spec("launch-template", OWN),
        )
        template = self.keep(made["LaunchTemplate"]["LaunchTemplateId"])
        name = self.keep(f"eks-{CLUSTER}")
        tags = {"eks:cluster-name": CLUSTER, "eks:nodegroup-name": "nodes", **OF_CLUSTER}
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=1,
            MaxSize=1,
            VPCZoneIdentifier=subnet,
            LaunchTemplate={"LaunchTemplateId": template},
            Tags=[{**tag, "PropagateAtLaunch": True} for tag in listed(tags)],
        )
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        self.left |= {i["InstanceId"] for i in found["AutoScalingGroups"][0]["Instances"]}
