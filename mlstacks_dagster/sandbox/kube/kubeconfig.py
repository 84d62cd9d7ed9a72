"""Kubeconfigs for clusters with a static token."""

from __future__ import annotations

import base64
from typing import Any

__all__ = ["kubeconfig_document"]


def kubeconfig_document(name: str, endpoint: str, ca: bytes, token: str) -> dict[str, Any]:
    """Return a kubeconfig whose one context, ``name``, is a cluster with a static token."""
    authority = {"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": endpoint, **authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
