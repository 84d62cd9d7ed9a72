"""What the controllers of an EKS cluster have made in its account, by the tags that they write.

Facts from the sources of the AWS Load Balancer Controller, the cloud provider and the EBS CSI
driver: see the table in ``docs/sandbox.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlstacks_dagster.sweep.aws_session import aws_calls
from mlstacks_dagster.sweep.contracts import FindContext

__all__ = ["made_by_controllers"]

# Elastic Load Balancing, what the EBS driver and the cloud provider make in EC2.
_TYPES = (
    "ec2:network-interface",
    "ec2:security-group",
    "ec2:snapshot",
    "ec2:volume",
    "elasticloadbalancing",
)


def made_by_controllers(name: str, context: FindContext) -> list[str]:
    """Return the ARNs, sorted, of load balancers, security groups, volumes and interfaces.

    ``name`` is the cluster's. Raises :class:`~mlstacks_dagster.errors.MlstacksError` when AWS
    doesn't say.
    """
    tags: tuple[tuple[str, str], ...] = (
        ("elbv2.k8s.aws/cluster", name),
        (f"kubernetes.io/cluster/{name}", "owned"),
        ("cluster.k8s.amazonaws.com/name", name),
    )
    with aws_calls(f"looking for what the cluster {name} made", context.region):
        return sorted({arn for key, value in tags for arn in _tagged(context, key, value)})


def _tagged(context: FindContext, key: str, value: str) -> Iterator[str]:
    pages = context.client("resourcegroupstaggingapi").get_paginator("get_resources")
    wanted: Mapping[str, Any] = {"Key": key, "Values": [value]}
    for page in pages.paginate(TagFilters=[wanted], ResourceTypeFilters=list(_TYPES)):
        for found in page["ResourceTagMappingList"]:
            yield found["ResourceARN"]
