"""All of AWS's types, from the modules of their families."""

from __future__ import annotations

from collections.abc import Mapping

from mlstacks_dagster.sweep.aws import (
    autoscaling,
    balancers,
    buckets,
    clusters,
    databases,
    dns,
    ec2_compute,
    ec2_endpoints,
    ec2_groups,
    ec2_network,
    ec2_vpc,
    events,
    file_systems,
    identity,
    logs,
    registries,
    sagemaker,
    secrets,
)
from mlstacks_dagster.sweep.aws.look import Handler
from mlstacks_dagster.sweep.inventory.handlers import Kind

__all__ = ["HANDLERS", "KINDS"]

_FAMILIES: tuple[tuple[Handler, ...], ...] = (
    # The families with the most to say come first, so that nothing waits for them at the end.
    ec2_network.HANDLERS,
    ec2_groups.HANDLERS,
    ec2_compute.HANDLERS,
    autoscaling.HANDLERS,
    ec2_endpoints.HANDLERS,
    ec2_vpc.HANDLERS,
    balancers.HANDLERS,
    logs.HANDLERS,
    identity.HANDLERS,
    buckets.HANDLERS,
    clusters.HANDLERS,
    databases.HANDLERS,
    registries.HANDLERS,
    file_systems.HANDLERS,
    secrets.HANDLERS,
    sagemaker.HANDLERS,
    events.HANDLERS,
    dns.HANDLERS,
)

HANDLERS: Mapping[str, Handler] = {
    handler.kind.type: handler for family in _FAMILIES for handler in family
}
"""How each type is listed, read and deleted, by its name."""

KINDS: Mapping[str, Kind] = {name: handler.kind for name, handler in HANDLERS.items()}
"""What is known of each type, by its name."""
