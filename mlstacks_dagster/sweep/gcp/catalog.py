"""The types that an ML stack can leave in a Google project: how each is listed and named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["KINDS", "GcpKind", "RestList", "kind_of_collection", "snake"]

_HOURS = 730.0
_T1 = ("T1: labels mlstacks-install and mlstacks-stack",)
_MARKED = ("T1: description mlstacks:INSTALL:STACK",)
_BY_UID = "T2: recorded cluster id in its name"


@dataclass(frozen=True)
class RestList:
    """A list by plain REST: ``path`` with ``{project}``, the answer's ``key``, ``params``."""

    path: str
    key: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class GcpKind(Kind):
    """A type with its names in Google's APIs.

    ``asset`` is its type in Cloud Asset Inventory; ``collection`` the word before its name in
    resource names; ``host`` the API's first name; ``version`` begins its REST paths; ``rest`` is
    its list when no client library lists it, None with ``host`` other than compute and container:
    the asset index finds it.
    """

    asset: str = ""
    collection: str = ""
    host: str = "compute"
    version: str = "compute/v1"
    rest: RestList | None = None
    labels_at: str = "labels"
    spreads: bool = False

    @property
    def by_compute(self) -> bool:
        """Listed by google-cloud-compute."""
        return self.host == "compute" and self.rest is None

    @property
    def by_asset(self) -> bool:
        """Found by the asset index alone, since no list covers all its locations."""
        return self.host not in ("compute", "container") and self.rest is None


def snake(collection: str) -> str:
    """Return the singular in snake case: ``forwardingRules`` gives ``forwarding_rule``."""
    words = re.sub(r"([A-Z])", r"_\1", collection).lower()
    for plural, singular in (
        ("addresses", "address"),
        ("proxies", "proxy"),
        ("policies", "policy"),
    ):
        if words.endswith(plural):
            return words.removesuffix(plural) + singular
    return words.removesuffix("s")


def _gigabytes(item: Item) -> float:
    text = item.facts.get("size-gb", "0")
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


def _disk(item: Item) -> float:
    rates = {"pd-ssd": 0.17, "pd-balanced": 0.10, "pd-extreme": 0.125}
    return _gigabytes(item) * rates.get(item.facts.get("disk-type", ""), 0.04)


def _flat(usd: float) -> Callable[[Item], float]:
    return lambda _item: usd


def _compute(
    name: str, title: str, rank: int, collection: str, proofs: tuple[str, ...], **more: object
) -> GcpKind:
    asset = "compute.googleapis.com/" + {"networks": "Network"}.get(
        collection, "".join(word.capitalize() for word in snake(collection).split("_"))
    )
    fields: dict[str, object] = {"asset": asset, **more}
    return GcpKind(f"compute:{name}", title, rank, collection=collection, proofs=proofs, **fields)  # type: ignore[arg-type]


