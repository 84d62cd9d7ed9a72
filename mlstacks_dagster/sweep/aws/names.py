"""What tags, names and descriptions say about a thing's cluster. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

__all__ = ["clusters_of", "epoch", "owner_hint", "tag_map"]

_CLUSTER_PREFIX = "kubernetes.io/cluster/"
_CLUSTER_VALUES = (
    "KubernetesCluster",
    "aws:eks:cluster-name",
    "cluster.k8s.amazonaws.com/name",
    "ebs.csi.aws.com/cluster-name",
    "eks:cluster-name",
    "eks:eks-cluster-name",
    "elbv2.k8s.aws/cluster",
    "ingress.k8s.aws/cluster",
    "karpenter.k8s.aws/cluster",
)
_DESCRIPTIONS = (
    re.compile(r"^Amazon EKS ([0-9A-Za-z][\w-]{0,99})$"),
    re.compile(r"^/aws/eks/([^/]+)/"),
    re.compile(r"^/aws/containerinsights/([^/]+)/"),
)
_HINT = re.compile(r"(?<![a-z0-9])ml-s[a-z0-9]{12}(?![a-z0-9])")


def clusters_of(tags: Mapping[str, str] | None, texts: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of clusters that own the thing, by its tags and by ``texts``.

    ``texts`` are descriptions and names that AWS or a controller wrote. A tag that says
    ``shared`` is of a cluster that only uses the thing, so it doesn't count.
    """
    found = set()
    for key, value in (tags or {}).items():
        if key.startswith(_CLUSTER_PREFIX) and value != "shared":
            found.add(key.removeprefix(_CLUSTER_PREFIX))
        elif key in _CLUSTER_VALUES and value:
            found.add(value)
    found |= {m[1] for text in texts for pattern in _DESCRIPTIONS if (m := pattern.match(text))}
    return tuple(sorted(found))


def owner_hint(name: str) -> str:
    """Return the part of ``name`` that looks like a stack's name prefix, else nothing."""
    match = _HINT.search(name)
    return match[0] if match else ""


def tag_map(tags: Any) -> dict[str, str]:
    """Return tags as a dict, from a list of key and value in any spelling, or from a dict."""
    if isinstance(tags, Mapping):
        return {str(k): str(v) for k, v in tags.items()}
    return {
        str(tag.get("Key", tag.get("key", tag.get("TagKey")))): str(
            tag.get("Value", tag.get("value", tag.get("TagValue", ""))) or ""
        )
        for tag in tags or ()
    }


def epoch(moment: Any) -> float | None:
    """Return Unix time in seconds from a datetime, from milliseconds, or from ISO text."""
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, str) and moment:
        return datetime.fromisoformat(moment).timestamp()
    return moment / 1000 if isinstance(moment, (int, float)) and moment else None
