"""Lists what is in an emulated account by plain calls: the witness that is no reader of ours.

What comes and goes with something else (a VPC's default group, main table and list, a machine's
own disk and interface) is left out, and so is what is deleted or will be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mlstacks_dagster.sweep.inventory.model import Ref
from tests.integration.eks_ground import Ground

__all__ = ["everything"]

Raw = dict[str, Any]


class _List(NamedTuple):
    """How a service tells all of a type; ``sort`` picks what counts."""

    type: str
    operation: str
    key: str
    identifier: str
    sort: Callable[[Raw], bool] = lambda _raw: True
    params: Mapping[str, Any] = MappingProxyType({})


def _of_a_machine(raw: Raw) -> bool:
    """Tell whether a disk or an interface is a machine's first, which goes with it."""
    attachments = [*raw.get("Attachments", ()), raw.get("Attachment") or {}]
    return any(a.get("Device") == "/dev/sda1" or a.get("DeviceIndex") == 0 for a in attachments)


def _is_main(raw: Raw) -> bool:
    return any(one.get("Main") for one in raw["Associations"])


_EC2 = (
    _List("ec2:vpc", "describe_vpcs", "Vpcs", "VpcId"),
    _List("ec2:subnet", "describe_subnets", "Subnets", "SubnetId"),
    _List(
        "ec2:security-group",
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        lambda raw: bool(raw["GroupName"] != "default"),
    ),
    _List(
        "ec2:route-table",
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        lambda raw: not _is_main(raw),
    ),
    _List(
        "ec2:network-acl",
        "describe_network_acls",
        "NetworkAcls",
        "NetworkAclId",
        lambda raw: not raw["IsDefault"],
    ),
    _List(
        "ec2:internet-gateway",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
    ),
    _List(
        "ec2:network-interface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        lambda raw: not _of_a_machine(raw),
    ),
    _List("ec2:elastic-ip", "describe_addresses", "Addresses", "AllocationId"),
    _List(
        "ec2:nat-gateway",
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        lambda raw: bool(raw["State"] != "deleted"),
    ),
    _List(
        "ec2:vpc-endpoint",
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        lambda raw: bool(raw["State"] != "deleted"),
    ),
    _List(
        "ec2:launch-template",
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
    ),
    _List("ec2:volume", "describe_volumes", "Volumes", "VolumeId", lambda r: not _of_a_machine(r)),
    _List(
        "ec2:snapshot",
        "describe_snapshots",
        "Snapshots",
        "SnapshotId",
        # The emulator has hundreds of its images'.
        params={"Filters": [{"Name": "tag-key", "Values": ["CSIVolumeSnapshotName"]}]},
    ),
)

