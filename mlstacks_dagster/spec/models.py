"""A stack and its components as the user wrote them, checked but not yet resolved.

Every value remembers the file and the line it came from, so that later rooms (the catalog)
can point at it in their errors too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlstacks_dagster.errors import Problem

__all__ = ["ClusterLocation", "Component", "Source", "Stack", "StackOptions", "StateLocation"]

Provider = Literal["aws", "gcp", "k3d"]


class StateLocation(BaseModel):
    """Where Terraform states live: this machine, or an existing bucket.

    ``region`` matters for S3 only; None means the stack's region.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "s3", "gcs"] = "local"
    bucket: str | None = None
    prefix: str = ""
    region: str | None = None


class ClusterLocation(BaseModel):
    """A Kubernetes cluster that exists already.

    ``kubeconfig`` is an absolute path; without ``context`` its current one is used. ``has`` are
    the capabilities that the cluster has already, each with its keys. The others are what units
    need of an EKS cluster; ``oidc_issuer`` comes without ``https://``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path
    context: str | None = None
    name: str | None = None
    arn: str | None = None
    region: str | None = None
    oidc_provider_arn: str | None = None
    oidc_issuer: str | None = None
    node_role_name: str | None = None
    node_role_arn: str | None = None
    has: dict[str, dict[str, str]] = Field(default_factory=dict)


class StackOptions(BaseModel):
    """The optional fields of a stack file that are ours.

    ``ttl_seconds`` counts from the stack's first deploy; ``expires_at`` is Unix time in seconds.
    ``data`` is what a teardown does with users' data: it goes with the stack, or what holds it
    stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ttl_seconds: int | None = None
    expires_at: int | None = None
    protect: bool = False
    on_failure: Literal["keep", "destroy"] = "keep"
    data: Literal["delete", "retain"] = "delete"
    state: StateLocation = StateLocation()
    cluster: ClusterLocation | None = None


@dataclass(frozen=True)
class Source:
    """A YAML file and the line (from 1) of each of its keys, by path of keys and indexes."""

    file: Path
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict)

    def line(self, *path: str | int) -> int:
        """Return the line of the key at ``path``, or of its nearest known parent."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)

    def problem(self, message: str, *path: str | int, remedy: str = "") -> Problem:
        """Return a :class:`Problem` located at the key at ``path``."""
        return Problem(message, self.file, self.line(*path), remedy)


@dataclass(frozen=True)
class Component:
    """A component file. ``config`` and ``environment`` are ``metadata``'s."""

    name: str
    provider: Provider
    type: str
    flavor: str
    source: Source
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None


@dataclass(frozen=True)
class Stack:
    """A stack file with its components; ``region`` is ``default_region``.

    ``warnings`` are findings that don't keep the stack from being deployed.
    """

    name: str
    provider: Provider
    source: Source
    region: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    components: tuple[Component, ...] = ()
    options: StackOptions = field(default_factory=StackOptions)
    warnings: tuple[Problem, ...] = ()