_COMPUTE = (
    _compute("instance-group-manager", "managed instance group", 12, "instanceGroupManagers",
             (*_MARKED, "T2: its template's label goog-k8s-cluster-name"), spreads=True),
    _compute("instance", "VM", 14, "instances", (*_T1, "T2: label goog-k8s-cluster-name"),
             usd_per_month=_flat(50.0)),
    _compute("instance-template", "instance template", 20, "instanceTemplates",
             (*_T1, "T2: label goog-k8s-cluster-name"), spreads=True),
    _compute("forwarding-rule", "forwarding rule", 30, "forwardingRules",
             (*_T1, _BY_UID, "T2: its firewall rule's network tags"),
             usd_per_month=_flat(0.025 * _HOURS), spreads=True),
    _compute("target-http-proxy", "HTTP proxy", 32, "targetHttpProxies", (*_MARKED, _BY_UID),
             spreads=True, asset="compute.googleapis.com/TargetHttpProxy"),
    _compute("target-https-proxy", "HTTPS proxy", 32, "targetHttpsProxies", (*_MARKED, _BY_UID),
             spreads=True, asset="compute.googleapis.com/TargetHttpsProxy"),
    _compute("target-tcp-proxy", "TCP proxy", 32, "targetTcpProxies", (*_MARKED, _BY_UID),
             spreads=True),
    _compute("url-map", "URL map", 34, "urlMaps", (*_MARKED, _BY_UID), spreads=True),
    _compute("ssl-certificate", "certificate", 36, "sslCertificates", (*_MARKED, _BY_UID),
             spreads=True),
    _compute("target-pool", "target pool", 38, "targetPools",
             (*_MARKED, "T2: its firewall rule's network tags")),
    _compute("backend-service", "backend service", 40, "backendServices",
             (*_MARKED, _BY_UID, "T2: its firewall rule's network tags"), spreads=True),
    _compute("security-policy", "Cloud Armor policy", 44, "securityPolicies", _MARKED,
             spreads=True, usd_per_month=_flat(5.0)),
    _compute("network-endpoint-group", "network endpoint group", 46, "networkEndpointGroups",
             (*_MARKED, "T2: cluster-uid in its description", _BY_UID), spreads=True),
    _compute("health-check", "health check", 46, "healthChecks",
             (*_MARKED, "T2: k8sCluster in its description", _BY_UID), spreads=True),
    _compute("http-health-check", "legacy health check", 46, "httpHealthChecks",
             (*_MARKED, _BY_UID, "T2: its firewall rule's network tags"), is_global=True,
             rest=RestList("compute/v1/projects/{project}/global/httpHealthChecks", "items")),
    _compute("instance-group", "unmanaged instance group", 48, "instanceGroups",
             (*_MARKED, _BY_UID)),
    _compute("firewall", "firewall rule", 50, "firewalls",
             (*_MARKED, "T2: network tags gke-NAME-HASH8-node", _BY_UID), is_global=True),
    _compute("address", "static address", 52, "addresses",
             (*_T1, _BY_UID, "T2: its firewall rule's network tags"), spreads=True,
             usd_per_month=_flat(0.01 * _HOURS)),
    _compute("disk", "disk", 54, "disks", (*_T1, "T2: label goog-k8s-cluster-name"), data=True,
             usd_per_month=_disk),
    _compute("snapshot", "disk snapshot", 56, "snapshots",
             (*_T1, "T2: label goog-k8s-cluster-name"), data=True, is_global=True,
             usd_per_month=lambda item: _gigabytes(item) * 0.05),
    _compute("image", "VM image", 56, "images", _T1, data=True, is_global=True,
             usd_per_month=lambda item: _gigabytes(item) * 0.05),
    _compute("route", "route", 70, "routes",
             (*_MARKED, "T2: network tags gke-NAME-HASH8-node"), is_global=True),
    _compute("router", "router with its NATs", 72, "routers", _MARKED,
             usd_per_month=_flat(0.044 * _HOURS)),
    _compute("subnetwork", "subnetwork", 80, "subnetworks", _MARKED),
    _compute("network", "network", 90, "networks", _MARKED, is_global=True),
)  # fmt: skip


def _other(
    name: str, title: str, rank: int, asset: str, version: str, collection: str, **more: object
) -> GcpKind:
    host = asset.partition(".")[0]
    fields: dict[str, object] = {"host": host, "proofs": _T1, **more}
    return GcpKind(name, title, rank, asset=asset, version=version, collection=collection, **fields)  # type: ignore[arg-type]


