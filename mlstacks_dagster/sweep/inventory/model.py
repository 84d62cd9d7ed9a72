"""The words of sweeps: items, coverage, snapshots. Plain data that survives a trip through JSON.

A snapshot says what was seen, and for each type and region whether it was seen at all: nothing
here can be "clean" by omission.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Coverage", "Item", "Ref", "Scope", "Snapshot"]

Provider = Literal["aws", "gcp"]
ListStatus = Literal["listed", "denied", "failed"]

GLOBAL = "global"
"""The region of what has none."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Model):
    """An account (AWS) or project (GCP), and the regions to look at; ``alias`` is for people.

    ``partial``: there may be other regions, with things that use what has no region.
    """

    provider: Provider
    account: str
    alias: str = ""
    regions: tuple[str, ...] = ()
    partial: bool = False


class Ref(_Model):
    """Names an item: its type, such as ``ec2:volume``, its region and its id within both."""

    type: str
    region: str
    id: str

    def __str__(self) -> str:
        """Render as ``type id (region)``."""
        return f"{self.type} {self.id} ({self.region})"


class Item(_Model):
    """Something that exists.

    ``tags`` are tags or labels, None when they could not be read. ``created`` is Unix time in
    seconds, None when the cloud doesn't say. ``inside`` are the things that contain it (VPC,
    cluster), ``uses`` what it needs (so that must go later), ``used_by`` what holds it now.
    ``clusters`` are the names of Kubernetes clusters that it says it belongs to, by whatever tag
    or name its controller writes. ``facts`` are what people and prices want to know (size,
    state, host name, and ``owner-hint`` for proof by name only); all texts. The fact
    ``implicit`` = ``true`` marks what its container makes and takes with it (a VPC's default
    security group, main route table): never deleted by itself, in nobody's way.
    """

    ref: Ref
    name: str = ""
    tags: dict[str, str] | None = Field(default_factory=dict)
    created: float | None = None
    inside: tuple[Ref, ...] = ()
    uses: tuple[Ref, ...] = ()
    used_by: tuple[Ref, ...] = ()
    clusters: tuple[str, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash over what must not have changed between a plan and its delete."""
        parts: dict[str, Any] = {
            "ref": self.ref.model_dump(),
            "tags": self.tags,
            "created": self.created,
            "inside": sorted(str(ref) for ref in self.inside),
            "uses": sorted(str(ref) for ref in self.uses),
            "used_by": sorted(str(ref) for ref in self.used_by),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Coverage(_Model):
    """How listing one type in one region ended; ``why`` says it for the two bad ends."""

    type: str
    region: str
    status: ListStatus
    count: int = 0
    why: str = ""


class Snapshot(_Model):
    """One look at an account. ``taken_at`` is Unix time in seconds."""

    scope: Scope
    taken_at: float
    items: tuple[Item, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    calls: int = 0
    seconds: float = 0.0

    @property
    def unverified(self) -> tuple[Coverage, ...]:
        """What was not listed."""
        return tuple(c for c in self.coverage if c.status != "listed")
