"""RDS: database instances and clusters, and the groups that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from mlstacks_dagster.sweep.aws.errors import Meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, owner_hint
from mlstacks_dagster.sweep.aws.prices import by_class
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    NAMED_PROOFS,
    ask,
    marked,
    may_be_ours,
    own_tags,
    split_arn,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.marks import PREFIX

__all__ = ["HANDLERS"]

_PAGE = 100
_MAX_ID = 63
_PROTECTED: Mapping[str, Meaning] = {"InvalidParameterCombination": "refused"}
_RDS_MULTIPLE = 2.2


def _raw_instances(look: Look) -> tuple[Raw, ...]:
    pages = partial(look.pages, "rds", "describe_db_instances", "DBInstances", _PAGE)
    return look.once("rds:instances", lambda: tuple(pages()))


def _find_instances(look: Look) -> Iterator[Item]:
    return (_instance(look, raw) for raw in _raw_instances(look))


def _read_instances(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "rds", "describe_db_instances", DBInstanceIdentifier=name)
        yield from (_instance(look, raw) for raw in (answer or {}).get("DBInstances", ()))


def _instance(look: Look, raw: Raw) -> Item:
    group = raw.get("DBSubnetGroup", {})
    security = [g.get("VpcSecurityGroupId") for g in raw.get("VpcSecurityGroups", ())]
    return look.item(
        "rds:instance",
        raw["DBInstanceIdentifier"],
        name=raw["DBInstanceIdentifier"],
        tags=raw.get("TagList", ()),
        created=epoch(raw.get("InstanceCreateTime")),
        inside=look.refs("ec2:vpc", [group.get("VpcId")]),
        uses=(
            *look.refs("rds:cluster", [raw.get("DBClusterIdentifier")]),
            *look.refs("rds:subnet-group", [group.get("DBSubnetGroupName")]),
            *look.refs("rds:parameter-group", _groups_of(raw)),
            *look.refs("ec2:security-group", security),
        ),
        facts={
            "state": raw.get("DBInstanceStatus"),
            "class": raw.get("DBInstanceClass"),
            "engine": raw.get("Engine"),
            "size-gib": raw.get("AllocatedStorage"),
            "host": raw.get("Endpoint", {}).get("Address"),
            "cluster": raw.get("DBClusterIdentifier"),
            "replica-of": raw.get("ReadReplicaSourceDBInstanceIdentifier"),
            "protected": "true" if raw.get("DeletionProtection") else "",
            "arn": raw.get("DBInstanceArn"),
        },
    )


def _groups_of(raw: Raw) -> list[str]:
    return [str(g["DBParameterGroupName"]) for g in raw.get("DBParameterGroups", ())]


def _delete_instance(look: Look, item: Item) -> str | None:
    """Delete with a last snapshot, unless the marks say that the data may go.

    Deletion protection is never switched off: AWS then refuses.
    """
    if item.facts.get("state") == "deleting":
        return None
    member = "cluster" in item.facts or "replica-of" in item.facts
    last = {"SkipFinalSnapshot": True} if member else _last_snapshot(look, item)
    look.call("rds", "delete_db_instance", DBInstanceIdentifier=item.ref.id, **last)
    return None


def _last_snapshot(look: Look, item: Item) -> dict[str, str | bool]:
    if (item.tags or {}).get(f"{PREFIX}data") == "delete":
        return {"SkipFinalSnapshot": True}
    end = f"-last-{int(look.clock())}"
    name = item.ref.id[: _MAX_ID - len(end)].rstrip("-") + end
    return {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": name}


def _find_clusters(look: Look) -> Iterator[Item]:
    """Yield clusters that are or may be ours, or that an instance of ours is a member of."""
    by_index = [split_arn(arn).resource.split(":", 1)[1] for arn in marked(look, "rds", "cluster:")]
    by_member = [
        raw["DBClusterIdentifier"]
        for raw in _raw_instances(look)
        if raw.get("DBClusterIdentifier")
        and any(str(tag.get("Key")).startswith(PREFIX) for tag in raw.get("TagList", ()))
    ]
    wanted = {*by_index, *by_member}
    if wanted or look.is_home:
        for raw in look.pages("rds", "describe_db_clusters", "DBClusters", _PAGE):
            item = _cluster(look, raw)
            if item.ref.id in wanted or may_be_ours(item):
                yield item


def _read_clusters(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "rds", "describe_db_clusters", DBClusterIdentifier=name)
        yield from (_cluster(look, raw) for raw in (answer or {}).get("DBClusters", ()))


def _cluster(look: Look, raw: Raw) -> Item:
    members = [member["DBInstanceIdentifier"] for member in raw.get("DBClusterMembers", ())]
    security = [g.get("VpcSecurityGroupId") for g in raw.get("VpcSecurityGroups", ())]
    return look.item(
        "rds:cluster",
        raw["DBClusterIdentifier"],
        name=raw["DBClusterIdentifier"],
        tags=raw.get("TagList", ()),
        created=epoch(raw.get("ClusterCreateTime")),
        used_by=look.refs("rds:instance", members),
        uses=(
            *look.refs("rds:subnet-group", [raw.get("DBSubnetGroup")]),
            *look.refs("ec2:security-group", security),
        ),
        facts={
            "state": raw.get("Status"),
            "engine": raw.get("Engine"),
            "protected": "true" if raw.get("DeletionProtection") else "",
            "arn": raw.get("DBClusterArn"),
        },
    )


def _delete_cluster(look: Look, item: Item) -> str | None:
    if item.facts.get("state") != "deleting":
        last = _last_snapshot(look, item)
        look.call("rds", "delete_db_cluster", DBClusterIdentifier=item.ref.id, **last)
    return None


def _find_subnet_groups(look: Look) -> Iterator[Item]:
    indexed = marked(look, "rds", "subgrp:")
    for raw in look.pages("rds", "describe_db_subnet_groups", "DBSubnetGroups", _PAGE):
        arn, name = raw["DBSubnetGroupArn"], raw["DBSubnetGroupName"]
        if arn in indexed:
            yield _subnet_group(look, raw, indexed[arn])
        elif owner_hint(name):
            yield from _asked_subnet_groups(look, [raw])
        else:
            yield _subnet_group(look, raw, {})


def _read_subnet_groups(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "rds", "describe_db_subnet_groups", DBSubnetGroupName=name)
        yield from _asked_subnet_groups(look, (answer or {}).get("DBSubnetGroups", ()))


def _asked_subnet_groups(look: Look, raws: Iterable[Raw]) -> Iterator[Item]:
    for raw in raws:
        tags = _tags(look, raw["DBSubnetGroupArn"])
        if tags is not None:
            yield _subnet_group(look, raw, tags)


def _subnet_group(look: Look, raw: Raw, tags: Mapping[str, str]) -> Item:
    subnets = [subnet.get("SubnetIdentifier") for subnet in raw.get("Subnets", ())]
    return look.item(
        "rds:subnet-group",
        raw["DBSubnetGroupName"],
        name=raw["DBSubnetGroupName"],
        tags=tags,
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=look.refs("ec2:subnet", subnets),
        facts={"state": raw.get("SubnetGroupStatus"), "arn": raw["DBSubnetGroupArn"]},
    )


def _delete_subnet_group(look: Look, item: Item) -> str | None:
    look.call("rds", "delete_db_subnet_group", DBSubnetGroupName=item.ref.id)
    return None


def _find_parameter_groups(look: Look) -> Iterator[Item]:
    """Yield groups that are marked or have our names."""
    indexed = {
        split_arn(arn).resource.split(":", 1)[1]: tags
        for arn, tags in marked(look, "rds", "pg:").items()
    }
    used = {name for raw in _raw_instances(look) for name in _groups_of(raw)}
    if not indexed and not look.is_home and not any(map(owner_hint, used)):
        return
    for raw in look.pages("rds", "describe_db_parameter_groups", "DBParameterGroups", _PAGE):
        name = raw["DBParameterGroupName"]
        if name in indexed:
            yield _parameter_group(look, raw, indexed[name])
        elif owner_hint(name):
            yield from _asked_parameter_group(look, raw)


def _read_parameter_groups(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "rds", "describe_db_parameter_groups", DBParameterGroupName=name)
        for raw in (answer or {}).get("DBParameterGroups", ()):
            yield from _asked_parameter_group(look, raw)


def _asked_parameter_group(look: Look, raw: Raw) -> Iterator[Item]:
    tags = _tags(look, raw["DBParameterGroupArn"])
    if tags is not None:
        yield _parameter_group(look, raw, tags)


def _parameter_group(look: Look, raw: Raw, tags: Mapping[str, str]) -> Item:
    name = raw["DBParameterGroupName"]
    return look.item(
        "rds:parameter-group", name, name=name, tags=tags, facts={"arn": raw["DBParameterGroupArn"]}
    )


def _delete_parameter_group(look: Look, item: Item) -> str | None:
    look.call("rds", "delete_db_parameter_group", DBParameterGroupName=item.ref.id)
    return None


def _tags(look: Look, arn: str) -> dict[str, str] | None:
    answer = ask(look, "rds", "list_tags_for_resource", ResourceName=arn)
    return None if answer is None else own_tags(answer.get("TagList", ()))


HANDLERS = (
    Handler(
        Kind(
            "rds:instance",
            "RDS database",
            40,
            data=True,
            usd_per_month=by_class(_RDS_MULTIPLE),
            proofs=("T1 our tags", NAME_PROOF),
        ),
        _find_instances,
        _delete_instance,
        _read_instances,
        codes=_PROTECTED,
    ),
    Handler(
        Kind("rds:cluster", "RDS database cluster", 42, data=True, proofs=NAMED_PROOFS),
        _find_clusters,
        _delete_cluster,
        _read_clusters,
        codes=_PROTECTED,
    ),
    Handler(
        Kind(
            "rds:subnet-group",
            "RDS subnet group",
            44,
            proofs=("T1 our tags, by the tagging index or the name", NAME_PROOF),
        ),
        _find_subnet_groups,
        _delete_subnet_group,
        _read_subnet_groups,
    ),
    Handler(
        Kind("rds:parameter-group", "RDS parameter group", 44, proofs=NAMED_PROOFS),
        _find_parameter_groups,
        _delete_parameter_group,
        _read_parameter_groups,
    ),
)
