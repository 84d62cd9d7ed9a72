"""Workloads to put into the emulated cluster, and how to read what became of them."""

from __future__ import annotations

from typing import Any

from tests.unit.sandbox.kube.api import (
    APPS,
    CORE,
    Obj,
    deployment,
    pod_template,
)

GOOD = "example.org/app:1"
NEVER = "example.org/app:never-ready"
CRASH = "example.org/app:always-fails"
WEB = f"{APPS}/deployments/web"
STS = f"{APPS}/statefulsets"
PODS = f"{CORE}/pods"


def with_image(image: str) -> Obj:
    containers = [{"name": "app", "image": image}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def conditions(obj: Obj) -> dict[str, str]:
    return {c["type"]: c["status"] for c in obj["status"].get("conditions", ())}


def reasons(obj: Obj) -> dict[str, str]:
    return {c["type"]: c.get("reason", "") for c in obj["status"].get("conditions", ())}


def waiting(pod: Obj) -> str:
    return str(pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason"))


def a_stateful_set(image: str = GOOD, *, claims: bool = False, **spec: Any) -> Obj:
    obj = {**deployment(image=image, serviceName="web", **spec), "kind": "StatefulSet"}
    if claims:
        template = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        obj["spec"]["volumeClaimTemplates"] = [template]
    return obj


def a_job(image: str = GOOD, **spec: Any) -> Obj:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"template": pod_template(image, restartPolicy="Never"), **spec},
    }


def a_pod(**spec: Any) -> Obj:
    return {"metadata": {"name": "p"}, "spec": pod_template(**spec)["spec"]}
