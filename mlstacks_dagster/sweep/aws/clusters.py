"""EKS clusters with their nodegroups and Fargate profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.aws.services import NAME_PROOF, ask, role_refs, unless_gone
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref

__all__ = ["HANDLERS"]

_PAGE = 100
_PART_PROOFS = ("T1 our tags", "T2 its cluster's name")


def _find_clusters(look: Look) -> Iterator[Item]:
    return _read_clusters(look, look.cluster_names())


def _read_clusters(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "eks", "describe_cluster", name=name)
        if answer is not None:
            yield _cluster(look, answer["cluster"])


def _cluster(look: Look, raw: Raw) -> Item:
    network = raw.get("resourcesVpcConfig", {})
    issuer = raw.get("identity", {}).get("oidc", {}).get("issuer", "")
    groups = [*network.get("securityGroupIds", ()), network.get("clusterSecurityGroupId")]
    return look.item(
        "eks:cluster",
        raw["name"],
        name=raw["name"],
        tags=raw.get("tags", {}),
        created=epoch(raw.get("createdAt")),
        inside=look.refs("ec2:vpc", [network.get("vpcId")]),
        uses=(
            *look.refs("ec2:subnet", network.get("subnetIds", ())),
            *look.refs("ec2:security-group", groups),
            *role_refs(raw.get("roleArn")),
            *_provider(look, raw.get("arn", ""), issuer),
        ),
        facts={
            "state": raw.get("status"),
            "version": raw.get("version"),
            "issuer": issuer,
            "arn": raw.get("arn"),
        },
    )


def _provider(look: Look, arn: str, issuer: str) -> tuple[Ref, ...]:
    """Name the identity provider that an issuer would have in this account."""
    if not issuer:
        return ()
    partition = arn.split(":")[1] if arn.count(":") > 1 else "aws"
    host = issuer.removeprefix("https://")
    provider = f"arn:{partition}:iam::{look.account}:oidc-provider/{host}"
    return (Ref(type="iam:oidc-provider", region=GLOBAL, id=provider),)


def _delete_cluster(look: Look, item: Item) -> str | None:
    if item.facts.get("state") != "DELETING":
        look.call("eks", "delete_cluster", name=item.ref.id)
    return None


def _parts(look: Look, operation: str, key: str) -> Iterator[str]:
    """Yield ``cluster/part`` for all clusters of the region."""
    for cluster in look.cluster_names():
        for name in unless_gone(partial(_listed, look, operation, key, cluster)) or ():
            yield f"{cluster}/{name}"


def _listed(look: Look, operation: str, key: str, cluster: str) -> list[Any]:
    return list(look.pages("eks", operation, key, _PAGE, clusterName=cluster))


def _read_parts(
    look: Look,
    ids: Sequence[str],
    operation: str,
    names: tuple[str, str],
    make: Callable[[Look, Raw], Item],
) -> Iterator[Item]:
    argument, key = names
    for identifier in ids:
        cluster, _, name = identifier.partition("/")
        asked = {"clusterName": cluster, argument: name}
        answer = ask(look, "eks", operation, **asked)
        if answer is not None:
            yield make(look, answer[key])


def _find_nodegroups(look: Look) -> Iterator[Item]:
    return _read_nodegroups(look, list(_parts(look, "list_nodegroups", "nodegroups")))


def _read_nodegroups(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    names = ("nodegroupName", "nodegroup")
    return _read_parts(look, ids, "describe_nodegroup", names, _nodegroup)


def _nodegroup(look: Look, raw: Raw) -> Item:
    cluster, sizes = raw["clusterName"], raw.get("scalingConfig", {})
    return look.item(
        "eks:nodegroup",
        f"{cluster}/{raw['nodegroupName']}",
        name=raw["nodegroupName"],
        tags=raw.get("tags", {}),
        created=epoch(raw.get("createdAt")),
        inside=look.refs("eks:cluster", [cluster]),
        uses=(
            *look.refs("ec2:launch-template", [raw.get("launchTemplate", {}).get("id")]),
            *look.refs("ec2:subnet", raw.get("subnets", ())),
            *role_refs(raw.get("nodeRole")),
        ),
        texts=[_says(cluster)],
        facts={
            "state": raw.get("status"),
            "instances": sizes.get("desiredSize"),
            "kind": ", ".join(raw.get("instanceTypes", ())),
            "arn": raw.get("nodegroupArn"),
        },
    )


def _says(cluster: str) -> str:
    """Return the words by which EKS names a cluster; the API itself says it here."""
    return f"Amazon EKS {cluster}"


def _delete_nodegroup(look: Look, item: Item) -> str | None:
    cluster, _, name = item.ref.id.partition("/")
    if item.facts.get("state") != "DELETING":
        look.call("eks", "delete_nodegroup", clusterName=cluster, nodegroupName=name)
    return None


def _find_profiles(look: Look) -> Iterator[Item]:
    return _read_profiles(look, list(_parts(look, "list_fargate_profiles", "fargateProfileNames")))


def _read_profiles(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    names = ("fargateProfileName", "fargateProfile")
    return _read_parts(look, ids, "describe_fargate_profile", names, _profile)


def _profile(look: Look, raw: Raw) -> Item:
    cluster = raw["clusterName"]
    return look.item(
        "eks:fargate-profile",
        f"{cluster}/{raw['fargateProfileName']}",
        name=raw["fargateProfileName"],
        tags=raw.get("tags", {}),
        created=epoch(raw.get("createdAt")),
        inside=look.refs("eks:cluster", [cluster]),
        uses=(
            *look.refs("ec2:subnet", raw.get("subnets", ())),
            *role_refs(raw.get("podExecutionRoleArn")),
        ),
        texts=[_says(cluster)],
        facts={"state": raw.get("status"), "arn": raw.get("fargateProfileArn")},
    )


def _delete_profile(look: Look, item: Item) -> str | None:
    cluster, _, name = item.ref.id.partition("/")
    if item.facts.get("state") != "DELETING":
        look.call("eks", "delete_fargate_profile", clusterName=cluster, fargateProfileName=name)
    return None


HANDLERS = (
    Handler(
        Kind("eks:nodegroup", "EKS nodegroup", 22, proofs=_PART_PROOFS),
        _find_nodegroups,
        _delete_nodegroup,
        _read_nodegroups,
    ),
    Handler(
        Kind("eks:fargate-profile", "EKS Fargate profile", 22, proofs=_PART_PROOFS),
        _find_profiles,
        _delete_profile,
        _read_profiles,
    ),
    Handler(
        Kind(
            "eks:cluster",
            "EKS cluster",
            26,
            usd_per_month=flat(73.0),
            proofs=("T1 our tags", NAME_PROOF),
        ),
        _find_clusters,
        _delete_cluster,
        _read_clusters,
    ),
)
