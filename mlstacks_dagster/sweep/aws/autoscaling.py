"""Autoscaling groups, which replace the instances that are taken from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlstacks_dagster.sweep.aws.ec2_listing import TAG_PROOFS
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws_session import error_code
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS", "group_names"]

_GROUPS_PAGE = 100
_NODEGROUP_TAGS = ("eks:cluster-name", "eks:nodegroup-name")


def group_names(look: Look) -> frozenset[str]:
    """Return the names of the region's groups, asked for once."""
    return look.once(
        "autoscaling:names",
        lambda: frozenset(raw["AutoScalingGroupName"] for raw in _groups(look)),
    )


def _groups(look: Look) -> list[Raw]:
    operation, key = "describe_auto_scaling_groups", "AutoScalingGroups"
    return look.once(
        "autoscaling:groups", lambda: list(look.pages("autoscaling", operation, key, _GROUPS_PAGE))
    )


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
)
