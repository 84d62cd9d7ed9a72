"""The controllers of StatefulSet, DaemonSet and Job."""

from __future__ import annotations

import copy
from typing import Any

from .controllers import Tools
from .objects import Obj, condition, get, is_going, owner_reference
from .pod_controller import is_refused, set_pods
from .pods import is_ready, new_pod, template_hash

__all__ = ["reconcile_daemon_set", "reconcile_job", "reconcile_stateful_set"]

_PODS = ("", "pods")
_CLAIMS = ("", "persistentvolumeclaims")
_STATEFUL_SETS, _DAEMON_SETS = ("apps", "statefulsets"), ("apps", "daemonsets")
_JOBS = ("batch", "jobs")
_REVISION_LABEL = "controller-revision-hash"


def reconcile_stateful_set(tools: Tools, stateful_set: Obj) -> None:
    """Keep pods with numbers and claims; a new template replaces one pod after another."""
    if is_going(stateful_set):
        return
    metadata, spec = stateful_set["metadata"], stateful_set["spec"]
    mark = template_hash(spec["template"])
    present = {pod["metadata"]["name"]: pod for pod in tools.owned(stateful_set, _PODS)}
    names = [f"{metadata['name']}-{number}" for number in range(spec["replicas"])]
    for name, pod in present.items():
        if name not in names:
            tools.delete(_PODS, pod)
    refused = is_refused(tools, stateful_set, spec["template"])
    for name in names:
        if name not in present and not refused:
            _numbered_pod(tools, stateful_set, name, mark)
    _replace_next(tools, stateful_set, [present[name] for name in names if name in present], mark)
    _set_stateful_status(tools, stateful_set, mark)


def _replace_next(tools: Tools, owner: Obj, pods: list[Obj], mark: str) -> None:
    """Replace a pod of an old template, the last first, once all after it are ready."""
    for pod in reversed(pods):
        if pod["metadata"]["labels"].get(_REVISION_LABEL) != mark:
            tools.delete(_PODS, pod)
            _numbered_pod(tools, owner, pod["metadata"]["name"], mark)
            return
        if not is_ready(pod):
            return


def _numbered_pod(tools: Tools, owner: Obj, name: str, mark: str) -> Obj:
    spec = owner["spec"]
    labels = {_REVISION_LABEL: mark, "statefulset.kubernetes.io/pod-name": name}
    pod = new_pod(owner, name, spec["template"], labels)
    volumes = pod["spec"].setdefault("volumes", [])
    for template in spec.get("volumeClaimTemplates") or ():
        claim = f"{template['metadata']['name']}-{name}"
        volumes.append(
            {
                "name": template["metadata"]["name"],
                "persistentVolumeClaim": {"claimName": claim},
            }
        )
        _make_claim(tools, owner, template, claim)
    return tools.writer.put_internal(tools.context.resource(_PODS), pod)


def _make_claim(tools: Tools, owner: Obj, template: Obj, name: str) -> None:
    namespace = owner["metadata"]["namespace"]
    if tools.context.store.get(_CLAIMS, (namespace, name)) is not None:
        return
    labels = {
        **(get(owner, "spec", "selector", "matchLabels") or {}),
        **(template["metadata"].get("labels") or {}),
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    if template["metadata"].get("annotations"):
        metadata["annotations"] = template["metadata"]["annotations"]
    if get(owner, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete":
        metadata["ownerReferences"] = [owner_reference(owner)]
    claim = {"metadata": metadata, "spec": copy.deepcopy(template["spec"])}
    tools.writer.put_internal(tools.context.resource(_CLAIMS), claim)


def _set_stateful_status(tools: Tools, stateful_set: Obj, mark: str) -> None:
    pods = tools.owned(stateful_set, _PODS)
    updated = [pod for pod in pods if pod["metadata"]["labels"].get(_REVISION_LABEL) == mark]
    ready = sum(map(is_ready, pods))
    name = stateful_set["metadata"]["name"]
    done = len(updated) == len(pods) == ready == stateful_set["spec"]["replicas"]
    before = get(stateful_set, "status", "currentRevision")
    status = {
        "observedGeneration": stateful_set["metadata"]["generation"],
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": len(updated) if done else len(pods) - len(updated),
        "updatedReplicas": len(updated),
        "currentRevision": f"{name}-{mark}" if done or before is None else before,
        "updateRevision": f"{name}-{mark}",
        "collisionCount": 0,
    }
    tools.set_status(_STATEFUL_SETS, stateful_set, status)


def reconcile_daemon_set(tools: Tools, daemon_set: Obj) -> None:
    """Keep one pod, on the one node."""
    if is_going(daemon_set):
        return
    template = daemon_set["spec"]["template"]
    mark = template_hash(template)
    for pod in tools.owned(daemon_set, _PODS):
        if pod["metadata"]["labels"].get(_REVISION_LABEL) != mark:
            tools.delete(_PODS, pod)
    pods = set_pods(tools, daemon_set, 1, template, {_REVISION_LABEL: mark})
    ready = sum(map(is_ready, pods))
    status = {
        "observedGeneration": daemon_set["metadata"]["generation"],
        "desiredNumberScheduled": 1,
        "currentNumberScheduled": len(pods),
        "updatedNumberScheduled": len(pods),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
    }
    tools.set_status(_DAEMON_SETS, daemon_set, status)


def reconcile_job(tools: Tools, job: Obj) -> None:
    """Run a job's pods once; the first that fails fails the job."""
    finished = get(job, "status", "completionTime") or get(job, "status", "failed")
    if is_going(job) or finished or job["spec"].get("suspend"):
        return
    spec = job["spec"]
    wanted = spec.get("completions") or spec.get("parallelism") or 1
    pods = set_pods(tools, job, wanted, spec["template"], {})
    phases = [get(pod, "status", "phase") for pod in pods]
    now = tools.context.now()
    status: dict[str, Any] = {"startTime": now, "active": len(pods), "ready": 0}
    if "Failed" in phases:
        message = "Job has reached the specified backoff limit"
        reason = "BackoffLimitExceeded"
        status = {"startTime": now, "failed": 1, "conditions": [
            condition("FailureTarget", True, reason, message, now=now),
            condition("Failed", True, reason, message, now=now),
        ]}  # fmt: skip
    elif phases and all(phase == "Succeeded" for phase in phases):
        status = {"startTime": now, "completionTime": now, "succeeded": wanted, "conditions": [
            condition("SuccessCriteriaMet", True, "CompletionsReached", now=now),
            condition("Complete", True, "CompletionsReached", now=now),
        ]}  # fmt: skip
    tools.set_status(_JOBS, job, status)
    if "conditions" in status and "ttlSecondsAfterFinished" in spec:
        tools.context.later(spec["ttlSecondsAfterFinished"], lambda: tools.delete(_JOBS, job))
