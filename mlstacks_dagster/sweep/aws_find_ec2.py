"""Finders for EC2: things known by their marks and Name, and parts of route tables.

One describe call (with its pages) serves all wanted resources of a type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws_session import aws_calls
from mlstacks_dagster.sweep.contracts import FindContext, Finder, Found, Wanted
from mlstacks_dagster.sweep.marks import COMPONENT, STACK, same_owner

__all__ = ["EC2_FINDERS", "describe_ec2", "filtered", "tag_map"]

_MAX_FILTER_VALUES = 200


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return AWS's list of ``Key`` and ``Value`` as a dict."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}


def filtered(name: str, values: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield EC2 filters for ``values``, as many as one call may carry in each."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _MAX_FILTER_VALUES):
        yield [{"Name": name, "Values": ordered[start : start + _MAX_FILTER_VALUES]}]


def describe_ec2(
    ctx: FindContext, operation: str, items: str, filters: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return all items of a describe call, over all its pages. Raises as ``aws_calls`` does."""
    with aws_calls(f"calling {operation}", ctx.region):
        client = ctx.client("ec2")
        parameter = "Filter" if operation == "describe_nat_gateways" else "Filters"
        if not client.can_paginate(operation):
            return list(getattr(client, operation)(**{parameter: filters})[items])
        pages = client.get_paginator(operation).paginate(**{parameter: filters})
        return [item for page in pages for item in page[items]]


@dataclass(frozen=True)
class _Kind:
    """How AWS tells one kind of thing: call, list, id, and attributes that must agree."""

    operation: str
    items: str
    id_key: str
    same: Mapping[str, str]
    created_key: str = ""


_KINDS: Mapping[str, _Kind] = {
    "aws_vpc": _Kind("describe_vpcs", "Vpcs", "VpcId", {}),
    "aws_subnet": _Kind("describe_subnets", "Subnets", "SubnetId", {"vpc_id": "VpcId"}),
    "aws_internet_gateway": _Kind(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId", {}
    ),
    "aws_nat_gateway": _Kind(
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        {"subnet_id": "SubnetId"},
        "CreateTime",
    ),
    "aws_eip": _Kind("describe_addresses", "Addresses", "AllocationId", {}),
    "aws_route_table": _Kind(
        "describe_route_tables", "RouteTables", "RouteTableId", {"vpc_id": "VpcId"}
    ),
    "aws_security_group": _Kind(
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        {"vpc_id": "VpcId", "name": "GroupName"},
    ),
    "aws_vpc_endpoint": _Kind(
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        {"vpc_id": "VpcId", "service_name": "ServiceName"},
        "CreationTimestamp",
    ),
}

_GONE_STATES = frozenset({"deleted", "failed", "rejected", "expired"})
_MOVING_STATES = frozenset({"pending", "deleting"})


