"""Instances, launch templates, autoscaling groups, volumes and snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlstacks_dagster.sweep.aws.ec2_listing import TAG_PROOFS, VPC_PROOFS, Listing, marked_only
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import by_class, per_gib
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_GROUP_TAG = "aws:autoscaling:groupName"
_NODEGROUP_TAGS = ("eks:cluster-name", "eks:nodegroup-name")


def _instance(look: Look, raw: Raw) -> Item | None:
    state = raw["State"]["Name"]
    if state == "terminated":
        return None
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", ())}
    nodegroup = [tags.get(key, "") for key in _NODEGROUP_TAGS]
    return look.item(
        "ec2:instance",
        raw["InstanceId"],
        tags=tags,
        created=epoch(raw.get("LaunchTime")),
        inside=(
            *look.refs("ec2:vpc", [raw.get("VpcId")]),
            *look.refs("autoscaling:group", [tags.get(_GROUP_TAG)]),
            *look.refs("eks:nodegroup", ["/".join(nodegroup)] if all(nodegroup) else []),
        ),
        uses=(
            *look.refs("ec2:subnet", [raw.get("SubnetId")]),
            *look.refs("ec2:security-group", [g["GroupId"] for g in raw.get("SecurityGroups", ())]),
            *look.refs("ec2:volume", _kept_volumes(raw)),
        ),
        facts={"state": state, "class": raw.get("InstanceType")},
    )


def _kept_volumes(raw: Raw) -> Iterator[str]:
    """Yield the volumes that stay when the instance goes."""
    for mapping in raw.get("BlockDeviceMappings", ()):
        ebs = mapping.get("Ebs", {})
        if ebs.get("VolumeId") and not ebs.get("DeleteOnTermination"):
            yield ebs["VolumeId"]


def _terminate(look: Look, item: Item) -> str | None:
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
    template = raw.get("LaunchTemplate") or raw.get("MixedInstancesPolicy", {}).get(
        "LaunchTemplate", {}
    ).get("LaunchTemplateSpecification", {})
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", ())}
    nodegroup = [tags.get(key, "") for key in _NODEGROUP_TAGS]
    arns = [*raw.get("TargetGroupARNs", ())]
    return look.item(
        "autoscaling:group",
        raw["AutoScalingGroupName"],
        name=raw["AutoScalingGroupName"],
        tags=tags,
        created=epoch(raw.get("CreatedTime")),
        inside=look.refs("eks:nodegroup", ["/".join(nodegroup)] if all(nodegroup) else []),
        uses=(
            *look.refs("ec2:launch-template", [template.get("LaunchTemplateId")]),
            *look.refs("ec2:subnet", raw.get("VPCZoneIdentifier", "").split(",")),
            *look.refs("elbv2:target-group", arns),
        ),
        facts={"instances": len(raw.get("Instances", ())), "state": raw.get("Status")},
    )


def _find_groups(look: Look) -> Iterator[Item]:
    pages = look.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", 100)
    return (_group(look, raw) for raw in pages)


def _read_groups(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for names in batches(list(ids), 50):
        for raw in look.pages(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            100,
            AutoScalingGroupNames=list(names),
        ):
            yield _group(look, raw)


def _delete_group(look: Look, item: Item) -> str | None:
    look.call(
        "autoscaling",
        "delete_auto_scaling_group",
        AutoScalingGroupName=item.ref.id,
        ForceDelete=True,
    )
    return None


def _volume(look: Look, raw: Raw) -> Item:
    attached = [a["InstanceId"] for a in raw.get("Attachments", ()) if a.get("InstanceId")]
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", ())}
    claim = [tags.get(f"kubernetes.io/created-for/pvc/{k}", "") for k in ("namespace", "name")]
    return look.item(
        "ec2:volume",
        raw["VolumeId"],
        tags=tags,
        created=epoch(raw.get("CreateTime")),
        used_by=look.refs("ec2:instance", attached),
        facts={
            "size-gib": raw.get("Size"),
            "state": raw.get("State"),
            "class": raw.get("VolumeType"),
            "zone": raw.get("AvailabilityZone"),
            "claim": "/".join(claim) if all(claim) else "",
            "csi-volume": tags.get("CSIVolumeName"),
        },
    )


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
        Kind("autoscaling:group", "Autoscaling group", 15, proofs=TAG_PROOFS),
        _find_groups,
        _delete_group,
        _read_groups,
        codes={"ResourceInUse": "busy", "ValidationError": "gone"},
    ),
    Handler(
        Kind("ec2:instance", "EC2 instance", 20, usd_per_month=by_class(), proofs=VPC_PROOFS),
        _INSTANCES.find,
        _terminate,
        _INSTANCES.read,
    ),
    Handler(
        Kind("ec2:launch-template", "Launch template", 35, proofs=TAG_PROOFS),
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
        _VOLUMES.find,
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
