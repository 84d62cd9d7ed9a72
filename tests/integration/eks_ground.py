"""Makes single things in one region of an emulated account, by plain calls, named as sweeps do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from mlstacks_dagster.sweep.marks import DataClass, ownership_marks

__all__ = ["ACCOUNT", "Ground", "Owner", "Planted", "pairs", "policy", "trust"]

ACCOUNT = "123456789012"
_IMAGE = "ami-12c6146b"

Tags = Mapping[str, str]
ClientMaker = Callable[[str, str], Any]


@dataclass(frozen=True)
class Owner:
    """A stack of an installation, as what it makes says it."""

    install: str
    stack_id: str

    @property
    def cluster(self) -> str:
        return f"ml-{self.stack_id}"

    @property
    def of_cluster(self) -> dict[str, str]:
        """The tag that AWS's own controllers write."""
        return {f"kubernetes.io/cluster/{self.cluster}": "owned"}

    @property
    def of_balancers(self) -> dict[str, str]:
        """The tag that the controller of load balancers writes instead."""
        return {"elbv2.k8s.aws/cluster": self.cluster}

    def marks(self, data: DataClass = "none", *, protect: bool = False) -> dict[str, str]:
        return ownership_marks(
            self.install, self.stack_id, "eks", "cluster", 1_700_000_000, None, data, protect
        )


@dataclass
class Planted:
    """What a sweep must find: ``plain`` goes, ``data`` goes when data is asked for, and stays
    with what it is in or needs until then.
    """

    plain: set[Ref] = field(default_factory=set)
    data: set[Ref] = field(default_factory=set)

    @property
    def all(self) -> set[Ref]:
        return self.plain | self.data


def pairs(tags: Tags, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: k, value: v} for k, v in tags.items()]


def trust(service: str = "ec2.amazonaws.com") -> str:
    return _document(Action="sts:AssumeRole", Principal={"Service": service})


def policy() -> str:
    return _document(Action="s3:GetObject", Resource="*")