_OTHERS = (
    _other("container:cluster", "GKE cluster", 10, "container.googleapis.com/Cluster", "v1",
           "clusters", labels_at="resourceLabels", usd_per_month=_flat(0.10 * _HOURS)),
    _other("notebooks:instance", "Workbench instance", 16, "notebooks.googleapis.com/Instance",
           "v2", "instances", data=True, usd_per_month=_flat(100.0)),
    _other("aiplatform:custom-job", "Vertex custom job", 16, "aiplatform.googleapis.com/CustomJob",
           "v1", "customJobs"),
    _other("aiplatform:pipeline-job", "Vertex pipeline run", 16,
           "aiplatform.googleapis.com/PipelineJob", "v1", "pipelineJobs"),
    _other("aiplatform:endpoint", "Vertex endpoint", 18, "aiplatform.googleapis.com/Endpoint",
           "v1", "endpoints", usd_per_month=_flat(50.0)),
    _other("aiplatform:model", "Vertex model", 22, "aiplatform.googleapis.com/Model", "v1",
           "models", data=True),
    _other("run:service", "Cloud Run service", 18, "run.googleapis.com/Service", "v2", "services"),
    _other("pubsub:subscription", "Pub/Sub subscription", 24, "pubsub.googleapis.com/Subscription",
           "v1", "subscriptions", is_global=True, data=True,
           rest=RestList("v1/projects/{project}/subscriptions", "subscriptions")),
    _other("pubsub:topic", "Pub/Sub topic", 26, "pubsub.googleapis.com/Topic", "v1", "topics",
           is_global=True, rest=RestList("v1/projects/{project}/topics", "topics")),
    _other("sqladmin:instance", "Cloud SQL instance", 58, "sqladmin.googleapis.com/Instance",
           "sql/v1beta4", "instances", data=True, labels_at="settings.userLabels",
           usd_per_month=_flat(50.0),
           rest=RestList("sql/v1beta4/projects/{project}/instances", "items")),
    _other("file:instance", "Filestore instance", 58, "file.googleapis.com/Instance", "v1",
           "instances", data=True, usd_per_month=lambda item: _gigabytes(item) * 0.20,
           rest=RestList("v1/projects/{project}/locations/-/instances", "instances")),
    _other("storage:bucket", "bucket", 60, "storage.googleapis.com/Bucket", "storage/v1", "b",
           data=True, is_global=True,
           rest=RestList("storage/v1/b", "items", (("project", "{project}"),))),
    _other("artifactregistry:repository", "artifact repository", 60,
           "artifactregistry.googleapis.com/Repository", "v1", "repositories", data=True,
           usd_per_month=lambda item: _gigabytes(item) * 0.10),
    _other("secretmanager:secret", "secret", 62, "secretmanager.googleapis.com/Secret", "v1",
           "secrets", data=True, is_global=True, usd_per_month=_flat(0.06),
           rest=RestList("v1/projects/{project}/secrets", "secrets")),
    _other("dns:managed-zone", "DNS zone", 62, "dns.googleapis.com/ManagedZone", "dns/v1",
           "managedZones", is_global=True, usd_per_month=_flat(0.20),
           rest=RestList("dns/v1/projects/{project}/managedZones", "managedZones")),
    _other("iam:service-account", "service account with its keys", 94,
           "iam.googleapis.com/ServiceAccount", "v1", "serviceAccounts", is_global=True,
           proofs=_MARKED, rest=RestList("v1/projects/{project}/serviceAccounts", "accounts")),
    _other("iam:role", "custom role", 96, "iam.googleapis.com/Role", "v1", "roles",
           is_global=True, proofs=_MARKED,
           rest=RestList("v1/projects/{project}/roles", "roles")),
)  # fmt: skip

_BY_BALANCER = ("compute:forwarding-rule", "compute:target-pool", "compute:backend-service")
_HOLDERS: Mapping[str, tuple[str, ...]] = {
    "compute:address": ("compute:forwarding-rule", "compute:instance", "compute:router"),
    "compute:backend-service": ("compute:forwarding-rule", "compute:target-tcp-proxy",
                                "compute:url-map"),
    "compute:disk": ("compute:instance",),
    "compute:firewall": _BY_BALANCER,
    "compute:health-check": ("compute:backend-service", "compute:target-pool"),
    "compute:http-health-check": ("compute:target-pool",),
    "compute:instance": ("compute:instance-group-manager",),
    "compute:instance-group": ("compute:backend-service", "compute:instance-group-manager"),
    "compute:instance-template": ("compute:instance-group-manager",),
    "compute:network": ("compute:firewall", "compute:forwarding-rule", "compute:instance",
                        "compute:router", "compute:subnetwork", "container:cluster"),
    "compute:network-endpoint-group": ("compute:backend-service",),
    "compute:security-policy": ("compute:backend-service",),
    "compute:ssl-certificate": ("compute:target-https-proxy",),
    "compute:subnetwork": ("compute:forwarding-rule", "compute:instance", "container:cluster"),
    "compute:target-http-proxy": ("compute:forwarding-rule",),
    "compute:target-https-proxy": ("compute:forwarding-rule",),
    "compute:target-pool": ("compute:forwarding-rule",),
    "compute:target-tcp-proxy": ("compute:forwarding-rule",),
    "compute:url-map": ("compute:target-http-proxy", "compute:target-https-proxy"),
}  # fmt: skip

KINDS: Mapping[str, GcpKind] = {
    kind.type: replace(kind, held_by=_HOLDERS.get(kind.type, ())) for kind in (*_COMPUTE, *_OTHERS)
}
"""All types, by name."""


@cache
def kind_of_collection(collection: str) -> str:
    """Return the type that a compute resource name's collection stands for, or nothing."""
    return next((kind.type for kind in _COMPUTE if kind.collection == collection), "")
