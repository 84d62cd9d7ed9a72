"""Controllers of what is neither a workload nor in the cloud, and a cluster's first objects."""

from __future__ import annotations

from typing import Any

from .context import Context
from .controllers import Tools
from .objects import Obj, condition, get, key_of
from .pods import NODE_NAME
from .writer import Writer

__all__ = [
    "first_objects",
    "reconcile_api_service",
    "reconcile_autoscaler",
    "reconcile_crd",
    "reconcile_disruption_budget",
    "reconcile_namespace",
]

_NAMESPACES = ("", "namespaces")
_EKS_CLASS: Obj = {
    "metadata": {"name": "gp2"},
    "provisioner": "kubernetes.io/aws-ebs",
    "parameters": {"type": "gp2", "fsType": "ext4"},
    "volumeBindingMode": "WaitForFirstConsumer",
}
_LOCAL_CLASS: Obj = {
    "metadata": {
        "name": "local-path",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "rancher.io/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
}
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def first_objects(context: Context, writer: Writer, *, in_cloud: bool) -> None:
    """Make what every cluster has: namespaces, a node, a storage class, the API's own service.

    In EKS (``in_cloud``) the storage class is no default and needs the CSI driver.
    """
    for name in _SYSTEM_NAMESPACES:
        namespace: Obj = {"metadata": {"name": name}, "status": {"phase": "Active"}}
        writer.put_internal(context.resource(_NAMESPACES), namespace)
    writer.put_internal(context.resource(("", "nodes")), _node(context))
    storage_class = _EKS_CLASS if in_cloud else _LOCAL_CLASS
    writer.put_internal(context.resource(("storage.k8s.io", "storageclasses")), storage_class)
    service = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]},
    }
    writer.put_internal(context.resource(("", "services")), service)


def _node(context: Context) -> Obj:
    version = f"v{context.schemas.version}.0"
    labels = {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux"}
    if context.options.region:
        labels["topology.kubernetes.io/region"] = context.options.region
        labels["topology.kubernetes.io/zone"] = f"{context.options.region}a"
    return {
        "metadata": {"name": NODE_NAME, "labels": labels},
        "spec": {},
        "status": {
            "conditions": [condition("Ready", True, "KubeletReady", now=context.now())],
            "nodeInfo": {"kubeletVersion": version, "osImage": "emulated"},
            "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"},
        },
    }


def reconcile_namespace(tools: Tools, namespace: Obj) -> None:
    """Give each namespace what a real one has: a service account and the cluster's CA."""
    if "deletionTimestamp" in namespace["metadata"]:
        return
    name = namespace["metadata"]["name"]
    wanted: dict[tuple[str, str], Obj] = {
        ("", "serviceaccounts"): {"metadata": {"name": "default", "namespace": name}},
        ("", "configmaps"): {
            "metadata": {"name": "kube-root-ca.crt", "namespace": name},
            "data": {"ca.crt": "emulated"},
        },
    }
    for collection, obj in wanted.items():
        if tools.context.store.get(collection, key_of(obj)) is None:
            tools.writer.put_internal(tools.context.resource(collection), obj)
    if get(namespace, "status", "phase") != "Active":
        tools.set_status(_NAMESPACES, namespace, {"phase": "Active"})


def reconcile_crd(tools: Tools, crd: Obj) -> None:
    """Say that a CustomResourceDefinition is served, which it is since it was written."""
    now = tools.context.now()
    stored = [v["name"] for v in crd["spec"]["versions"] if v.get("storage")]
    status: dict[str, Any] = {
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": get(crd, "status", "storedVersions") or stored,
        "conditions": [
            condition("NamesAccepted", True, "NoConflicts", "no conflicts found", now=now),
            condition("Established", True, "InitialNamesAccepted", "accepted", now=now),
        ],
    }
    tools.set_status(("apiextensions.k8s.io", "customresourcedefinitions"), crd, status)


def reconcile_autoscaler(tools: Tools, autoscaler: Obj) -> None:
    """Say that an autoscaler works, and never scale."""
    now = tools.context.now()
    replicas = autoscaler["spec"].get("minReplicas", 1)
    status = {
        "observedGeneration": autoscaler["metadata"]["generation"],
        "currentReplicas": replicas,
        "desiredReplicas": replicas,
        "conditions": [
            condition("AbleToScale", True, "ReadyForNewScale", now=now),
            condition("ScalingActive", True, "ValidMetricFound", now=now),
        ],
    }
    tools.set_status(("autoscaling", "horizontalpodautoscalers"), autoscaler, status)


def reconcile_disruption_budget(tools: Tools, budget: Obj) -> None:
    """Say that a disruption budget is met."""
    holds = condition("DisruptionAllowed", True, "SufficientPods", now=tools.context.now())
    status = {
        "observedGeneration": budget["metadata"]["generation"],
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "disruptionsAllowed": 0,
        "expectedPods": 1,
        "conditions": [holds],
    }
    tools.set_status(("policy", "poddisruptionbudgets"), budget, status)


def reconcile_api_service(tools: Tools, service: Obj) -> None:
    """Say that an aggregated API is there, though nothing serves it."""
    status = {"conditions": [condition("Available", True, "Passed", now=tools.context.now())]}
    tools.set_status(("apiregistration.k8s.io", "apiservices"), service, status)