def _document(**statement: Any) -> str:
    statements = [{"Effect": "Allow", **statement}]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Ground:
    """One region: each method makes one thing and returns its name in sweeps."""

    def __init__(self, clients: ClientMaker, region: str) -> None:
        self._clients, self.region = clients, region

    def client(self, service: str) -> Any:
        return self._clients(service, self.region)

    def ref(self, type_: str, identifier: str) -> Ref:
        region = GLOBAL if type_.startswith(("iam:", "s3:", "route53:")) else self.region
        return Ref(type=type_, region=region, id=identifier)

    def ec2(
        self, operation: str, key: str, id_key: str, type_: str, tags: Tags, **params: Any
    ) -> Ref:
        """Make something of EC2's that takes its tags when it is made."""
        kind = {"elastic-ip": "elastic-ip", "nat-gateway": "natgateway"}.get(type_, type_)
        if tags:
            params["TagSpecifications"] = [{"ResourceType": kind, "Tags": pairs(tags)}]
        made = getattr(self.client("ec2"), operation)(**params)
        return self.ref(f"ec2:{type_}", (made[key] if key else made)[id_key])

    def vpc(self, tags: Tags, block: str = "10.0.0.0/16") -> Ref:
        return self.ec2("create_vpc", "Vpc", "VpcId", "vpc", tags, CidrBlock=block)

    def subnet(self, vpc: Ref, tags: Tags, number: int = 1) -> Ref:
        return self.subnet_of(vpc, f"10.0.{number}.0/24", number, tags)

    def subnet_of(self, vpc: Ref, block: str, number: int, tags: Tags | None = None) -> Ref:
        zone = self.region + "ab"[number % 2]
        more = {"VpcId": vpc.id, "CidrBlock": block, "AvailabilityZone": zone}
        return self.ec2("create_subnet", "Subnet", "SubnetId", "subnet", tags or {}, **more)

    def group(self, vpc: Ref, name: str, tags: Tags, says: str = "") -> Ref:
        more = {"GroupName": name, "Description": says or name, "VpcId": vpc.id}
        return self.ec2("create_security_group", "", "GroupId", "security-group", tags, **more)

    def allow(self, group: Ref, named: Ref, direction: str = "ingress") -> None:
        """Let a rule of ``group`` name another group."""
        rule = {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "UserIdGroupPairs": [{"GroupId": named.id, "UserId": ACCOUNT}],
        }
        call = getattr(self.client("ec2"), f"authorize_security_group_{direction}")
        call(GroupId=group.id, IpPermissions=[rule])

    def interface(self, subnet: Ref, groups: Sequence[Ref], says: str, tags: Tags) -> Ref:
        more = {"SubnetId": subnet.id, "Groups": [g.id for g in groups], "Description": says}
        call, key = "create_network_interface", "NetworkInterface"
        return self.ec2(call, key, "NetworkInterfaceId", "network-interface", tags, **more)

    def address(self, tags: Tags) -> Ref:
        return self.ec2("allocate_address", "", "AllocationId", "elastic-ip", tags, Domain="vpc")

    def volume(self, tags: Tags) -> Ref:
        more = {"Size": 10, "AvailabilityZone": f"{self.region}a"}
        return self.ec2("create_volume", "", "VolumeId", "volume", tags, **more)

    def snapshot(self, volume: Ref, tags: Tags) -> Ref:
        return self.ec2("create_snapshot", "", "SnapshotId", "snapshot", tags, VolumeId=volume.id)

    def instance(self, subnet: Ref, groups: Sequence[Ref], tags: Tags) -> Ref:
        made = self.client("ec2").run_instances(
            ImageId=_IMAGE,
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet.id,
            SecurityGroupIds=[g.id for g in groups],
            TagSpecifications=[{"ResourceType": "instance", "Tags": pairs(tags)}] if tags else [],
        )
        return self.ref("ec2:instance", made["Instances"][0]["InstanceId"])

    def template(self, name: str, tags: Tags) -> Ref:
        data = {"ImageId": _IMAGE, "InstanceType": "m5.large"}
        more = {"LaunchTemplateName": name, "LaunchTemplateData": data}
        call, key = "create_launch_template", "LaunchTemplate"
        return self.ec2(call, key, "LaunchTemplateId", "launch-template", tags, **more)

    def scaling_group(self, name: str, template: Ref, subnet: Ref, tags: Tags) -> set[Ref]:
        """Make a group of one instance; returns both."""
        scaling = self.client("autoscaling")
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=1,
            MaxSize=1,
            VPCZoneIdentifier=subnet.id,
            LaunchTemplate={"LaunchTemplateId": template.id},
            Tags=[{**tag, "PropagateAtLaunch": True} for tag in pairs(tags)],
        )
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        [group] = found["AutoScalingGroups"]
        instances = {self.ref("ec2:instance", i["InstanceId"]) for i in group["Instances"]}
        return {self.ref("autoscaling:group", name), *instances}

    def classic(self, name: str, subnets: Sequence[Ref], groups: Sequence[Ref], tags: Tags) -> Ref:
        self.client("elb").create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
            Subnets=[s.id for s in subnets],
            SecurityGroups=[g.id for g in groups],
            Tags=pairs({"Name": name, **tags}),
        )
        return self.ref("elb:load-balancer", name)

    def balancer(
        self, name: str, kind: str, subnets: Sequence[Ref], groups: Sequence[Ref], tags: Tags
    ) -> Ref:
        made = self.client("elbv2").create_load_balancer(
            Name=name,
            Type=kind,
            Subnets=[s.id for s in subnets],
            SecurityGroups=[g.id for g in groups],
            Tags=pairs(tags),
        )
        return self.ref("elbv2:load-balancer", made["LoadBalancers"][0]["LoadBalancerArn"])

    def targets(
        self, name: str, vpc: Ref, tags: Tags, of: Ref | None = None, protocol: str = "HTTP"
    ) -> Ref:
        """Make a target group; a load balancer forwards to it, or none does any more."""
        elb = self.client("elbv2")
        made = elb.create_target_group(
            Name=name,
            Protocol=protocol,
            Port=80,
            VpcId=vpc.id,
            TargetType="ip",
            Tags=pairs(tags),
        )
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        if of is not None:
            elb.create_listener(
                LoadBalancerArn=of.id,
                Protocol=protocol,
                Port=80,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
            )
        return self.ref("elbv2:target-group", arn)

    def logs(self, name: str, tags: Tags) -> Ref:
        given = {"tags": dict(tags)} if tags else {}
        self.client("logs").create_log_group(logGroupName=name, **given)
        return self.ref("logs:log-group", name)

    def role(self, name: str, path: str, tags: Tags) -> Ref:
        """Make a role with a policy in it."""
        iam = self.client("iam")
        given = {"Path": path, "AssumeRolePolicyDocument": trust(), "Tags": pairs(tags)}
        iam.create_role(RoleName=name, **given)
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy())
        return self.ref("iam:role", name)

    def bucket(self, name: str, tags: Tags) -> Ref:
        """Make a bucket with versions, a delete marker and an unfinished upload."""
        s3 = self.client("s3")
        place = {"LocationConstraint": self.region}
        given = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": place}
        s3.create_bucket(Bucket=name, **given)
        if tags:
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(tags)})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket=name, Key="data", Body=body)
        s3.delete_object(Bucket=name, Key="data")
        s3.create_multipart_upload(Bucket=name, Key="unfinished")
        return self.ref("s3:bucket", name)

    def cluster(self, name: str, subnets: Sequence[Ref], groups: Sequence[Ref], tags: Tags) -> str:
        """Make a cluster; returns its ARN."""
        network = {"subnetIds": [s.id for s in subnets], "securityGroupIds": [g.id for g in groups]}
        made = self.client("eks").create_cluster(
            name=name,
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}",
            resourcesVpcConfig=network,
            tags=dict(tags),
        )
        return str(made["cluster"]["arn"])
