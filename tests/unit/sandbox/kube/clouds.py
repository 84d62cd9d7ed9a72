"""What tests of load balancers and of volumes share: programs of a cluster, open services."""

from __future__ import annotations

from typing import Any

from mlstacks_dagster.sandbox.kube.cloud import Balancer
from tests.unit.sandbox.kube.api import (
    CORE,
    Api,
    FakeCloud,
    Obj,
    deployment,
    pod_template,
    service,
)

SERVICES = f"{CORE}/services"
SYSTEM_APPS = "/apis/apps/v1/namespaces/kube-system/deployments"
ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"
LBC = "aws-load-balancer-controller"
CSI = "ebs-csi-controller"


def deploy_program(api: Api, name: str, *arguments: str, account: str = "", role: str = "") -> None:
    """Deploy a program of the cluster, as its chart does."""
    spec: dict[str, Any] = {"container": {"args": list(arguments)}}
    if account:
        annotations = {"eks.amazonaws.com/role-arn": role} if role else {}
        metadata = {"name": account, "annotations": annotations}
        api.post("/api/v1/namespaces/kube-system/serviceaccounts", {"metadata": metadata})
        spec["serviceAccountName"] = account
    api.post(SYSTEM_APPS, deployment(name, template=pod_template(**spec)))
    api.settle()


def only_balancer(cloud: FakeCloud) -> Balancer:
    (found,) = cloud.balancers.values()
    return found


def expose(api: Api, **annotations: str) -> Obj:
    obj = service(type="LoadBalancer")
    obj["metadata"]["annotations"] = {
        ANNOTATION + key.replace("_", "-"): value for key, value in annotations.items()
    }
    api.post(SERVICES, obj)
    api.settle()
    return api.get(f"{SERVICES}/web")


def host(obj: Obj) -> str | None:
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return ingress[0].get("hostname") or ingress[0].get("ip") if ingress else None