def _find_marked(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    kind = _KINDS[wanted[0].type]
    marks = ctx.marks
    items = describe_ec2(
        ctx,
        kind.operation,
        kind.items,
        [{"Name": f"tag:{key}", "Values": [marks[key]]} for key in (STACK, COMPONENT)],
    )
    there = [item for item in items if _counts(item, kind, ctx)]
    found = {}
    for want in wanted:
        matches = [item for item in there if _matches(item, want, kind)]
        if len(matches) > 1 or (matches and not _name(want) and _nameless(wanted) > 1):
            raise _ambiguous(want, [str(item[kind.id_key]) for item in matches])
        for item in matches:
            found[want.address] = _found(item, kind)
    return found


def _counts(item: Mapping[str, Any], kind: _Kind, ctx: FindContext) -> bool:
    """Leave out what is gone, what the state holds, and a VPC's own default group.

    The marks are compared again: an emulator may answer more than the filters ask for.
    """
    return (
        same_owner(tag_map(item.get("Tags")), ctx.marks, (STACK, COMPONENT))
        and item[kind.id_key] not in ctx.in_state
        and _state(item) not in _GONE_STATES
        and item.get("GroupName") != "default"
    )


def _state(item: Mapping[str, Any]) -> str:
    return str(item.get("State") or "").lower()


def _name(want: Wanted) -> str:
    return want.tags.get("Name", "")


def _nameless(wanted: Sequence[Wanted]) -> int:
    return sum(1 for want in wanted if not _name(want))


def _matches(item: Mapping[str, Any], want: Wanted, kind: _Kind) -> bool:
    if tag_map(item.get("Tags")).get("Name", "") != _name(want):
        return False
    known = ((want.after.get(ours), item.get(theirs)) for ours, theirs in kind.same.items())
    return all(value is None or value == seen for value, seen in known)


def _found(item: Mapping[str, Any], kind: _Kind) -> Found:
    created: datetime | None = item.get(kind.created_key) if kind.created_key else None
    identifier = str(item[kind.id_key])
    return Found(
        import_id=identifier,
        resource_id=identifier,
        tags=tag_map(item.get("Tags")),
        created_at=created,
        status="pending" if _state(item) in _MOVING_STATES else "ready",
    )


def _ambiguous(want: Wanted, ids: Sequence[str]) -> MlstacksError:
    return MlstacksError(
        f"{want.address} can't be told from what exists already: {', '.join(sorted(ids))} "
        f"carry its marks and its Name ({_name(want) or 'none'})",
        remedy="delete those that are too many, or give each resource a Name tag of its own",
    )


def _find_launch_templates(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    by_name = {}
    for filters in filtered("launch-template-name", (w.after["name"] for w in wanted)):
        for item in describe_ec2(ctx, "describe_launch_templates", "LaunchTemplates", filters):
            by_name[item["LaunchTemplateName"]] = item
    return {
        want.address: Found(
            import_id=by_name[want.after["name"]]["LaunchTemplateId"],
            resource_id=by_name[want.after["name"]]["LaunchTemplateId"],
            tags=tag_map(by_name[want.after["name"]].get("Tags")),
            created_at=by_name[want.after["name"]].get("CreateTime"),
        )
        for want in wanted
        if want.after["name"] in by_name
    }


_DESTINATIONS = {
    "destination_cidr_block": "DestinationCidrBlock",
    "destination_ipv6_cidr_block": "DestinationIpv6CidrBlock",
    "destination_prefix_list_id": "DestinationPrefixListId",
}


def _find_routes(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    tables = {}
    for filters in filtered("route-table-id", (w.after["route_table_id"] for w in wanted)):
        for item in describe_ec2(ctx, "describe_route_tables", "RouteTables", filters):
            tables[item["RouteTableId"]] = item
    found = {}
    for want in wanted:
        table = tables.get(want.after["route_table_id"])
        key, destination = next((k, want.after[k]) for k in _DESTINATIONS if want.after.get(k))
        if table and any(
            route.get(_DESTINATIONS[key]) == destination and route.get("Origin") == "CreateRoute"
            for route in table.get("Routes", ())
        ):
            identifier = f"{table['RouteTableId']}_{destination}"
            found[want.address] = Found(
                identifier, identifier, tag_map(table.get("Tags")), inherited=True
            )
    return found


def _find_associations(ctx: FindContext, wanted: Sequence[Wanted]) -> dict[str, Found]:
    """A subnet has at most one association; one with another table counts as found too."""
    tables: dict[str, dict[str, Any]] = {}
    subnets = {str(w.after["subnet_id"]) for w in wanted}
    for filters in filtered("association.subnet-id", subnets):
        for item in describe_ec2(ctx, "describe_route_tables", "RouteTables", filters):
            for association in item.get("Associations", ()):
                tables[association.get("SubnetId", "")] = item
    return {
        want.address: Found(
            import_id=f"{want.after['subnet_id']}/{table['RouteTableId']}",
            resource_id=f"{want.after['subnet_id']}/{table['RouteTableId']}",
            tags=tag_map(table.get("Tags")),
            inherited=True,
        )
        for want in wanted
        if (table := tables.get(want.after["subnet_id"])) is not None
    }


def _marked(prefix: str, *needs: str) -> Finder:
    return Finder(_find_marked, needs, rf"{prefix}-[0-9a-f]+")


_FindAll = Callable[[FindContext, Sequence[Wanted]], Mapping[str, Found]]

EC2_FINDERS: Mapping[str, Finder] = {
    "aws_vpc": _marked("vpc"),
    "aws_subnet": _marked("subnet", "vpc_id"),
    "aws_internet_gateway": _marked("igw"),
    "aws_nat_gateway": _marked("nat", "subnet_id"),
    "aws_eip": _marked("eipalloc"),
    "aws_route_table": _marked("rtb", "vpc_id"),
    "aws_security_group": _marked("sg", "vpc_id"),
    "aws_vpc_endpoint": _marked("vpce", "vpc_id"),
    "aws_launch_template": Finder(_find_launch_templates, ("name",), r"lt-[0-9a-f]+"),
    "aws_route": Finder(
        _find_routes, ("route_table_id", "|".join(_DESTINATIONS)), r"rtb-[0-9a-f]+_\S+"
    ),
    "aws_route_table_association": Finder(
        _find_associations, ("subnet_id",), r"subnet-[0-9a-f]+/rtb-[0-9a-f]+"
    ),
}
