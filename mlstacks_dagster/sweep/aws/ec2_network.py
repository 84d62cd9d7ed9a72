"""Network interfaces, security groups, public addresses and gateways."""

from __future__ import annotations

import re
from typing import Any

from mlstacks_dagster.sweep.aws.ec2_listing import VPC_PROOFS, Listing
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS"]

_CNI_CREATED = "node.k8s.amazonaws.com/createdAt"
_CLASSIC = re.compile(r"^ELB ([^/]+)$")
_MODERN = re.compile(r"^ELB ((?:app|net|gwy)/[^/]+/[0-9a-f]+)$")
_NAT = re.compile(r"^Interface for NAT Gateway (nat-[0-9a-f]+)$")
_EFS = re.compile(r"^EFS mount target for (fs-[0-9a-f]+)")


def _interface(look: Look, raw: Raw) -> Item:
    tags = {t["Key"]: t["Value"] for t in raw.get("TagSet", raw.get("Tags", ()))}
    description = raw.get("Description", "")
    return look.item(
        "ec2:network-interface",
        raw["NetworkInterfaceId"],
        tags=tags,
        created=_time(tags.get(_CNI_CREATED)),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=(
            *look.refs("ec2:subnet", [raw.get("SubnetId")]),
            *look.refs("ec2:security-group", [g["GroupId"] for g in raw.get("Groups", ())]),
        ),
        used_by=_users(look, raw, description),
        texts=[description],
        facts={
            "state": raw.get("Status"),
            "description": description,
            "managed": "true" if raw.get("RequesterManaged") else "",
            "requester": raw.get("RequesterId"),
            "kind": raw.get("InterfaceType"),
        },
    )


def _users(look: Look, raw: Raw, description: str) -> tuple[Ref, ...]:
    """Return who holds an interface: an instance, or the service that its description names."""
    attached = (raw.get("Attachment") or {}).get("InstanceId")
    if attached:
        return look.refs("ec2:instance", [attached])
    if match := _CLASSIC.match(description):
        return look.refs("elb:load-balancer", [match[1]])
    if match := _MODERN.match(description):
        partition = "aws-cn" if look.asked.startswith("cn-") else "aws"
        if look.asked.startswith("us-gov-"):
            partition = "aws-us-gov"
        arn = f"arn:{partition}:elasticloadbalancing:{look.region}:{look.account}:loadbalancer/"
        return look.refs("elbv2:load-balancer", [arn + match[1]])
    if match := _NAT.match(description):
        return look.refs("ec2:nat-gateway", [match[1]])
    if match := _EFS.match(description):
        return look.refs("efs:file-system", [match[1]])
    return ()


def _time(text: str | None) -> float | None:
    try:
        return epoch(text)
    except ValueError:
        return None


def _delete_interface(look: Look, item: Item) -> str | None:
    if item.facts.get("managed") == "true":
        return "an AWS service made it and takes it away with what it belongs to"
    if item.facts.get("state") == "in-use":
        holders = ", ".join(str(ref) for ref in item.used_by) or "something"
        return f"attached to {holders}; it is never detached by force"
    look.call("ec2", "delete_network_interface", NetworkInterfaceId=item.ref.id)
    return None