_REGIONAL = (
    _List(
        "autoscaling:group",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        "AutoScalingGroupName",
    ),
    _List(
        "elb:load-balancer",
        "describe_load_balancers",
        "LoadBalancerDescriptions",
        "LoadBalancerName",
    ),
    _List("elbv2:load-balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    _List("elbv2:target-group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    _List("efs:file-system", "describe_file_systems", "FileSystems", "FileSystemId"),
    _List("rds:instance", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    _List("rds:subnet-group", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    _List("ecr:repository", "describe_repositories", "repositories", "repositoryName"),
    _List("sagemaker:endpoint", "list_endpoints", "Endpoints", "EndpointName"),
    _List(
        "sagemaker:endpoint-config",
        "list_endpoint_configs",
        "EndpointConfigs",
        "EndpointConfigName",
    ),
    _List("sagemaker:model", "list_models", "Models", "ModelName"),
    _List("sagemaker:pipeline", "list_pipelines", "PipelineSummaries", "PipelineName"),
    _List(
        "sagemaker:notebook-instance",
        "list_notebook_instances",
        "NotebookInstances",
        "NotebookInstanceName",
    ),
    _List(
        "sagemaker:feature-group",
        "list_feature_groups",
        "FeatureGroupSummaries",
        "FeatureGroupName",
    ),
    _List(
        "sagemaker:mlflow-tracking-server",
        "list_mlflow_tracking_servers",
        "TrackingServerSummaries",
        "TrackingServerName",
    ),
    _List("logs:log-group", "describe_log_groups", "logGroups", "logGroupName"),
    _List("secretsmanager:secret", "list_secrets", "SecretList", "ARN"),
    _List("acm:certificate", "list_certificates", "CertificateSummaryList", "CertificateArn"),
    _List("events:rule", "list_rules", "Rules", "Name"),
)

_GLOBAL = (
    _List("iam:role", "list_roles", "Roles", "RoleName", params={"PathPrefix": "/"}),
    _List("iam:policy", "list_policies", "Policies", "Arn", params={"Scope": "Local"}),
    _List(
        "iam:instance-profile",
        "list_instance_profiles",
        "InstanceProfiles",
        "InstanceProfileName",
    ),
    _List(
        "iam:oidc-provider",
        "list_open_id_connect_providers",
        "OpenIDConnectProviderList",
        "Arn",
    ),
    _List("s3:bucket", "list_buckets", "Buckets", "Name"),
)


def everything(grounds: Sequence[Ground]) -> dict[Ref, Raw]:
    """Return what exists in these regions and globally, each as AWS describes it."""
    found = {**dict(_listed(grounds[0], _GLOBAL)), **dict(_names(grounds[0]))}
    for ground in grounds:
        found.update(_listed(ground, (*_EC2, *_REGIONAL)))
        found.update(_others(ground))
        found.update(_studios(ground))
        found.update(_packages(ground))
    return found


def _listed(ground: Ground, lists: Iterable[_List]) -> Iterator[tuple[Ref, Raw]]:
    for one in lists:
        service = one.type.partition(":")[0]
        answer = getattr(ground.client(service), one.operation)(**one.params)
        more = [answer.get(key) for key in ("NextToken", "nextToken", "Marker", "NextMarker")]
        assert not any(more), f"the witness reads one page of {one.type}"
        for raw in answer[one.key]:
            if one.sort(raw):
                yield ground.ref(one.type, raw[one.identifier]), _lasting(raw)


def _lasting(raw: Raw) -> Raw:
    """Return a description without what changes from look to look."""
    return {k: v for k, v in raw.items() if k not in ("LatestRestorableTime", "SizeInBytes")}


def _names(ground: Ground) -> Iterator[tuple[Ref, Raw]]:
    """Yield zones, and the records in those that no stack made."""
    route53 = ground.client("route53")
    for zone in route53.list_hosted_zones()["HostedZones"]:
        name = zone["Id"].removeprefix("/hostedzone/")
        own = zone["Name"].startswith("ml-")
        yield ground.ref("route53:hosted-zone", name), {"name": zone["Name"]}
        records = route53.list_resource_record_sets(HostedZoneId=name)["ResourceRecordSets"]
        for raw in () if own else records:
            yield ground.ref("route53:record-set", f"{name}/{raw['Name']}/{raw['Type']}"), raw


def _others(ground: Ground) -> Iterator[tuple[Ref, Raw]]:
    """Yield what takes more than one call, or is told otherwise than the rest."""
    for reservation in ground.client("ec2").describe_instances()["Reservations"]:
        for raw in reservation["Instances"]:
            if raw["State"]["Name"] != "terminated":
                yield ground.ref("ec2:instance", raw["InstanceId"]), raw
    for url in ground.client("sqs").list_queues().get("QueueUrls", ()):
        yield ground.ref("sqs:queue", url.rpartition("/")[2]), {"url": url}
    for name in ground.client("eks").list_clusters()["clusters"]:
        yield ground.ref("eks:cluster", name), {}
    kms = ground.client("kms")
    for key in kms.list_keys()["Keys"]:
        raw = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        if raw["KeyState"] != "PendingDeletion":
            yield ground.ref("kms:key", key["KeyId"]), raw


def _studios(ground: Ground) -> Iterator[tuple[Ref, Raw]]:
    """Yield SageMaker's domains, each with all that is inside."""
    sagemaker, inside = ground.client("sagemaker"), defaultdict[str, list[Raw]](list)
    for operation, key in (
        ("list_user_profiles", "UserProfiles"),
        ("list_spaces", "Spaces"),
        ("list_apps", "Apps"),
    ):
        answer = getattr(sagemaker, operation)(MaxResults=100)
        assert not answer.get("NextToken"), f"the witness reads one page of {key}"
        for raw in answer[key]:
            if raw["Status"] != "Deleted":
                inside[raw["DomainId"]].append(raw)
    for raw in sagemaker.list_domains()["Domains"]:
        ref = ground.ref("sagemaker:domain", raw["DomainId"])
        yield ref, {**raw, "inside": inside.pop(raw["DomainId"], [])}
    assert not inside, "what was inside of a domain outlived it"


def _packages(ground: Ground) -> Iterator[tuple[Ref, Raw]]:
    """Yield groups of model packages, each with its versions."""
    sagemaker, versions = ground.client("sagemaker"), defaultdict[str, list[Raw]](list)
    found = sagemaker.list_model_packages(ModelPackageType="Versioned", MaxResults=100)
    for raw in found["ModelPackageSummaryList"]:
        versions[raw["ModelPackageGroupName"]].append(raw)
    for raw in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]:
        name = raw["ModelPackageGroupName"]
        ref = ground.ref("sagemaker:model-package-group", name)
        yield ref, {**raw, "versions": versions.pop(name, [])}
    assert not versions, "versions of a model outlived their group"
