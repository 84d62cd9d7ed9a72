"""VPCs with their subnets, route tables and endpoints."""

from __future__ import annotations

from mlstacks_dagster.sweep.aws.ec2_listing import VPC_PROOFS, Listing
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]


def _vpc(look: Look, raw: Raw) -> Item:
    return look.item(
        "ec2:vpc",
        raw["VpcId"],
        tags=raw.get("Tags", ()),
        facts={"range": raw.get("CidrBlock"), "default": "true" if raw.get("IsDefault") else ""},
    )


def _delete_vpc(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_vpc", VpcId=item.ref.id)
    return None


def _subnet(look: Look, raw: Raw) -> Item:
    return look.item(
        "ec2:subnet",
        raw["SubnetId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        facts={
            "range": raw.get("CidrBlock"),
            "zone": raw.get("AvailabilityZone"),
            "default": "true" if raw.get("DefaultForAz") else "",
        },
    )


def _delete_subnet(look: Look, item: Item) -> str | None:
    look.call("ec2", "delete_subnet", SubnetId=item.ref.id)
    return None


def _table(look: Look, raw: Raw) -> Item | None:
    associations = raw.get("Associations", ())
    if any(a.get("Main") for a in associations):
        return None  # goes with its VPC, and only with it
    return look.item(
        "ec2:route-table",
        raw["RouteTableId"],
        tags=raw.get("Tags", ()),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        facts={"subnets": ", ".join(a["SubnetId"] for a in associations if a.get("SubnetId"))},
    )


def _delete_table(look: Look, item: Item) -> str | None:
    wanted = [{"Name": "route-table-id", "Values": [item.ref.id]}]
    found = look.call("ec2", "describe_route_tables", Filters=wanted)["RouteTables"]
    for association in (a for table in found for a in table.get("Associations", ())):
        if not association.get("Main"):
            look.call(
                "ec2",
                "disassociate_route_table",
                AssociationId=association["RouteTableAssociationId"],
            )
    look.call("ec2", "delete_route_table", RouteTableId=item.ref.id)
    return None


def _endpoint(look: Look, raw: Raw) -> Item | None:
    if str(raw.get("State", "")).lower() == "deleted":
        return None
    tags = {t["Key"]: t["Value"] for t in raw.get("Tags", ())}
    return look.item(
        "ec2:vpc-endpoint",
        raw["VpcEndpointId"],
        tags=tags,
        created=epoch(raw.get("CreationTimestamp")),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=(
            *look.refs("ec2:subnet", raw.get("SubnetIds", ())),
            *look.refs("ec2:security-group", [g["GroupId"] for g in raw.get("Groups", ())]),
        ),
        facts={
            "service": raw.get("ServiceName"),
            "state": raw.get("State"),
            "kind": raw.get("VpcEndpointType"),
            "managed-by": "GuardDuty" if tags.get("GuardDutyManaged") == "true" else "",
        },
    )


def _delete_endpoint(look: Look, item: Item) -> str | None:
    answer = look.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[item.ref.id])
    for failure in answer.get("Unsuccessful", ()):
        error = failure.get("Error", {})
        if not str(error.get("Code", "")).endswith("NotFound"):
            return f"{error.get('Code')}: {error.get('Message')}"
    return None


_VPCS = Listing("describe_vpcs", "Vpcs", 1000, _vpc, "vpc-id")
_SUBNETS = Listing("describe_subnets", "Subnets", 1000, _subnet, "subnet-id")
_TABLES = Listing("describe_route_tables", "RouteTables", 100, _table, "route-table-id")
_ENDPOINTS = Listing("describe_vpc_endpoints", "VpcEndpoints", 1000, _endpoint, "vpc-endpoint-id")

HANDLERS = (
    Handler(
        Kind(
            "ec2:vpc-endpoint",
            "VPC endpoint",
            36,
            usd_per_month=lambda i: 0.0 if i.facts.get("kind") == "Gateway" else 7.3,
            proofs=VPC_PROOFS,
        ),
        _ENDPOINTS.find,
        _delete_endpoint,
        _ENDPOINTS.read,
    ),
    Handler(
        Kind("ec2:subnet", "Subnet", 70, proofs=VPC_PROOFS),
        _SUBNETS.find,
        _delete_subnet,
        _SUBNETS.read,
    ),
    Handler(
        Kind("ec2:route-table", "Route table", 72, proofs=VPC_PROOFS),
        _TABLES.find,
        _delete_table,
        _TABLES.read,
    ),
    Handler(
        Kind("ec2:vpc", "VPC", 76, proofs=("T1 our tags",)),
        _VPCS.find,
        _delete_vpc,
        _VPCS.read,
    ),
)
