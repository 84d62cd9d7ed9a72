"""Plants what a sweep must leave alone around a stack's leftovers, with what it may say of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mlstacks_dagster.sweep.inventory.model import Ref
from tests.integration.eks_ground import Ground, Owner
from tests.integration.eks_sagemaker import plant_domain, plant_packages

__all__ = ["Neighbours", "plant_neighbours"]

Said = tuple[str, str]
"""A verdict's decision and code."""

_STRANGERS = "0therinstall"
_UNKNOWN_STACK = "s" + "z" * 12


@dataclass
class Neighbours:
    """``foreign`` must not be in a plan at all, ``said`` only among what stays, and why."""

    foreign: set[Ref] = field(default_factory=set)
    said: dict[Ref, Said] = field(default_factory=dict)


def plant_neighbours(home: Ground, owner: Owner) -> Neighbours:
    """Plant neighbours of what ``owner`` left, a destroyed stack."""
    found = Neighbours()
    found.foreign |= _strangers(home, replace(owner, install=_STRANGERS))
    found.foreign |= _similar_clusters(home, owner) | _default_vpc(home)
    found.said |= _unsure(home, owner) | _kept(home, owner)
    used, theirs = _used_network(home, owner)
    found.said |= used
    found.foreign |= theirs
    return found


def _strangers(ground: Ground, strangers: Owner) -> set[Ref]:
    """Another installation's, with a stack of the same id."""
    marks, name = strangers.marks("delete"), f"theirs-{strangers.stack_id}"
    vpc = ground.vpc(marks, "10.9.0.0/16")
    subnet = ground.subnet_of(vpc, "10.9.1.0/24", 1, marks)
    tags = {**marks, **strangers.of_cluster}
    group = ground.group(vpc, f"k8s-elb-{strangers.cluster}", tags)
    secret = ground.client("secretsmanager").create_secret(
        Name=name, SecretString="x", Tags=[{"Key": k, "Value": v} for k, v in marks.items()]
    )
    return {
        vpc,
        subnet,
        group,
        plant_domain(ground, name, marks, vpc, [subnet]),
        plant_packages(ground, f"{strangers.cluster}-theirs", marks),
        ground.address(marks),
        ground.volume(tags),
        ground.targets(name[:32], vpc, {**marks, **strangers.of_balancers}),
        ground.role(name, f"/mlstacks/{strangers.install}/", marks),
        ground.bucket(name, marks),
        ground.logs(f"/aws/lambda/{strangers.cluster}-theirs", marks),
        ground.ref("secretsmanager:secret", secret["ARN"]),
    }


def _similar_clusters(ground: Ground, owner: Owner) -> set[Ref]:
    """Clusters with longer and shorter names, and one that only shares something with ours."""
    longer, shorter = f"{owner.cluster}2", owner.cluster[:-1]
    vpc = ground.vpc({}, "10.8.0.0/16")
    subnets = [ground.subnet_of(vpc, f"10.8.{n}.0/24", n) for n in (1, 2)]
    tags = {"elbv2.k8s.aws/cluster": longer}
    return {
        vpc,
        *subnets,
        ground.volume({f"kubernetes.io/cluster/{longer}": "owned"}),
        ground.volume({f"kubernetes.io/cluster/{shorter}": "owned"}),
        ground.volume({f"kubernetes.io/cluster/{owner.cluster}": "shared"}),
        ground.balancer(f"k8s-longer-{owner.stack_id[-8:]}", "network", subnets, [], tags),
        ground.logs(f"/aws/eks/{longer}/cluster", {}),
        ground.logs(f"/aws/eks/{shorter}/cluster", {}),
    }


def _default_vpc(ground: Ground) -> set[Ref]:
    """Things without any tag, some of which look as if a controller had made them."""
    ec2 = ground.client("ec2")
    [raw] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    vpc = ground.ref("ec2:vpc", raw["VpcId"])
    mine = [{"Name": "vpc-id", "Values": [vpc.id]}]
    found = ec2.describe_subnets(Filters=mine)["Subnets"]
    subnets = [ground.ref("ec2:subnet", subnet["SubnetId"]) for subnet in found[:2]]
    group = ground.group(vpc, "k8s-elb-somebody", {})
    return {
        vpc,
        *subnets,
        group,
        ground.instance(subnets[0], [group], {}),
        ground.interface(subnets[0], [group], "aws-K8S-i-0cccccccccccccccc", {}),
        ground.classic("a" + "1" * 31, subnets, [group], {}),
        ground.targets("k8s-somebody", vpc, {"Name": "somebody"}),
        ground.volume({}),
        ground.address({}),
        ground.logs("/somewhere/else", {}),
    }


def _unsure(ground: Ground, owner: Owner) -> dict[Ref, Said]:
    """What may be ours by its name, or by a mark that the ledger can't explain."""
    lost = replace(owner, stack_id=_UNKNOWN_STACK)
    blue = {f"kubernetes.io/cluster/{owner.cluster}-blue": "owned"}
    served = ground.logs(f"/aws/sagemaker/Endpoints/{owner.cluster}-served", {})
    found = (ground.volume(blue), ground.address(lost.marks()), served)
    return dict.fromkeys(found, ("report", ""))


def _kept(ground: Ground, owner: Owner) -> dict[Ref, Said]:
    """What the stack's own marks say to keep."""
    guarded, name = owner.marks(protect=True), f"{owner.cluster}-guarded"
    role = ground.role(name, f"/mlstacks/{owner.install}/", guarded)
    volume = ground.volume({**owner.marks("retain"), **owner.of_cluster})
    kept: dict[Ref, Said] = dict.fromkeys([role, ground.address(guarded)], ("keep", "protect"))
    return {**kept, volume: ("keep", "data")}


def _used_network(ground: Ground, owner: Owner) -> tuple[dict[Ref, Said], set[Ref]]:
    """A network of the stack's that somebody else moved into; returns it, and what is theirs."""
    marks = owner.marks()
    vpc = ground.vpc(marks, "10.7.0.0/16")
    subnet = ground.subnet_of(vpc, "10.7.1.0/24", 1, marks)
    ours = ground.group(vpc, "k8s-elb-used", owner.of_cluster)
    theirs = ground.group(vpc, "somebody's", {})
    ground.allow(theirs, ours)
    instance = ground.instance(subnet, [theirs], {"Name": "somebody's"})
    used: dict[Ref, Said] = dict.fromkeys([vpc, subnet, ours], ("keep", "blocked"))
    return {**used, instance: ("report", "")}, {theirs}
