"""What controllers need of the cloud that a cluster is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Balancer", "Cloud", "CloudError", "Group", "Volume"]

Tags = Mapping[str, str]

CLASSIC, NETWORK, APPLICATION = "classic", "network", "application"


class CloudError(Exception):
    """The cloud refused; a controller says so in an event and tries again later."""


@dataclass(frozen=True)
class Group:
    """A security group that a controller makes for load balancers."""

    name: str
    description: str
    tags: Tags
    # Whether the nodes' own group lets this one in, as both controllers arrange.
    reaches_nodes: bool = False


@dataclass(frozen=True)
class Balancer:
    """A load balancer as a controller wants it; ``kind`` is classic, network or application."""

    kind: str
    name: str
    internal: bool
    ports: tuple[int, ...]
    tags: Tags
    groups: tuple[Group, ...] = ()
    # Tags of the target group of each port; only those of kinds other than classic have any.
    targets: Mapping[str, Tags] = field(default_factory=dict)
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Volume:
    """A volume as the CSI driver wants it."""

    gibibytes: int
    kind: str
    encrypted: bool
    tags: Tags


class Cloud(Protocol):
    """The cloud around one cluster."""

    def ensure_balancer(self, balancer: Balancer) -> str:
        """Make a load balancer unless it is there; return its host name.

        Raises :class:`CloudError`.
        """

    def remove_balancer(self, balancer: Balancer) -> None:
        """Remove a load balancer with its groups and target groups; raises :class:`CloudError`."""

    def remove_group(self, name: str) -> None:
        """Remove a security group, if it is there and nothing uses it."""

    def create_volume(self, volume: Volume) -> tuple[str, str]:
        """Make a volume; return its id and its zone. Raises :class:`CloudError`."""

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume, if it is there; raises :class:`CloudError`."""

    def role_problem(self, role_arn: str, namespace: str, account: str) -> str | None:
        """Say why a service account can't take a role; None: it can."""
