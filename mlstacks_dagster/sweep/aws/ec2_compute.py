"""Instances, launch templates, volumes and snapshots."""

from __future__ import annotations

from collections.abc import Iterator

from mlstacks_dagster.sweep.aws.autoscaling import group_names
from mlstacks_dagster.sweep.aws.ec2_listing import (
    GOES_ALONG,
    TAG_PROOFS,
    VPC_PROOFS,
    Listing,
    by,
    flag,
)
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws.prices import by_class, per_gib
from mlstacks_dagster.sweep.aws.services import may_be_ours
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref

__all__ = ["HANDLERS", "instances"]

_GROUP_TAG = "aws:autoscaling:groupName"


def instances(look: Look) -> frozenset[str]:
    """Return the ids of the region's instances that aren't terminated, asked for once."""
    return look.once(
        "instances:ids",
        lambda: frozenset(
            raw["InstanceId"] for raw in _raws(look) if raw["State"]["Name"] != "terminated"
        ),
    )


def _raws(look: Look) -> list[Raw]:
    return look.once("instances", lambda: list(_INSTANCES.raws(look)))


def _find_instances(look: Look) -> Iterator[Item]:
    return (item for raw in _raws(look) if (item := _instance(look, raw)) is not None)


def _holding_group(look: Look, name: str | None) -> tuple[Ref, ...]:
    """Return the autoscaling group that would replace an instance, if it exists."""
    return look.refs("autoscaling:group", [name if name and name in group_names(look) else None])


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
            *_profile(raw),
        ),
        used_by=_holding_group(look, tags.get(_GROUP_TAG)),
        facts={"state": state, "class": raw.get("InstanceType")},
    )


def _profile(raw: Raw) -> Iterator[Ref]:
    """Yield the instance profile: IAM lets one be deleted that instances still need."""
    arn = (raw.get("IamInstanceProfile") or {}).get("Arn", "")
    if arn:
        yield Ref(type="iam:instance-profile", region=GLOBAL, id=arn.rpartition("/")[2])


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
            GOES_ALONG: flag(any(a.get("DeleteOnTermination") for a in attached)),
        },
    )


def _find_volumes(look: Look) -> Iterator[Item]:
    """Yield volumes of anybody's stack or cluster, but for those that go with their instance."""
    return (i for i in _VOLUMES.find(look) if GOES_ALONG not in i.facts and may_be_ours(i))


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


def _find_snapshots(look: Look) -> Iterator[Item]:
    own = by("owner-id", [look.account])
    return (item for item in _SNAPSHOTS.find(look, own) if may_be_ours(item))


def _delete_snapshot(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_snapshot", SnapshotId=item.ref.id)
    return None


_INSTANCES = Listing(
    "describe_instances", "Reservations", 1000, _instance, "instance-id", unwrap="Instances"
)
_TEMPLATES = Listing(
    "describe_launch_templates", "LaunchTemplates", 200, _template, "launch-template-id"
)
_VOLUMES = Listing("describe_volumes", "Volumes", 1000, _volume, "volume-id")
_SNAPSHOTS = Listing(
    "describe_snapshots",
    "Snapshots",
    1000,
    _snapshot,
    "snapshot-id",
    more={"OwnerIds": ["self"]},
)

HANDLERS = (
    Handler(
        Kind(
            "ec2:instance",
            "EC2 instance",
            20,
            usd_per_month=by_class(),
            proofs=VPC_PROOFS,
            held_by=("autoscaling:group",),
        ),
        _find_instances,
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
        _find_snapshots,
        _delete_snapshot,
        _SNAPSHOTS.read,
    ),
)
