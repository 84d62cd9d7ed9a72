"""Ties moto's EKS to the emulated Kubernetes: endpoint, certificate, and the end of a cluster."""

from __future__ import annotations

import base64
import functools
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["serve_clusters"]

_OnDelete = Callable[[str, str], None]


def serve_clusters(endpoint: str, ca: bytes, on_delete: _OnDelete) -> None:
    """Let each of moto's EKS clusters have its API below ``endpoint`` with the authority ``ca``.

    ``on_delete`` is told region and name of each cluster that is deleted. Each cluster gets an
    OIDC issuer of its own, where moto gives the same one to all.
    """
    from moto.eks.models import EKSBackend  # noqa: PLC0415 - as slow as all of moto

    create, delete = EKSBackend.create_cluster, EKSBackend.delete_cluster

    @functools.wraps(create)
    def create_cluster(self: Any, *args: Any, **kwargs: Any) -> Any:
        cluster = create(self, *args, **kwargs)
        region = self.region_name
        cluster.endpoint = f"{endpoint}/clusters/{region}/{cluster.name}"
        cluster.certificate_authority = {"data": base64.b64encode(ca).decode()}
        issuer = f"https://oidc.eks.{region}.amazonaws.com/id/{uuid.uuid4().hex.upper()}"
        cluster.identity = {"oidc": {"issuer": issuer}}
        return cluster

    @functools.wraps(delete)
    def delete_cluster(self: Any, name: str) -> Any:
        cluster = delete(self, name)
        on_delete(self.region_name, name)
        return cluster

    setattr(EKSBackend, "create_cluster", create_cluster)  # noqa: B010 - typed by mypy
    setattr(EKSBackend, "delete_cluster", delete_cluster)  # noqa: B010 - typed by mypy
