"""Load balancers of both generations, and target groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlstacks_dagster.sweep.aws.ec2_listing import VPC_PROOFS
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_TAGS_PER_CALL = 20  # more is an error
_PAGE = 400


def _tagged(look: Look, arns: Sequence[str]) -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for some in batches(arns, _TAGS_PER_CALL):
        answer = look.call("elbv2", "describe_tags", ResourceArns=list(some))
        found |= {d["ResourceArn"]: tag_map(d["Tags"]) for d in answer["TagDescriptions"]}
    return found


def _find_modern(look: Look) -> Iterator[Item]:
    return _modern(look, look.pages("elbv2", "describe_load_balancers", "LoadBalancers", _PAGE))


def _read_modern(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    wanted = set(ids)
    listed = look.pages("elbv2", "describe_load_balancers", "LoadBalancers", _PAGE)
    return _modern(look, (raw for raw in listed if raw["LoadBalancerArn"] in wanted))


def _modern(look: Look, listed: Iterable[Raw]) -> Iterator[Item]:
    balancers = list(listed)
    tags = _tagged(look, [raw["LoadBalancerArn"] for raw in balancers])
    for raw in balancers:
        zones = raw.get("AvailabilityZones", ())
        given = [a for zone in zones for a in zone.get("LoadBalancerAddresses", ())]
        addresses = [address.get("AllocationId") for address in given]
        yield look.item(
            "elbv2:load-balancer",
            raw["LoadBalancerArn"],
            name=raw["LoadBalancerName"],
            tags=tags.get(raw["LoadBalancerArn"]),
            created=epoch(raw.get("CreatedTime")),
            inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
            uses=(
                *look.refs("ec2:subnet", [z.get("SubnetId") for z in zones]),
                *look.refs("ec2:security-group", raw.get("SecurityGroups", ())),
                *look.refs("ec2:elastic-ip", addresses),
            ),
            facts={
                "kind": raw.get("Type"),
                "host": raw.get("DNSName"),
                "scheme": raw.get("Scheme"),
                "state": raw.get("State", {}).get("Code"),
            },
        )


def _delete_modern(look: Look, item: Item) -> str | None:
    look.call("elbv2", "delete_load_balancer", LoadBalancerArn=item.ref.id)
    return None


def _find_targets(look: Look) -> Iterator[Item]:
    return _targets(look, look.pages("elbv2", "describe_target_groups", "TargetGroups", _PAGE))


def _read_targets(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    wanted = set(ids)
    listed = look.pages("elbv2", "describe_target_groups", "TargetGroups", _PAGE)
    return _targets(look, (raw for raw in listed if raw["TargetGroupArn"] in wanted))


def _targets(look: Look, listed: Iterable[Raw]) -> Iterator[Item]:
    groups = list(listed)
    tags = _tagged(look, [raw["TargetGroupArn"] for raw in groups])
    for raw in groups:
        yield look.item(
            "elbv2:target-group",
            raw["TargetGroupArn"],
            name=raw["TargetGroupName"],
            tags=tags.get(raw["TargetGroupArn"]),
            inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
            used_by=look.refs("elbv2:load-balancer", raw.get("LoadBalancerArns", ())),
            facts={"kind": raw.get("TargetType"), "port": raw.get("Port")},
        )


def _delete_target(look: Look, item: Item) -> str | None:
    look.call("elbv2", "delete_target_group", TargetGroupArn=item.ref.id)
    return None


def _find_classic(look: Look) -> Iterator[Item]:
    return _classic(
        look, look.pages("elb", "describe_load_balancers", "LoadBalancerDescriptions", _PAGE)
    )


def _read_classic(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    wanted = set(ids)
    listed = look.pages("elb", "describe_load_balancers", "LoadBalancerDescriptions", _PAGE)
    return _classic(look, (raw for raw in listed if raw["LoadBalancerName"] in wanted))


def _classic(look: Look, listed: Iterable[Raw]) -> Iterator[Item]:
    balancers = list(listed)
    tags: dict[str, dict[str, str]] = {}
    for some in batches([raw["LoadBalancerName"] for raw in balancers], _TAGS_PER_CALL):
        answer = look.call("elb", "describe_tags", LoadBalancerNames=list(some))
        tags |= {d["LoadBalancerName"]: tag_map(d["Tags"]) for d in answer["TagDescriptions"]}
    for raw in balancers:
        name = raw["LoadBalancerName"]
        yield look.item(
            "elb:load-balancer",
            name,
            name=name,
            tags=tags.get(name),
            created=epoch(raw.get("CreatedTime")),
            inside=look.refs("ec2:vpc", [raw.get("VPCId")]),
            uses=(
                *look.refs("ec2:subnet", raw.get("Subnets", ())),
                *look.refs("ec2:security-group", raw.get("SecurityGroups", ())),
            ),
            facts={
                "host": raw.get("DNSName"),
                "scheme": raw.get("Scheme"),
                "instances": len(raw.get("Instances", ())),
                "service": tags.get(name, {}).get("kubernetes.io/service-name"),
            },
        )


def _delete_classic(look: Look, item: Item) -> str | None:
    look.call("elb", "delete_load_balancer", LoadBalancerName=item.ref.id)
    return None


HANDLERS = (
    Handler(
        Kind(
            "elb:load-balancer",
            "Classic load balancer",
            30,
            usd_per_month=flat(18.25),
            proofs=VPC_PROOFS,
        ),
        _find_classic,
        _delete_classic,
        _read_classic,
    ),
    Handler(
        Kind(
            "elbv2:load-balancer",
            "Application or network load balancer",
            30,
            usd_per_month=flat(16.43),
            proofs=VPC_PROOFS,
        ),
        _find_modern,
        _delete_modern,
        _read_modern,
    ),
    Handler(
        Kind("elbv2:target-group", "Target group", 35, proofs=VPC_PROOFS),
        _find_targets,
        _delete_target,
        _read_targets,
    ),
)
