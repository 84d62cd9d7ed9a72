"""Network interfaces, public addresses and gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mlstacks_dagster.sweep.aws.ec2_compute import instances
from mlstacks_dagster.sweep.aws.ec2_endpoints import endpoints
from mlstacks_dagster.sweep.aws.ec2_listing import (
    GOES_ALONG,
    MADE_PROOFS,
    TAG_PROOFS,
    VPC_PROOFS,
    Listing,
    flag,
    in_vpc,
)
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS"]

_CNI_CREATED = "node.k8s.amazonaws.com/createdAt"
_CNI_NODE = "node.k8s.amazonaws.com/instance_id"
_MADE = re.compile(r"^(aws-K8S-i-|aws-k8s-(branch|trunk)-eni|Amazon EKS |ELB )")
_CLUSTER = re.compile(r"^Amazon EKS \S+$")
_MODERN = re.compile(r"^ELB ((?:app|net|gwy)/[^/]+/[0-9a-f]+)$")
_DESCRIBED = (
    (re.compile(r"^ELB ([^/]+)$"), "elb:load-balancer"),
    (re.compile(r"^EFS mount target for (fs-[0-9a-f]+)"), "efs:file-system"),
)


def _nats(look: Look) -> list[Raw]:
    return look.once("nats", lambda: list(_NATS.raws(look)))


def _holders(look: Look) -> Mapping[str, Ref]:
    """Return which NAT gateway or endpoint an interface belongs to, by what these say."""
    held = {
        address["NetworkInterfaceId"]: look.ref("ec2:nat-gateway", raw["NatGatewayId"])
        for raw in _nats(look)
        for address in raw.get("NatGatewayAddresses", ())
        if address.get("NetworkInterfaceId") and raw.get("State") != "deleted"
    }
    for raw in endpoints(look):
        holder = look.ref("ec2:vpc-endpoint", raw["VpcEndpointId"])
        held.update(dict.fromkeys(raw.get("NetworkInterfaceIds", ()), holder))
    return held


def _interface(look: Look, raw: Raw) -> Item:
    tags = tag_map(raw.get("TagSet", ()))
    description = raw.get("Description", "")
    holder = look.once("holders", lambda: _holders(look)).get(raw["NetworkInterfaceId"])
    users = (*_users(look, raw, description), *_node(look, tags))
    managed = raw.get("RequesterManaged") or holder is not None or _CLUSTER.match(description)
    place = in_vpc(look, raw, managed or _MADE.match(description))
    return look.item(
        "ec2:network-interface",
        raw["NetworkInterfaceId"],
        tags=tags,
        created=_time(tags.get(_CNI_CREATED)),
        inside=place["inside"],
        uses=(
            *place["uses"],
            *look.refs("ec2:subnet", [raw.get("SubnetId")]),
            *look.refs("ec2:security-group", [g["GroupId"] for g in raw.get("Groups", ())]),
        ),
        used_by=tuple(dict.fromkeys(users)) if holder is None else (holder,),
        texts=[description],
        facts={
            "state": raw.get("Status"),
            "description": description,
            "managed": flag(managed),
            "requester": raw.get("RequesterId"),
            "kind": raw.get("InterfaceType"),
            GOES_ALONG: flag(_is_part(raw)),
        },
    )


def _is_part(raw: Raw) -> bool:
    """Tell whether an interface is a part of an instance, and goes with it."""
    attachment = raw.get("Attachment") or {}
    first = attachment.get("DeviceIndex") == 0  # which can't be taken off
    return bool(attachment.get("InstanceId") and (first or attachment.get("DeleteOnTermination")))


def _find_interfaces(look: Look) -> Iterator[Item]:
    return (item for item in _INTERFACES.find(look) if GOES_ALONG not in item.facts)


def _users(look: Look, raw: Raw, description: str) -> tuple[Ref, ...]:
    """Return who holds an interface: an instance, or the service that its description names.

    What a cluster's control plane holds goes with the cluster, which ``clusters`` names. A
    holder that isn't known is one all the same.
    """
    if raw.get("Status") == "available":
        return ()
    attachment = raw.get("Attachment") or {}
    if attachment.get("InstanceId"):
        return look.refs("ec2:instance", [attachment["InstanceId"]])
    if _CLUSTER.match(description):
        return ()
    if match := _MODERN.match(description):
        arn = f"arn:{_partition(look.asked)}:elasticloadbalancing:{look.region}:{look.account}"
        return look.refs("elbv2:load-balancer", [f"{arn}:loadbalancer/{match[1]}"])
    for pattern, type_ in _DESCRIBED:
        if match := pattern.match(description):
            return look.refs(type_, [match[1]])
    holder = description or raw.get("RequesterId") or attachment.get("AttachmentId") or "unknown"
    return look.refs("aws:service", [holder])


def _node(look: Look, tags: Mapping[str, str]) -> tuple[Ref, ...]:
    """Return the node whose network plugin made an interface, attached or in reserve."""
    node = tags.get(_CNI_NODE)
    return look.refs("ec2:instance", [node]) if node and node in instances(look) else ()


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _time(text: str | None) -> float | None:
    try:
        return epoch(text)
    except ValueError:
        return None


def _delete_interface(look: Look, item: Item) -> str | None:
    if item.facts.get("managed") == "true":
        return "an AWS service made it and takes it away with what it belongs to"
    if item.used_by or item.facts.get("state") != "available":
        holders = ", ".join(str(ref) for ref in item.used_by) or "something"
        return f"attached to {holders}; it is never detached by force"
    look.call("ec2", "delete_network_interface", NetworkInterfaceId=item.ref.id)
    return None


def _address(look: Look, raw: Raw) -> Item | None:
    if not raw.get("AllocationId"):
        return None
    holders = look.refs("ec2:instance", [raw.get("InstanceId")]) or look.refs(
        "ec2:network-interface", [raw.get("NetworkInterfaceId")]
    )
    if raw.get("AssociationId") and not holders:
        holders = look.refs("aws:service", [raw["AssociationId"]])
    return look.item(
        "ec2:elastic-ip",
        raw["AllocationId"],
        tags=raw.get("Tags", ()),
        used_by=holders,
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


def _find_nats(look: Look) -> Iterator[Item]:
    return (item for raw in _nats(look) if (item := _nat(look, raw)) is not None)


def _delete_nat(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_nat_gateway", NatGatewayId=item.ref.id)
    return None


def _gateway(look: Look, raw: Raw) -> Item:
    return look.item(
        "ec2:internet-gateway",
        raw["InternetGatewayId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [a.get("VpcId") for a in raw.get("Attachments", ())]),
    )


def _delete_gateway(look: Look, item: Item) -> str | None:
    for vpc in item.inside:
        look.call_unless_gone(
            "ec2", "detach_internet_gateway", InternetGatewayId=item.ref.id, VpcId=vpc.id
        )
    look.call("ec2", "delete_internet_gateway", InternetGatewayId=item.ref.id)
    return None


_INTERFACES = Listing(
    "describe_network_interfaces", "NetworkInterfaces", 1000, _interface, "network-interface-id"
)
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
        _find_nats,
        _delete_nat,
        _NATS.read,
    ),
    Handler(
        Kind("ec2:network-interface", "Network interface", 50, proofs=MADE_PROOFS, structural=True),
        _find_interfaces,
        _delete_interface,
        _INTERFACES.read,
        codes={"InvalidParameterValue": "busy", "OperationNotPermitted": "refused"},
    ),
    Handler(
        Kind(
            "ec2:elastic-ip",
            "Elastic IP",
            52,
            usd_per_month=flat(3.65),
            proofs=TAG_PROOFS,
            held_by=("ec2:nat-gateway", "elbv2:load-balancer"),
        ),
        _ADDRESSES.find,
        _release,
        _ADDRESSES.read,
    ),
    Handler(
        Kind("ec2:internet-gateway", "Internet gateway", 74, proofs=VPC_PROOFS),
        _GATEWAYS.find,
        _delete_gateway,
        _GATEWAYS.read,
        codes={"Gateway.NotAttached": "busy"},
    ),
)
