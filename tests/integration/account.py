"""What exists in an emulated AWS account: the witness that the tests trust instead of our code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3

__all__ = ["Account"]


class Account:
    """Lists everything that the AWS units can make, in one region."""

    def __init__(self, endpoint: str, region: str = "eu-north-1") -> None:
        self._endpoint = endpoint
        self._region = region

    def client(self, service: str) -> Any:
        """Return a client of the emulator with made-up credentials."""
        return boto3.client(
            service,
            region_name=self._region,
            endpoint_url=self._endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def everything(self) -> set[str]:
        """Return ``kind:id`` of all that exists."""
        return {*self._network(), *self._identity(), *self._storage(), *self._clusters()}

    def kinds(self) -> Counter[str]:
        """Return how many of each kind exist."""
        return Counter(item.split(":", 1)[0] for item in self.everything())

    def of_stack(self, stack_id: str) -> set[str]:
        """Return what carries a stack id in its name or tags, with its tags."""
        found = set()
        for page in (
            self.client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(TagFilters=[{"Key": "mlstacks-stack", "Values": [stack_id]}])
        ):
            for item in page["ResourceTagMappingList"]:
                tags = sorted((t["Key"], t["Value"]) for t in item["Tags"])
                found.add(f"{item['ResourceARN']}:{tags}")
        return found | {i for i in self.everything() if stack_id in i}

    def _network(self) -> Iterator[str]:
        ec2 = self.client("ec2")
        lists = {
            "vpc": ("describe_vpcs", "Vpcs", "VpcId"),
            "subnet": ("describe_subnets", "Subnets", "SubnetId"),
            "igw": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
            "rtb": ("describe_route_tables", "RouteTables", "RouteTableId"),
            "sg": ("describe_security_groups", "SecurityGroups", "GroupId"),
            "eni": ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
            "eip": ("describe_addresses", "Addresses", "AllocationId"),
            "template": ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
            "volume": ("describe_volumes", "Volumes", "VolumeId"),
        }
        for kind, (call, key, identifier) in lists.items():
            for item in getattr(ec2, call)()[key]:
                yield f"{kind}:{item[identifier]}"
        for nat in ec2.describe_nat_gateways()["NatGateways"]:
            if nat["State"] not in ("deleted", "deleting"):
                yield f"nat:{nat['NatGatewayId']}"
        for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
            if endpoint["State"] not in ("deleted", "deleting"):
                yield f"endpoint:{endpoint['VpcEndpointId']}"

    def _identity(self) -> Iterator[str]:
        iam = self.client("iam")
        for role in iam.list_roles()["Roles"]:
            yield f"role:{role['RoleName']}"
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                yield f"rolepolicy:{role['RoleName']}/{name}"
        for policy in iam.list_policies(Scope="Local")["Policies"]:
            yield f"policy:{policy['Arn']}"
        for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            yield f"oidc:{provider['Arn']}"
        for profile in iam.list_instance_profiles()["InstanceProfiles"]:
            yield f"profile:{profile['InstanceProfileName']}"

    def _storage(self) -> Iterator[str]:
        for bucket in self.client("s3").list_buckets()["Buckets"]:
            yield f"bucket:{bucket['Name']}"
        for repository in self.client("ecr").describe_repositories()["repositories"]:
            yield f"repository:{repository['repositoryName']}"
        for group in self.client("logs").describe_log_groups()["logGroups"]:
            yield f"loggroup:{group['logGroupName']}"

    def _clusters(self) -> Iterator[str]:
        eks = self.client("eks")
        for cluster in eks.list_clusters()["clusters"]:
            yield f"cluster:{cluster}"
            for group in eks.list_nodegroups(clusterName=cluster)["nodegroups"]:
                yield f"nodegroup:{cluster}/{group}"