def _group(look: Look, raw: Raw) -> Item | None:
    if raw["GroupName"] == "default":
        return None
    return look.item(
        "ec2:security-group",
        raw["GroupId"],
        name=raw["GroupName"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=look.refs(
            "ec2:security-group",
            sorted(
                {
                    pair["GroupId"]
                    for pair in _pairs([*_rules(raw, "in"), *_rules(raw, "out")])
                    if pair.get("GroupId") and pair["GroupId"] != raw["GroupId"]
                }
            ),
        ),
        facts={"description": raw.get("Description")},
    )


def _rules(raw: Raw, way: str) -> list[dict[str, Any]]:
    key = "IpPermissions" if way == "in" else "IpPermissionsEgress"
    return list(raw.get(key, ()))


def _pairs(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pair for rule in rules for pair in rule.get("UserIdGroupPairs", ())]


def _delete_group(look: Look, item: Item) -> str | None:
    """Take its own rules about other groups away, since they hold those, then delete it."""
    found = look.call(
        "ec2", "describe_security_groups", Filters=[{"Name": "group-id", "Values": [item.ref.id]}]
    )["SecurityGroups"]
    for raw in found:
        for way, operation in (
            ("in", "revoke_security_group_ingress"),
            ("out", "revoke_security_group_egress"),
        ):
            others = [rule for rule in (_others(r, item.ref.id) for r in _rules(raw, way)) if rule]
            if others:
                look.call("ec2", operation, GroupId=item.ref.id, IpPermissions=others)
    look.call("ec2", "delete_security_group", GroupId=item.ref.id)
    return None


def _others(rule: dict[str, Any], own: str) -> dict[str, Any] | None:
    """Return the part of a rule that is about other groups; None: there is none."""
    pairs = [
        {k: v for k, v in pair.items() if k in ("GroupId", "UserId")}
        for pair in rule.get("UserIdGroupPairs", ())
        if pair.get("GroupId") not in (None, own)
    ]
    if not pairs:
        return None
    kept: dict[str, Any] = {k: rule[k] for k in ("IpProtocol", "FromPort", "ToPort") if k in rule}
    return {**kept, "UserIdGroupPairs": pairs}


def _address(look: Look, raw: Raw) -> Item | None:
    if not raw.get("AllocationId"):
        return None
    return look.item(
        "ec2:elastic-ip",
        raw["AllocationId"],
        tags=raw.get("Tags", ()),
        used_by=look.refs("ec2:instance", [raw.get("InstanceId")])
        or look.refs("ec2:network-interface", [raw.get("NetworkInterfaceId")]),
        facts={
            "address": raw.get("PublicIp"),
            "state": "in-use" if raw.get("AssociationId") else "free",
        },
    )


def _release(look: Look, item: Item) -> str | None:
    look.call("ec2", "release_address", AllocationId=item.ref.id)
    return None


def _nat(look: Look, raw: Raw) -> Item | None:
    if raw.get("State") == "deleted":
        return None
    addresses = raw.get("NatGatewayAddresses", ())
    return look.item(
        "ec2:nat-gateway",
        raw["NatGatewayId"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreateTime")),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=(
            *look.refs("ec2:subnet", [raw.get("SubnetId")]),
            *look.refs("ec2:elastic-ip", [a.get("AllocationId") for a in addresses]),
        ),
        facts={"state": raw.get("State")},
    )


def _delete_nat(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_nat_gateway", NatGatewayId=item.ref.id)
    return None


def _gateway(look: Look, raw: Raw) -> Item:
    vpcs = [a.get("VpcId") for a in raw.get("Attachments", ())]
    return look.item(
        "ec2:internet-gateway",
        raw["InternetGatewayId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", vpcs),
    )


def _delete_gateway(look: Look, item: Item) -> str | None:
    for vpc in item.inside:
        look.call("ec2", "detach_internet_gateway", InternetGatewayId=item.ref.id, VpcId=vpc.id)
    look.call("ec2", "delete_internet_gateway", InternetGatewayId=item.ref.id)
    return None


_INTERFACES = Listing(
    "describe_network_interfaces", "NetworkInterfaces", 1000, _interface, "network-interface-id"
)
_GROUPS = Listing("describe_security_groups", "SecurityGroups", 1000, _group, "group-id")
_ADDRESSES = Listing("describe_addresses", "Addresses", None, _address, "allocation-id")
_NATS = Listing(
    "describe_nat_gateways", "NatGateways", 1000, _nat, "nat-gateway-id", parameter="Filter"
)
_GATEWAYS = Listing(
    "describe_internet_gateways", "InternetGateways", 1000, _gateway, "internet-gateway-id"
)

HANDLERS = (
    Handler(
        Kind("ec2:nat-gateway", "NAT gateway", 45, usd_per_month=flat(32.85), proofs=VPC_PROOFS),
        _NATS.find,
        _delete_nat,
        _NATS.read,
    ),
    Handler(
        Kind("ec2:network-interface", "Network interface", 50, proofs=VPC_PROOFS),
        _INTERFACES.find,
        _delete_interface,
        _INTERFACES.read,
    ),
    Handler(
        Kind("ec2:elastic-ip", "Elastic IP", 52, usd_per_month=flat(3.65), proofs=VPC_PROOFS[:2]),
        _ADDRESSES.find,
        _release,
        _ADDRESSES.read,
    ),
    Handler(
        Kind("ec2:security-group", "Security group", 55, proofs=VPC_PROOFS),
        _GROUPS.find,
        _delete_group,
        _GROUPS.read,
        codes={"InvalidGroup.InUse": "busy", "CannotDelete": "refused"},
    ),
    Handler(
        Kind("ec2:internet-gateway", "Internet gateway", 74, proofs=VPC_PROOFS),
        _GATEWAYS.find,
        _delete_gateway,
        _GATEWAYS.read,
        codes={"Gateway.NotAttached": "busy"},
    ),
)
