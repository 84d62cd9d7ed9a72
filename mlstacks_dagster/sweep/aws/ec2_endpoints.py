"""VPC endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from mlstacks_dagster.sweep.aws.ec2_listing import MADE_PROOFS, Listing, in_vpc
from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, tag_map
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS", "endpoints"]


def endpoints(look: Look) -> list[Raw]:
    """Return the region's endpoints as AWS tells them, asked for once."""
    return look.once("endpoints", lambda: list(_ENDPOINTS.raws(look)))


def _find(look: Look) -> Iterator[Item]:
    return (item for raw in endpoints(look) if (item := _endpoint(look, raw)) is not None)


def _endpoint(look: Look, raw: Raw) -> Item | None:
    if str(raw.get("State", "")).lower() == "deleted":
        return None
    tags = tag_map(raw.get("Tags", ()))
    guarded = tags.get("GuardDutyManaged") == "true"
    place = in_vpc(look, raw, guarded and "guardduty-data" in raw.get("ServiceName", ""))
    return look.item(
        "ec2:vpc-endpoint",
        raw["VpcEndpointId"],
        tags=tags,
        created=epoch(raw.get("CreationTimestamp")),
        inside=place["inside"],
        uses=(
            *place["uses"],
            *look.refs("ec2:subnet", raw.get("SubnetIds", ())),
            *look.refs("ec2:security-group", [g["GroupId"] for g in raw.get("Groups", ())]),
        ),
        facts={
            "service": raw.get("ServiceName"),
            "state": raw.get("State"),
            "kind": raw.get("VpcEndpointType"),
        },
    )


def _delete_endpoint(look: Look, item: Item) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to load

    answer = look.call("ec2", "delete_vpc_endpoints", VpcEndpointIds=[item.ref.id])
    for failure in answer.get("Unsuccessful", ()):
        raise ClientError({"Error": failure.get("Error", {})}, "DeleteVpcEndpoints")
    return None


_ENDPOINTS = Listing("describe_vpc_endpoints", "VpcEndpoints", 1000, _endpoint)

HANDLERS = (
    Handler(
        Kind(
            "ec2:vpc-endpoint",
            "VPC endpoint",
            36,
            usd_per_month=lambda i: 0.0 if i.facts.get("kind") == "Gateway" else 7.3,
            proofs=MADE_PROOFS,
            structural=True,
        ),
        _find,
        _delete_endpoint,
    ),
)
