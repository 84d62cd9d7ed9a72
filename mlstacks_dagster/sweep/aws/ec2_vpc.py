"""VPCs with their subnets, route tables, access lists and peering connections.

The default VPC of a region is AWS's own: whatever is written on it or its subnets, neither is
ever a stack's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlstacks_dagster.sweep.aws.ec2_listing import (
    VPC_PROOFS,
    Listing,
    flag,
)
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item, Ref

__all__ = ["HANDLERS"]

_OVER = frozenset({"deleted", "expired", "failed", "rejected"})


def _vpc(look: Look, raw: Raw) -> Item:
    default = raw.get("IsDefault")
    return look.item(
        "ec2:vpc",
        raw["VpcId"],
        tags=() if default else raw.get("Tags", ()),
        facts={"range": raw.get("CidrBlock"), "default": flag(default)},
    )


def _vpcs(look: Look) -> list[Raw]:
    return look.once("vpcs", lambda: list(_VPCS.raws(look)))


def _find_vpcs(look: Look) -> Iterator[Item]:
    return (_vpc(look, raw) for raw in _vpcs(look))


def _delete_vpc(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_vpc", VpcId=item.ref.id)
    return None


def _in_vpcs(listing: Listing) -> Callable[[Look], Iterator[Item]]:
    """Return a finder that asks only where a VPC is that could be a stack's.

    What is in the default VPC alone is never ours, and most regions have no other.
    """

    def find(look: Look) -> Iterator[Item]:
        if all(raw.get("IsDefault") for raw in _vpcs(look)):
            return iter(())
        return listing.find(look)

    return find


def _subnet(look: Look, raw: Raw) -> Item:
    default = raw.get("DefaultForAz")
    return look.item(
        "ec2:subnet",
        raw["SubnetId"],
        tags=() if default else raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        facts={
            "range": raw.get("CidrBlock"),
            "zone": raw.get("AvailabilityZone"),
            "default": flag(default),
        },
    )


def _delete_subnet(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_subnet", SubnetId=item.ref.id)
    return None


def _table(look: Look, raw: Raw) -> Item | None:
    associations = raw.get("Associations", ())
    if any(a.get("Main") for a in associations):
        return None  # comes and goes with its VPC
    return look.item(
        "ec2:route-table",
        raw["RouteTableId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        used_by=(
            *look.refs("ec2:subnet", sorted(a.get("SubnetId", "") for a in associations)),
            *look.refs(
                "ec2:internet-gateway", sorted(a.get("GatewayId", "") for a in associations)
            ),
        ),
    )


def _delete_table(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_route_table", RouteTableId=item.ref.id)
    return None


def _list(look: Look, raw: Raw) -> Item | None:
    if raw.get("IsDefault"):
        return None  # comes and goes with its VPC
    subnets = sorted(a.get("SubnetId", "") for a in raw.get("Associations", ()))
    return look.item(
        "ec2:network-acl",
        raw["NetworkAclId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        used_by=look.refs("ec2:subnet", subnets),
    )


def _delete_list(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_network_acl", NetworkAclId=item.ref.id)
    return None


def _connection(look: Look, raw: Raw) -> Item | None:
    if raw.get("Status", {}).get("Code") in _OVER:
        return None
    return look.item(
        "ec2:vpc-peering-connection",
        raw["VpcPeeringConnectionId"],
        tags=raw.get("Tags", ()),
        inside=_ends(look, raw),
        facts={"state": raw.get("Status", {}).get("Code")},
    )


def _ends(look: Look, raw: Raw) -> tuple[Ref, ...]:
    """Return the VPCs of this account and region that a connection joins."""
    ends = [raw.get(key, {}) for key in ("RequesterVpcInfo", "AccepterVpcInfo")]
    here = [
        end.get("VpcId")
        for end in ends
        if end.get("OwnerId") in (None, look.account) and end.get("Region") in (None, look.region)
    ]
    return look.refs("ec2:vpc", here)


def _delete_connection(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_vpc_peering_connection", VpcPeeringConnectionId=item.ref.id)
    return None


def _exit(look: Look, raw: Raw) -> Item:
    return look.item(
        "ec2:egress-only-gateway",
        raw["EgressOnlyInternetGatewayId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [a.get("VpcId") for a in raw.get("Attachments", ())]),
    )


def _delete_exit(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_egress_only_internet_gateway", EgressOnlyInternetGatewayId=item.ref.id)
    return None


_VPCS = Listing("describe_vpcs", "Vpcs", 1000, _vpc, "vpc-id")
_SUBNETS = Listing("describe_subnets", "Subnets", 1000, _subnet, "subnet-id")
_TABLES = Listing("describe_route_tables", "RouteTables", 100, _table, "route-table-id")
_LISTS = Listing("describe_network_acls", "NetworkAcls", 1000, _list)
_CONNECTIONS = Listing(
    "describe_vpc_peering_connections",
    "VpcPeeringConnections",
    1000,
    _connection,
    "vpc-peering-connection-id",
)
_EXITS = Listing("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", 255, _exit)

_IN_SUBNETS = (
    "ec2:instance",
    "ec2:nat-gateway",
    "ec2:network-interface",
    "ec2:vpc-endpoint",
    "eks:cluster",
    "elb:load-balancer",
    "elbv2:load-balancer",
)
_IN_VPCS = (
    *_IN_SUBNETS,
    "ec2:egress-only-gateway",
    "ec2:internet-gateway",
    "ec2:network-acl",
    "ec2:route-table",
    "ec2:security-group",
    "ec2:subnet",
    "ec2:vpc-peering-connection",
)

HANDLERS = (
    Handler(
        Kind("ec2:vpc-peering-connection", "VPC peering connection", 40, proofs=VPC_PROOFS),
        _in_vpcs(_CONNECTIONS),
        _delete_connection,
        _CONNECTIONS.read,
        codes={"InvalidStateTransition": "gone"},
    ),
    Handler(
        Kind("ec2:subnet", "Subnet", 70, proofs=VPC_PROOFS, held_by=_IN_SUBNETS),
        _SUBNETS.find,
        _delete_subnet,
        _SUBNETS.read,
    ),
    Handler(
        Kind("ec2:network-acl", "Network access list", 71, proofs=VPC_PROOFS),
        _in_vpcs(_LISTS),
        _delete_list,
        lambda look, _ids: _LISTS.find(look),
    ),
    Handler(
        Kind("ec2:route-table", "Route table", 72, proofs=VPC_PROOFS),
        _TABLES.find,
        _delete_table,
        _TABLES.read,
    ),
    Handler(
        Kind("ec2:egress-only-gateway", "Egress-only internet gateway", 74, proofs=VPC_PROOFS),
        _in_vpcs(_EXITS),
        _delete_exit,
        lambda look, _ids: _EXITS.find(look),
    ),
    Handler(
        Kind("ec2:vpc", "VPC", 76, proofs=("T1 our tags",), held_by=_IN_VPCS),
        _find_vpcs,
        _delete_vpc,
        _VPCS.read,
    ),
)
