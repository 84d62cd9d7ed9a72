"""Load balancers of both generations, and target groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlstacks_dagster.sweep.aws.ec2_listing import VPC_PROOFS
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, pieces
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_TAGS_PER_CALL = 20  # more is an error
_PAGE = 400


@dataclass(frozen=True)
class _Tags:
    """The tags of listed things, and which of these have vanished since."""

    found: dict[str, dict[str, str]]
    gone: set[str]


def _tagged(look: Look, service: str, asks: str, names: str, ids: Sequence[str]) -> _Tags:
    """Read tags of a piece; ``asks`` is the parameter, ``names`` says in the answer whose they are.

    One thing that vanished meanwhile fails the call for all, which is then asked for in halves.
    """
    tags = _Tags({}, set())
    waiting = [ids]
    while waiting:
        some = waiting.pop()
        try:
            answer = look.call(service, "describe_tags", **{asks: list(some)})
        except Exception as error:
            if meaning(error) != "gone":
                raise
            if len(some) == 1:
                tags.gone.add(some[0])
            else:
                waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
        else:
            tags.found.update({d[names]: tag_map(d["Tags"]) for d in answer["TagDescriptions"]})
    return tags


def _modern_tags(look: Look, arns: Sequence[str]) -> _Tags:
    return _tagged(look, "elbv2", "ResourceArns", "ResourceArn", arns)


def _find_modern(look: Look) -> Iterator[Item]:
    return _modern(look, look.pages("elbv2", "describe_load_balancers", "LoadBalancers", _PAGE))


def _read_modern(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    wanted = set(ids)
    listed = look.pages("elbv2", "describe_load_balancers", "LoadBalancers", _PAGE)
    return _modern(look, (raw for raw in listed if raw["LoadBalancerArn"] in wanted))


def _modern(look: Look, listed: Iterable[Raw]) -> Iterator[Item]:
    for some in pieces(listed, _TAGS_PER_CALL):
        yield from _modern_piece(look, some)


def _modern_piece(look: Look, balancers: Sequence[Raw]) -> Iterator[Item]:
    tags = _modern_tags(look, [raw["LoadBalancerArn"] for raw in balancers])
    for raw in balancers:
        if raw["LoadBalancerArn"] in tags.gone:
            continue
        zones = raw.get("AvailabilityZones", ())
        given = [a for zone in zones for a in zone.get("LoadBalancerAddresses", ())]
        addresses = [address.get("AllocationId") for address in given]
        yield look.item(
            "elbv2:load-balancer",
            raw["LoadBalancerArn"],
            name=raw["LoadBalancerName"],
            tags=tags.found.get(raw["LoadBalancerArn"]),
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
    for some in pieces(listed, _TAGS_PER_CALL):
        yield from _targets_piece(look, some)


def _targets_piece(look: Look, groups: Sequence[Raw]) -> Iterator[Item]:
    tags = _modern_tags(look, [raw["TargetGroupArn"] for raw in groups])
    for raw in groups:
        if raw["TargetGroupArn"] in tags.gone:
            continue
        yield look.item(
            "elbv2:target-group",
            raw["TargetGroupArn"],
            name=raw["TargetGroupName"],
            tags=tags.found.get(raw["TargetGroupArn"]),
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
    for some in pieces(listed, _TAGS_PER_CALL):
        yield from _classic_piece(look, some)


def _classic_piece(look: Look, balancers: Sequence[Raw]) -> Iterator[Item]:
    names = [raw["LoadBalancerName"] for raw in balancers]
    tags = _tagged(look, "elb", "LoadBalancerNames", "LoadBalancerName", names)
    for raw in balancers:
        name = raw["LoadBalancerName"]
        if name in tags.gone:
            continue
        yield look.item(
            "elb:load-balancer",
            name,
            name=name,
            tags=tags.found.get(name),
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
                "service": tags.found.get(name, {}).get("kubernetes.io/service-name"),
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
        Kind(
            "elbv2:target-group",
            "Target group",
            35,
            proofs=VPC_PROOFS,
            held_by=("autoscaling:group",),
        ),
        _find_targets,
        _delete_target,
        _read_targets,
    ),
)
