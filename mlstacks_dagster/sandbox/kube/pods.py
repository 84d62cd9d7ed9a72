"""Pods: made for workloads, and ready unless something is missing that a real one would need."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from .context import Context
from .objects import Obj, get, owner_reference
from .pod_needs import claims_of, containers_of, missing_reference

__all__ = [
    "NODE_NAME",
    "Trouble",
    "find_trouble",
    "is_ready",
    "new_pod",
    "pod_status",
    "template_hash",
]

NODE_NAME = "emulated-node"

_CLAIMS = ("", "persistentvolumeclaims")
_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


@dataclass(frozen=True)
class Trouble:
    """Why a pod isn't ready: ``reason`` as Kubernetes names it."""

    reason: str
    message: str
    event: str
    scheduled: bool = True
    crashed: bool = False


def template_hash(template: dict[str, Any]) -> str:
    """Return what tells one revision of a pod template from another."""
    text = json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def new_pod(owner: Obj, name: str, template: dict[str, Any], labels: dict[str, str]) -> Obj:
    """Return a pod of a workload, not yet stored."""
    metadata = template.get("metadata") or {}
    spec = copy.deepcopy(template["spec"])
    spec["nodeName"] = NODE_NAME
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": spec,
    }


def is_ready(pod: Obj) -> bool:
    """Say whether a pod's condition Ready holds."""
    conditions = get(pod, "status", "conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def find_trouble(context: Context, pod: Obj) -> Trouble | None:
    """Return what keeps a pod from being ready, None when nothing does."""
    for claim in claims_of(pod):
        trouble = _claim_trouble(context, pod, claim)
        if trouble is not None:
            return trouble
    missing = missing_reference(context, pod)
    for container in containers_of(pod):
        image = container.get("image", "")
        if not context.options.pulls(image):
            text = f'Back-off pulling image "{image}"'
            return Trouble("ImagePullBackOff", text, "Failed")
        if missing is not None:
            return Trouble("CreateContainerConfigError", f"Error: {missing}", "Failed")
        if not context.options.runs(image):
            name, pod_name = container["name"], pod["metadata"]["name"]
            text = f"back-off 10s restarting failed container={name} pod={pod_name}"
            return Trouble("CrashLoopBackOff", text, "BackOff", crashed=True)
    return None


def _claim_trouble(context: Context, pod: Obj, claim: str) -> Trouble | None:
    found = context.store.get(_CLAIMS, (pod["metadata"]["namespace"], claim))
    if found is None:
        text = f'persistentvolumeclaim "{claim}" not found'
    elif get(found, "status", "phase") != "Bound":
        text = "pod has unbound immediate PersistentVolumeClaims"
    else:
        return None
    return Trouble("Unschedulable", text, "FailedScheduling", scheduled=False)


def pod_status(pod: Obj, trouble: Trouble | None, phase: str, now: str) -> dict[str, Any]:
    """Return a pod's status in ``phase`` (Pending, Running, Succeeded or Failed)."""
    ready = phase == "Running" and trouble is None
    scheduled = trouble is None or trouble.scheduled
    status: dict[str, Any] = {
        "phase": phase,
        "startTime": now,
        "conditions": [
            _pod_condition(name, _holds(name, scheduled, ready), trouble, now)
            for name in _CONDITIONS
        ],
        "containerStatuses": [
            _container_status(container, trouble, phase, now)
            for container in pod["spec"].get("containers") or ()
        ],
    }
    if scheduled:
        status["hostIP"], status["podIP"] = "10.0.0.10", "10.1.0.9"
    return status


def _holds(name: str, scheduled: bool, ready: bool) -> bool:
    return scheduled if name in ("PodScheduled", "Initialized") else ready


def _pod_condition(name: str, holds: bool, trouble: Trouble | None, now: str) -> dict[str, Any]:
    said = {"type": name, "status": "True" if holds else "False", "lastTransitionTime": now}
    if not holds and name == "PodScheduled" and trouble:
        return {**said, "reason": trouble.reason, "message": trouble.message}
    if not holds and name in ("ContainersReady", "Ready"):
        return {**said, "reason": "ContainersNotReady"}
    return said


def _container_status(
    container: dict[str, Any], trouble: Trouble | None, phase: str, now: str
) -> dict[str, Any]:
    running = phase == "Running" and trouble is None
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": running,
        "started": running,
        "restartCount": 1 if trouble and trouble.crashed else 0,
        "state": _container_state(trouble, phase, now),
    }


def _container_state(trouble: Trouble | None, phase: str, now: str) -> dict[str, Any]:
    if phase in ("Succeeded", "Failed"):
        failed = phase == "Failed"
        ended = {"exitCode": int(failed), "reason": "Error" if failed else "Completed"}
        return {"terminated": {**ended, "startedAt": now, "finishedAt": now}}
    if trouble and trouble.scheduled:
        return {"waiting": {"reason": trouble.reason, "message": trouble.message}}
    if phase == "Running":
        return {"running": {"startedAt": now}}
    return {"waiting": {"reason": "ContainerCreating"}}
