"""For each resource type: make one in the emulator as Terraform would, and plan one like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Make = Callable[[Any, str, Mapping[str, str]], tuple[dict[str, Any], Callable[[], str]]]
"""Takes account, unique name and tags; gives the planned values and a function that makes it.

The function returns the id that ``terraform import`` wants.
"""

_TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"Service":"eks.amazonaws.com"}}]}'
)
_POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject",'
    '"Resource":"*"}]}'
)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": k, "Value": v} for k, v in tags.items()]


def _spec(kind: str, name: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tag_list({**tags, "Name": name})}]


def bucket(account, name, tags):
    s3 = account.client("s3")

    def make():
        s3.create_bucket(Bucket=name)
        if tags:
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(tags)})
        return name

    return {"bucket": name}, make


def repository(account, name, tags):
    def make():
        account.client("ecr").create_repository(repositoryName=name, tags=tag_list(tags))
        return name

    return {"name": name}, make


def role(account, name, tags):
    def make():
        account.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=_TRUST, Tags=tag_list(tags)
        )
        return name

    return {"name": name}, make


def policy(account, name, tags):
    def make():
        return account.client("iam").create_policy(
            PolicyName=name, Path="/mlstacks/", PolicyDocument=_POLICY, Tags=tag_list(tags)
        )["Policy"]["Arn"]

    return {"name": name}, make


def profile(account, name, tags):
    def make():
        account.client("iam").create_instance_profile(InstanceProfileName=name, Tags=tag_list(tags))
        return name

    return {"name": name}, make


def oidc_provider(account, name, tags):
    url = f"https://oidc.example.com/id/{name}"

    def make():
        return account.client("iam").create_open_id_connect_provider(
            Url=url, ThumbprintList=["a" * 40], Tags=tag_list(tags)
        )["OpenIDConnectProviderArn"]

    return {"url": url}, make


def log_group(account, name, tags):
    def make():
        logs = account.client("logs")
        logs.create_log_group(logGroupName=f"/aws/eks/{name}/cluster-2")
        logs.create_log_group(logGroupName=f"/aws/eks/{name}/cluster", tags=dict(tags))
        return f"/aws/eks/{name}/cluster"

    return {"name": f"/aws/eks/{name}/cluster"}, make


_ROLE_ARN = "arn:aws:iam::123456789012:role/eks"


def cluster(account, name, tags):
    def make():
        account.client("eks").create_cluster(
            name=name,
            roleArn=_ROLE_ARN,
            resourcesVpcConfig={"subnetIds": ["subnet-1"]},
            tags=dict(tags),
        )
        return name

    return {"name": name}, make


def node_group(account, name, tags):
    def make():
        cluster(account, name, {})[1]()
        account.client("eks").create_nodegroup(
            clusterName=name,
            nodegroupName="main",
            nodeRole=_ROLE_ARN,
            subnets=["subnet-1"],
            tags=dict(tags),
        )
        return f"{name}:main"

    return {"cluster_name": name, "node_group_name": "main"}, make


def launch_template(account, name, tags):
    def make():
        return account.client("ec2").create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"InstanceType": "t3.micro"},
            TagSpecifications=_spec("launch-template", name, tags),
        )["LaunchTemplate"]["LaunchTemplateId"]

    return {"name": name}, make


def _vpc_id(account, tags=(), name=""):
    return account.client("ec2").create_vpc(
        CidrBlock="10.0.0.0/16", TagSpecifications=_spec("vpc", name, dict(tags))
    )["Vpc"]["VpcId"]


def _subnet_id(account, vpc_id, tags=(), name=""):
    return account.client("ec2").create_subnet(
        VpcId=vpc_id,
        CidrBlock="10.0.1.0/24",
        TagSpecifications=_spec("subnet", name, dict(tags)),
    )["Subnet"]["SubnetId"]


def _after(name, tags, /, **values):
    return {"tags": {"Name": name}, "tags_all": {**tags, "Name": name}, **values}


def vpc(account, name, tags):
    return _after(name, tags, cidr_block="10.0.0.0/16"), lambda: _vpc_id(account, tags, name)


def subnet(account, name, tags):
    parent = _vpc_id(account)
    return (
        _after(name, tags, vpc_id=parent, cidr_block="10.0.1.0/24"),
        lambda: _subnet_id(account, parent, tags, name),
    )


def internet_gateway(account, name, tags):
    def make():
        return account.client("ec2").create_internet_gateway(
            TagSpecifications=_spec("internet-gateway", name, tags)
        )["InternetGateway"]["InternetGatewayId"]

    return _after(name, tags), make


def nat_gateway(account, name, tags):
    ec2 = account.client("ec2")
    place = _subnet_id(account, _vpc_id(account))

    def one():
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        return ec2.create_nat_gateway(
            SubnetId=place,
            AllocationId=address,
            TagSpecifications=_spec("natgateway", name, tags),
        )["NatGateway"]["NatGatewayId"]

    def make():
        ec2.delete_nat_gateway(NatGatewayId=one())
        return one()

    return _after(name, tags, subnet_id=place), make


def eip(account, name, tags):
    def make():
        return account.client("ec2").allocate_address(
            Domain="vpc", TagSpecifications=_spec("elastic-ip", name, tags)
        )["AllocationId"]

    return _after(name, tags), make


def _table_id(account, vpc_id, tags=(), name=""):
    return account.client("ec2").create_route_table(
        VpcId=vpc_id, TagSpecifications=_spec("route-table", name, dict(tags))
    )["RouteTable"]["RouteTableId"]


def route_table(account, name, tags):
    parent = _vpc_id(account)
    return (
        _after(name, tags, vpc_id=parent),
        lambda: _table_id(account, parent, tags, name),
    )


def _group_id(account, name, vpc_id, tags):
    return account.client("ec2").create_security_group(
        GroupName=name,
        Description="x",
        VpcId=vpc_id,
        TagSpecifications=_spec("security-group", name, tags),
    )["GroupId"]


def security_group(account, name, tags):
    parent = _vpc_id(account)
    return (
        _after(name, tags, name=name, vpc_id=parent),
        lambda: _group_id(account, name, parent, tags),
    )


def vpc_endpoint(account, name, tags):
    parent, service = _vpc_id(account), "com.amazonaws.us-east-1.s3"

    def make():
        return account.client("ec2").create_vpc_endpoint(
            VpcId=parent,
            ServiceName=service,
            TagSpecifications=_spec("vpc-endpoint", name, tags),
        )["VpcEndpoint"]["VpcEndpointId"]

    return _after(name, tags, vpc_id=parent, service_name=service), make


def route(account, name, tags):
    ec2 = account.client("ec2")
    parent = _vpc_id(account)
    table = _table_id(account, parent, tags, name)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=parent)

    def make():
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        return f"{table}_0.0.0.0/0"

    return {"route_table_id": table, "destination_cidr_block": "0.0.0.0/0"}, make


def route_table_association(account, name, tags):
    parent = _vpc_id(account)
    place, table = _subnet_id(account, parent), _table_id(account, parent, tags, name)

    def make():
        account.client("ec2").associate_route_table(SubnetId=place, RouteTableId=table)
        return f"{place}/{table}"

    return {"subnet_id": place, "route_table_id": table}, make


def security_group_rule(account, name, tags):
    group = _group_id(account, name, _vpc_id(account), tags)

    def make():
        account.client("ec2").authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 443,
                    "ToPort": 443,
                    "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "192.168.0.0/16"}],
                }
            ],
        )
        return f"{group}_ingress_tcp_443_443_10.0.0.0/8_192.168.0.0/16"

    return {
        "security_group_id": group,
        "type": "ingress",
        "protocol": "tcp",
        "from_port": 443,
        "to_port": 443,
        "cidr_blocks": ["10.0.0.0/8", "192.168.0.0/16"],
        "ipv6_cidr_blocks": None,
        "self": False,
    }, make


def ingress_rule(account, name, tags):
    group = _group_id(account, name, _vpc_id(account), tags)

    def make():
        return account.client("ec2").authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 80,
                    "ToPort": 90,
                    "UserIdGroupPairs": [{"GroupId": group}],
                }
            ],
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    return {
        "security_group_id": group,
        "ip_protocol": "tcp",
        "from_port": 80,
        "to_port": 90,
        "referenced_security_group_id": group,
    }, make


def egress_rule(account, name, tags):
    group = _group_id(account, name, _vpc_id(account), tags)

    def make():
        return account.client("ec2").authorize_security_group_egress(
            GroupId=group,
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}],
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    return {"security_group_id": group, "ip_protocol": "-1", "cidr_ipv4": "10.1.0.0/16"}, make


NAMED: Mapping[str, Make] = {
    "aws_cloudwatch_log_group": log_group,
    "aws_ecr_repository": repository,
    "aws_eks_cluster": cluster,
    "aws_eks_node_group": node_group,
    "aws_iam_instance_profile": profile,
    "aws_iam_openid_connect_provider": oidc_provider,
    "aws_iam_policy": policy,
    "aws_iam_role": role,
    "aws_launch_template": launch_template,
    "aws_s3_bucket": bucket,
}
MARKED: Mapping[str, Make] = {
    "aws_eip": eip,
    "aws_internet_gateway": internet_gateway,
    "aws_nat_gateway": nat_gateway,
    "aws_route_table": route_table,
    "aws_security_group": security_group,
    "aws_subnet": subnet,
    "aws_vpc": vpc,
    "aws_vpc_endpoint": vpc_endpoint,
}
PARTS: Mapping[str, Make] = {
    "aws_route": route,
    "aws_route_table_association": route_table_association,
    "aws_security_group_rule": security_group_rule,
    "aws_vpc_security_group_egress_rule": egress_rule,
    "aws_vpc_security_group_ingress_rule": ingress_rule,
}
NOT_IN_MOTO = {
    "aws_eks_access_entry",
    "aws_eks_addon",
    "aws_eks_pod_identity_association",
}
"""Types whose calls moto doesn't know (it answers 404 with a page of HTML)."""
