"""What names, labels, tags and descriptions on GKE's leftovers say of their cluster. Pure.

Controllers write a cluster's name (labels, network tags, health checks) or one of two ids into
what they make: 8 characters of a hash over the uid of the namespace ``kube-system``, or the 16
hex digits of the ConfigMap ``kube-system/ingress-uid``. Old names are cut at 62 characters, which
may cut the id: such a name proves nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Claim", "claims_of", "load_balancer_of", "marks_of_description", "uid8"]

_CHARS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MAX_WHOLE = 62
_V2 = re.compile(r"k8s2-(?:(?:tcp|udp|fr|fs|tp|ts|um|rm|cr)-)?([0-9a-z]{8})-.+")
_V1_NEG = re.compile(r"k8s1-([0-9a-z]{8})-.+")
_V1_WHOLE = re.compile(r"k8s-(?:be|ig|fw|fws|tp|tps|um|rm|ssl|fw-l7)-(?:.*-)?-([0-9a-f]{16})")
_BY_ID = re.compile(r"k8s-([0-9a-f]{16})-(?:node|node-http-hc|node-hc|internal-.+)")
_LB = re.compile(r"(?:k8s-fw-)?(?:k8s-)?(a[0-9a-f]{31})(?:-deny|-http-hc|-hc)?")
_NODE_TAG = re.compile(r"gke-([a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)-([0-9a-f]{8})-node")
_CLUSTER_PATH = re.compile(r"(?:.*)/locations/([^/]+)/clusters/([^/]+)")
_MARK = re.compile(r"mlstacks:([a-z0-9_-]+):([a-z0-9_-]+)(?::([a-z0-9_-]+))?(?:\s.*)?", re.DOTALL)


@dataclass(frozen=True)
class Claim:
    """One thing an item says of its cluster: its name (with what goes along) or one of its ids.

    ``hash8`` are the first 8 digits of GKE's own id. ``cut`` marks an id that may be cut.
    """

    by: str
    name: str = ""
    location: str = ""
    hash8: str = ""
    kube_uid: str = ""
    uid8: str = ""
    uid16: str = ""
    cut: bool = False


def uid8(kube_system_uid: str) -> str:
    """Return the 8 characters that stand for a cluster in names since ingress-gce 1.11.

    ``kube_system_uid`` is the uid of its namespace ``kube-system``.
    """
    digest = hashlib.sha256(kube_system_uid.encode()).digest()
    return "".join(_CHARS[byte % 36] for byte in digest[:8])


def load_balancer_of(name: str) -> str:
    """Return the load balancer (``a`` and 31 hex digits) that a name is of, or nothing."""
    found = _LB.fullmatch(name)
    return found[1] if found else ""


def marks_of_description(text: str) -> dict[str, str]:
    """Return the marks in a description ``mlstacks:INSTALL:STACK[:COMPONENT]``, for what takes
    no labels; nothing when it holds none."""
    found = _MARK.fullmatch(text.strip())
    if not found:
        return {}
    keys = ("mlstacks-install", "mlstacks-stack", "mlstacks-component")
    return {key: value for key, value in zip(keys, found.groups(), strict=True) if value}


def claims_of(raw: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> tuple[Claim, ...]:
    """Return everything that an API's object says of its cluster."""
    return (
        *_by_labels(labels),
        *_by_tags(raw),
        *_by_description(str(raw.get("description") or "")),
        *_by_name(name),
    )


def _by_labels(labels: Mapping[str, str]) -> list[Claim]:
    cluster = labels.get("goog-k8s-cluster-name", "")
    if not cluster:
        return []
    location = labels.get("goog-k8s-cluster-location", "")
    return [Claim("label goog-k8s-cluster-name", name=cluster, location=location)]


def _by_tags(raw: Mapping[str, Any]) -> list[Claim]:
    """Firewall rules and routes: every tag must be a cluster's, or the rule serves others too."""
    tags = raw.get("targetTags") or raw.get("tags") or ()
    if not isinstance(tags, list) or not tags:
        return []
    found = [_NODE_TAG.fullmatch(str(tag)) for tag in tags]
    return [
        Claim(f"network tag {match[0]}", name=match[1], hash8=match[2])
        if match
        else Claim("a network tag that is no cluster's", name="?")
        for match in found
    ]


def _by_description(text: str) -> list[Claim]:
    if not text.startswith("{"):
        return []
    try:
        said = json.loads(text)
    except ValueError:
        return []
    if not isinstance(said, dict):
        return []
    claims = []
    if uid := str(said.get("cluster-uid") or ""):
        claims.append(Claim("cluster-uid in its description", kube_uid=uid))
    if uid := str(said.get("kubernetes.io/cluster-id") or ""):
        claims.append(Claim("cluster-id in its description", uid16=uid))
    if cluster := str(said.get("cluster-name") or ""):
        claims.append(Claim("cluster-name in its description", name=cluster))
    if path := _CLUSTER_PATH.fullmatch(str(said.get("k8sCluster") or "")):
        claims.append(Claim("k8sCluster in its description", name=path[2], location=path[1]))
    return claims


def _by_name(name: str) -> list[Claim]:
    if found := _V2.fullmatch(name) or _V1_NEG.fullmatch(name):
        return [Claim("id in its name", uid8=found[1])]
    if found := _BY_ID.fullmatch(name):
        return [Claim("id in its name", uid16=found[1])]
    if len(name) <= _MAX_WHOLE:
        whole = _V1_WHOLE.fullmatch(name)
        return [Claim("id in its name", uid16=whole[1])] if whole else []
    if name.startswith("k8s-") and "--" in name:
        return [Claim("cut id in its name", uid16=name.rpartition("--")[2][:-1], cut=True)]
    return []
