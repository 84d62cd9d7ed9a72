"""Instances, launch templates, autoscaling groups, volumes and snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlstacks_dagster.sweep.aws.ec2_listing import (
    TAG_PROOFS,
    VPC_PROOFS,
    Listing,
    flag,
    marked_only,
)
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws.prices import by_class, per_gib
from mlstacks_dagster.sweep.aws_session import error_code
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS"]

_GOES_ALONG = "goes-with-instance"
_GROUPS_PAGE = 100
_GROUP_TAG = "aws:autoscaling:groupName"
_NODEGROUP_TAGS = ("eks:cluster-name", "eks:nodegroup-name")


def _groups(look: Look) -> list[Raw]:
    """Return the region's autoscaling groups, asked for once."""
    operation, key = "describe_auto_scaling_groups", "AutoScalingGroups"
    return look.once(
        "autoscaling:groups", lambda: list(look.pages("autoscaling", operation, key, _GROUPS_PAGE))
    )


def _holding_group(look: Look, name: str | None) -> tuple[Ref, ...]:
    """Return the autoscaling group that would replace an instance, if it exists."""
    if not name or all(raw["AutoScalingGroupName"] != name for raw in _groups(look)):
        return ()
    return look.refs("autoscaling:group", [name])


def _holding_nodegroup(look: Look, tags: Mapping[str, str]) -> tuple[Ref, ...]:
    """Return the EKS nodegroup that an autoscaling group is a part of, if it exists."""
    cluster, name = (tags.get(key, "") for key in _NODEGROUP_TAGS)
    if not cluster or cluster not in look.cluster_names():
        return ()
    known = look.once(f"eks:nodegroups {cluster}", lambda: _nodegroups(look, cluster))
    return look.refs("eks:nodegroup", [f"{cluster}/{name}"] if name in known else ())


def _nodegroups(look: Look, cluster: str) -> list[str]:
    operation, key = "list_nodegroups", "nodegroups"
    try:
        return list(look.pages("eks", operation, key, 100, clusterName=cluster))
    except Exception as error:
        if meaning(error) != "gone":
            raise
        return []


def _instance(look: Look, raw: Raw) -> Item | None:
    state = raw["State"]["Name"]
    if state == "terminated":
        return None
    tags = tag_map(raw.get("Tags", ()))
    interfaces = raw.get("NetworkInterfaces", ())
    groups = [*raw.get("SecurityGroups", ()), *(g for i in interfaces for g in i.get("Groups", ()))]
    return look.item(
        "ec2:instance",
        raw["InstanceId"],
        tags=tags,
        created=epoch(raw.get("LaunchTime")),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=(
            *look.refs(
                "ec2:subnet", [raw.get("SubnetId"), *(i.get("SubnetId") for i in interfaces)]
            ),
            *look.refs("ec2:security-group", [group["GroupId"] for group in groups]),
            *look.refs("ec2:volume", _kept_volumes(raw)),
        ),
        used_by=_holding_group(look, tags.get(_GROUP_TAG)),
        facts={"state": state, "class": raw.get("InstanceType")},
    )


def _kept_volumes(raw: Raw) -> Iterator[str]:
    """Yield the volumes that stay when the instance goes."""
    for mapping in raw.get("BlockDeviceMappings", ()):
        ebs = mapping.get("Ebs", {})
        if ebs.get("VolumeId") and not ebs.get("DeleteOnTermination"):
            yield ebs["VolumeId"]


def _terminate(look: Look, item: Item) -> str | None:
    if item.used_by:
        return f"{item.used_by[0]} would replace it; it goes with that"
    look.call("ec2", "terminate_instances", InstanceIds=[item.ref.id])
    return None


