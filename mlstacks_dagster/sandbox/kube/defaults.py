"""What the API fills in or rewrites when an object is written: the part that clients rely on."""

from __future__ import annotations

import base64
import copy
import zlib
from collections.abc import Callable
from typing import Any

from .objects import Obj
from .resources import Resource
from .schemas import Node

__all__ = ["fill_defaults", "fill_from_schema"]

_NODE_PORTS = (30_000, 2_768)


def fill_defaults(resource: Resource, obj: Obj) -> None:
    """Fill in defaults of a built-in kind, in place."""
    filler = _FILLERS.get(resource.key)
    if filler is not None:
        filler(obj)


def fill_from_schema(obj: Any, node: Node | None) -> None:
    """Fill in the defaults that a custom resource's schema gives, in place."""
    if node is None:
        return
    if isinstance(obj, dict):
        for name, schema in (node.target.get("properties") or {}).items():
            if name not in obj and "default" in schema:
                obj[name] = copy.deepcopy(schema["default"])
        for name, value in obj.items():
            fill_from_schema(value, node.child(name))
    elif isinstance(obj, list):
        for item in obj:
            fill_from_schema(item, node.items)


def _secret(obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    for key, text in (obj.pop("stringData", None) or {}).items():
        encoded = base64.b64encode(text.encode()).decode()
        obj["data"] = {**(obj.get("data") or {}), key: encoded}


def _namespace(obj: Obj) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {"phase": "Active"})


def _service(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    if spec["type"] == "ExternalName":
        return
    number = _number(obj)
    address = f"10.96.{number // 250 % 250}.{number % 250 + 1}"
    spec["clusterIP"] = spec.get("clusterIP") or address
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    for name, value in (
        ("sessionAffinity", "None"),
        ("internalTrafficPolicy", "Cluster"),
        ("ipFamilies", ["IPv4"]),
        ("ipFamilyPolicy", "SingleStack"),
    ):
        spec.setdefault(name, value)
    exposed = spec["type"] in ("NodePort", "LoadBalancer")
    if exposed:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    for place, port in enumerate(spec.get("ports") or ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
        if exposed:
            first, count = _NODE_PORTS
            port.setdefault("nodePort", first + (number + place) % count)
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _number(obj: Obj) -> int:
    """Return a number that is the same whenever this object is written."""
    metadata = obj["metadata"]
    return zlib.crc32(f"{metadata.get('namespace')}/{metadata['name']}".encode())


def _pod_spec(spec: dict[str, Any], restart: str = "Always") -> None:
    spec.setdefault("restartPolicy", restart)
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            for port in container.get("ports") or ():
                port.setdefault("protocol", "TCP")
            container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
            container.setdefault("resources", {})


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    tag = name.partition(":")[2] if "@" not in name else name
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _pod(obj: Obj) -> None:
    _pod_spec(obj["spec"])
    obj["spec"].setdefault("serviceAccountName", "default")


def _deployment(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    _template(spec)


def _template(spec: dict[str, Any], restart: str = "Always") -> None:
    _pod_spec(spec["template"].setdefault("spec", {}), restart)


def _replica_set(obj: Obj) -> None:
    obj["spec"].setdefault("replicas", 1)
    _template(obj["spec"])


def _stateful_set(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"partition": 0})
    retention = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    spec.setdefault("persistentVolumeClaimRetentionPolicy", retention)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim["spec"].setdefault("volumeMode", "Filesystem")
    _template(spec)


def _daemon_set(obj: Obj) -> None:
    obj["spec"].setdefault("revisionHistoryLimit", 10)
    _template(obj["spec"])


def _job(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    spec.setdefault("completionMode", "NonIndexed")
    _template(spec, restart="Never")
    uid = obj["metadata"].get("uid")
    if uid and not spec.get("manualSelector") and "selector" not in spec:
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": obj["metadata"]["name"],
            "job-name": obj["metadata"]["name"],
        }
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        spec["template"].setdefault("metadata", {}).setdefault("labels", {}).update(labels)


def _cron_job(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("suspend", False)
    spec.setdefault("concurrencyPolicy", "Allow")
    _template(spec["jobTemplate"]["spec"], restart="Never")


def _claim(obj: Obj) -> None:
    obj["spec"].setdefault("volumeMode", "Filesystem")
    finalizers = obj["metadata"].setdefault("finalizers", [])
    protection = "kubernetes.io/pvc-protection"
    if protection not in finalizers and "deletionTimestamp" not in obj["metadata"]:
        finalizers.append(protection)


def _storage_class(obj: Obj) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _crd(obj: Obj) -> None:
    names = obj["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    obj["spec"].setdefault("conversion", {"strategy": "None"})


_FILLERS: dict[tuple[str, str], Callable[[Obj], None]] = {
    ("", "namespaces"): _namespace,
    ("", "persistentvolumeclaims"): _claim,
    ("", "pods"): _pod,
    ("", "secrets"): _secret,
    ("", "services"): _service,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _crd,
    ("apps", "daemonsets"): _daemon_set,
    ("apps", "deployments"): _deployment,
    ("apps", "replicasets"): _replica_set,
    ("apps", "statefulsets"): _stateful_set,
    ("batch", "cronjobs"): _cron_job,
    ("batch", "jobs"): _job,
    ("storage.k8s.io", "storageclasses"): _storage_class,
}