def _template(look: Look, raw: Raw) -> Item:
    return look.item(
        "ec2:launch-template",
        raw["LaunchTemplateId"],
        name=raw["LaunchTemplateName"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreateTime")),
    )


def _delete_template(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_launch_template", LaunchTemplateId=item.ref.id)
    return None


def _group(look: Look, raw: Raw) -> Item:
    mixed = raw.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    template = raw.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification", {})
    tags = tag_map(raw.get("Tags", ()))
    return look.item(
        "autoscaling:group",
        raw["AutoScalingGroupName"],
        name=raw["AutoScalingGroupName"],
        tags=tags,
        created=epoch(raw.get("CreatedTime")),
        uses=(
            *look.refs("ec2:launch-template", [template.get("LaunchTemplateId")]),
            *look.refs("ec2:subnet", raw.get("VPCZoneIdentifier", "").split(",")),
            *look.refs("elbv2:target-group", raw.get("TargetGroupARNs", ())),
        ),
        used_by=_holding_nodegroup(look, tags),
        facts={"instances": len(raw.get("Instances", ())), "state": raw.get("Status")},
    )


def _find_groups(look: Look) -> Iterator[Item]:
    return (_group(look, raw) for raw in _groups(look))


def _read_groups(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for names in batches(list(ids), 50):
        for raw in look.pages(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            _GROUPS_PAGE,
            AutoScalingGroupNames=list(names),
        ):
            yield _group(look, raw)


def _delete_group(look: Look, item: Item) -> str | None:
    if item.used_by:
        return f"it goes with {item.used_by[0]}"
    try:
        look.call(
            "autoscaling",
            "delete_auto_scaling_group",
            AutoScalingGroupName=item.ref.id,
            ForceDelete=True,
        )
    except Exception as error:
        # AWS has one code for "not found" and for everything else that is wrong.
        if error_code(error) != "ValidationError" or list(_read_groups(look, [item.ref.id])):
            raise
    return None


def _volume(look: Look, raw: Raw) -> Item:
    attached = [a for a in raw.get("Attachments", ()) if a.get("InstanceId")]
    tags = tag_map(raw.get("Tags", ()))
    claim = [tags.get(f"kubernetes.io/created-for/pvc/{k}", "") for k in ("namespace", "name")]
    return look.item(
        "ec2:volume",
        raw["VolumeId"],
        tags=tags,
        created=epoch(raw.get("CreateTime")),
        used_by=look.refs("ec2:instance", [a["InstanceId"] for a in attached]),
        facts={
            "size-gib": raw.get("Size"),
            "state": raw.get("State"),
            "class": raw.get("VolumeType"),
            "zone": raw.get("AvailabilityZone"),
            "claim": "/".join(claim) if all(claim) else "",
            "csi-volume": tags.get("CSIVolumeName"),
            _GOES_ALONG: flag(any(a.get("DeleteOnTermination") for a in attached)),
        },
    )


def _find_volumes(look: Look) -> Iterator[Item]:
    """Yield volumes, but for those that are a part of an instance and go with it."""
    return (item for item in _VOLUMES.find(look) if _GOES_ALONG not in item.facts)


def _delete_volume(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_volume", VolumeId=item.ref.id)
    return None


def _snapshot(look: Look, raw: Raw) -> Item | None:
    if raw.get("OwnerId") not in (None, look.account):
        return None
    return look.item(
        "ec2:snapshot",
        raw["SnapshotId"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("StartTime")),
        facts={
            "size-gib": raw.get("VolumeSize"),
            "state": raw.get("State"),
            "volume": raw.get("VolumeId"),
            "description": raw.get("Description"),
        },
    )


def _delete_snapshot(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_snapshot", SnapshotId=item.ref.id)
    return None


_INSTANCES = Listing(
    "describe_instances", "Reservations", 1000, _instance, "instance-id", unwrap="Instances"
)
_TEMPLATES = Listing(
    "describe_launch_templates", "LaunchTemplates", 200, _template, "launch-template-id"
)
_VOLUMES = Listing("describe_volumes", "Volumes", 1000, _volume, "volume-id", narrow=marked_only)
_SNAPSHOTS = Listing(
    "describe_snapshots",
    "Snapshots",
    1000,
    _snapshot,
    "snapshot-id",
    narrow=marked_only,
    more={"OwnerIds": ["self"]},
)

HANDLERS = (
    Handler(
        Kind(
            "autoscaling:group",
            "Autoscaling group",
            15,
            proofs=TAG_PROOFS,
            held_by=("eks:nodegroup",),
        ),
        _find_groups,
        _delete_group,
        _read_groups,
        codes={"ResourceContention": "busy"},
    ),
    Handler(
        Kind(
            "ec2:instance",
            "EC2 instance",
            20,
            usd_per_month=by_class(),
            proofs=VPC_PROOFS,
            held_by=("autoscaling:group",),
        ),
        _INSTANCES.find,
        _terminate,
        _INSTANCES.read,
    ),
    Handler(
        Kind(
            "ec2:launch-template",
            "Launch template",
            35,
            proofs=TAG_PROOFS,
            held_by=("autoscaling:group", "eks:nodegroup"),
        ),
        _TEMPLATES.find,
        _delete_template,
    ),
    Handler(
        Kind(
            "ec2:volume",
            "EBS volume",
            60,
            data=True,
            usd_per_month=per_gib(0.08),
            proofs=TAG_PROOFS,
        ),
        _find_volumes,
        _delete_volume,
        _VOLUMES.read,
    ),
    Handler(
        Kind(
            "ec2:snapshot",
            "EBS snapshot",
            62,
            data=True,
            usd_per_month=per_gib(0.05),
            proofs=TAG_PROOFS,
        ),
        _SNAPSHOTS.find,
        _delete_snapshot,
        _SNAPSHOTS.read,
    ),
)
