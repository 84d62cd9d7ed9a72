"""The controllers of workloads: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, Pod."""

from __future__ import annotations

import copy
import uuid
from datetime import datetime, timedelta
from typing import Any

from .controllers import Tools
from .events import record
from .objects import Obj, condition, get, key_of, owner_reference
from .pods import find_trouble, is_ready, new_pod, pod_status, template_hash

__all__ = [
    "reconcile_daemon_set",
    "reconcile_deployment",
    "reconcile_job",
    "reconcile_pod",
    "reconcile_replica_set",
    "reconcile_stateful_set",
]

_PODS = ("", "pods")
_CLAIMS = ("", "persistentvolumeclaims")
_DEPLOYMENTS, _REPLICA_SETS = ("apps", "deployments"), ("apps", "replicasets")
_STATEFUL_SETS, _DAEMON_SETS = ("apps", "statefulsets"), ("apps", "daemonsets")
_JOBS = ("batch", "jobs")
_HASH_LABEL = "pod-template-hash"
_REVISION_LABEL = "controller-revision-hash"
_REVISION = "deployment.kubernetes.io/revision"


def _is_going(obj: Obj) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def _age(tools: Tools, obj: Obj) -> float:
    created = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    return (tools.context.clock() - created) / timedelta(seconds=1)


def reconcile_pod(tools: Tools, pod: Obj) -> None:
    """Start a pod's containers after a while, or say what keeps them from starting."""
    if _is_going(pod) or get(pod, "status", "phase") in ("Succeeded", "Failed"):
        return
    context, key = tools.context, key_of(pod)
    if pod["metadata"]["uid"] in tools.started_pods:
        _settle_pod(tools, pod)
    elif "status" not in pod:
        tools.set_status(_PODS, pod, pod_status(pod, None, "Pending", context.now()))
        context.later(context.options.ready_seconds, lambda: _start(tools, key))


def _start(tools: Tools, key: tuple[str | None, str]) -> None:
    pod = tools.context.store.get(_PODS, key)
    if pod is not None and not _is_going(pod):
        tools.started_pods.add(pod["metadata"]["uid"])
        _settle_pod(tools, pod)


def _settle_pod(tools: Tools, pod: Obj) -> None:
    trouble = find_trouble(tools.context, pod)
    ends = pod["spec"].get("restartPolicy", "Always") != "Always"
    if trouble is None:
        phase = "Succeeded" if ends else "Running"
    elif trouble.crashed:
        phase = "Failed" if ends else "Running"
    else:
        phase = "Pending"
    status = pod_status(pod, trouble, phase, tools.context.now())
    if trouble is not None and status != pod.get("status"):
        before = [
            get(s, "state", "waiting", "reason")
            for s in get(pod, "status", "containerStatuses") or ()
        ]
        if trouble.reason not in before:
            record(tools.context, tools.writer, pod, trouble.event, trouble.message)
    tools.set_status(_PODS, pod, status)


def _set_pods(
    tools: Tools, owner: Obj, count: int, template: Obj, labels: dict[str, str]
) -> list[Obj]:
    """Give a workload as many pods as it wants; return those that it has then."""
    pods = [pod for pod in tools.owned(owner, _PODS) if not _is_going(pod)]
    # Those that aren't ready go first.
    for pod in sorted(pods, key=is_ready)[: max(0, len(pods) - count)]:
        tools.delete(_PODS, pod)
        pods.remove(pod)
    while len(pods) < count:
        name = f"{owner['metadata']['name']}-{uuid.uuid4().hex[:5]}"
        pod = new_pod(owner, name, template, labels)
        pods.append(tools.writer.put_internal(tools.context.resource(_PODS), pod))
    return pods


def reconcile_replica_set(tools: Tools, replica_set: Obj) -> None:
    """Keep as many pods as wanted."""
    if _is_going(replica_set):
        return
    spec = replica_set["spec"]
    pods = _set_pods(tools, replica_set, spec["replicas"], spec["template"], {})
    ready = sum(map(is_ready, pods))
    status = {
        "replicas": len(pods),
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    tools.set_status(_REPLICA_SETS, replica_set, status)


def reconcile_deployment(tools: Tools, deployment: Obj) -> None:
    """Roll over to a ReplicaSet of the present template; the old one stays until that is ready."""
    if _is_going(deployment):
        return
    wanted = deployment["spec"]["replicas"]
    current = _current_replica_set(tools, deployment)
    others = [
        rs
        for rs in tools.owned(deployment, _REPLICA_SETS)
        if rs["metadata"]["name"] != current["metadata"]["name"]
    ]
    ready = _ready_pods(tools, current)
    recreate = get(deployment, "spec", "strategy", "type") == "Recreate"
    if ready >= wanted or recreate:
        for old in others:
            _scale_replica_set(tools, old, 0)
    old_pods = [pod for rs in others for pod in tools.owned(rs, _PODS)]
    status = _deployment_status(tools, deployment, current, old_pods)
    tools.set_status(_DEPLOYMENTS, deployment, status)
    _drop_old_revisions(tools, deployment, others)


def _current_replica_set(tools: Tools, deployment: Obj) -> Obj:
    metadata, spec = deployment["metadata"], deployment["spec"]
    mark = template_hash(spec["template"])
    name = f"{metadata['name']}-{mark}"
    owned = tools.owned(deployment, _REPLICA_SETS)
    found = next((rs for rs in owned if rs["metadata"]["name"] == name), None)
    newest = max((_revision(rs) for rs in owned), default=0)
    if found is not None and _revision(found) == newest:
        _scale_replica_set(tools, found, spec["replicas"])
        return tools.context.store.get(_REPLICA_SETS, key_of(found)) or found
    template = copy.deepcopy(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[_HASH_LABEL] = mark
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[_HASH_LABEL] = mark
    replica_set = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "annotations": {_REVISION: str(newest + 1)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": spec["replicas"], "selector": selector, "template": template},
    }
    stored = tools.writer.put_internal(tools.context.resource(_REPLICA_SETS), replica_set)
    _await_deadline(tools, deployment)
    return stored


def _revision(replica_set: Obj) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))


def _ready_pods(tools: Tools, owner: Obj) -> int:
    return sum(is_ready(pod) for pod in tools.owned(owner, _PODS))


def _scale_replica_set(tools: Tools, replica_set: Obj, replicas: int) -> None:
    if replica_set["spec"]["replicas"] != replicas:
        changed = {**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}}
        tools.writer.put_internal(tools.context.resource(_REPLICA_SETS), changed)


def _deployment_status(
    tools: Tools, deployment: Obj, current: Obj, old_pods: list[Obj]
) -> dict[str, Any]:
    wanted = deployment["spec"]["replicas"]
    new_pods = tools.owned(current, _PODS)
    new_ready = sum(map(is_ready, new_pods))
    available = new_ready + sum(map(is_ready, old_pods))
    status: dict[str, Any] = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(new_pods) + len(old_pods),
        "updatedReplicas": len(new_pods),
    }
    if available:
        status["readyReplicas"] = status["availableReplicas"] = available
    if available < wanted:
        status["unavailableReplicas"] = wanted - available
    now = tools.context.now()
    enough = available >= wanted - _max_unavailable(deployment)
    reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    done = new_ready >= wanted and not old_pods
    late = not done and _is_late(tools, deployment, current)
    progress = "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"
    name = current["metadata"]["name"]
    message = f'ReplicaSet "{name}" ' + (
        "has timed out progressing." if late else "is progressing."
    )
    status["conditions"] = [
        condition("Available", enough, reason, now=now),
        condition(
            "Progressing",
            not late,
            "ProgressDeadlineExceeded" if late else progress,
            message,
            now=now,
        ),
    ]
    return status


def _max_unavailable(deployment: Obj) -> int:
    value = get(deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable")
    wanted = int(deployment["spec"]["replicas"])
    if isinstance(value, str) and value.endswith("%"):
        return wanted * int(value[:-1]) // 100
    return int(value or 0)


def _is_late(tools: Tools, deployment: Obj, current: Obj) -> bool:
    return _age(tools, current) >= deployment["spec"].get("progressDeadlineSeconds", 600)


def _await_deadline(tools: Tools, deployment: Obj) -> None:
    """Look again when the deployment has had all the time that it may take."""
    key = key_of(deployment)

    def look() -> None:
        found = tools.context.store.get(_DEPLOYMENTS, key)
        if found is not None:
            reconcile_deployment(tools, found)

    tools.context.later(deployment["spec"].get("progressDeadlineSeconds", 600) + 1, look)


def _drop_old_revisions(tools: Tools, deployment: Obj, others: list[Obj]) -> None:
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    idle = [rs for rs in others if not rs["spec"]["replicas"]]
    for old in sorted(idle, key=_revision)[: max(0, len(idle) - limit)]:
        tools.delete(_REPLICA_SETS, old)


def reconcile_stateful_set(tools: Tools, stateful_set: Obj) -> None:
    """Keep pods with numbers and claims; a new template replaces one pod after another."""
    if _is_going(stateful_set):
        return
    metadata, spec = stateful_set["metadata"], stateful_set["spec"]
    mark = template_hash(spec["template"])
    present = {pod["metadata"]["name"]: pod for pod in tools.owned(stateful_set, _PODS)}
    names = [f"{metadata['name']}-{number}" for number in range(spec["replicas"])]
    for name, pod in present.items():
        if name not in names:
            tools.delete(_PODS, pod)
    for name in reversed(names):
        pod = present.get(name)
        if pod is not None and pod["metadata"]["labels"].get(_REVISION_LABEL) != mark:
            tools.delete(_PODS, pod)
            pod = None
        if pod is None:
            pod = _numbered_pod(tools, stateful_set, name, mark)
        if not is_ready(pod) and name in present:
            # The next one has to wait for it.
            break
    _set_stateful_status(tools, stateful_set, mark)


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
    if _is_going(daemon_set):
        return
    template = daemon_set["spec"]["template"]
    mark = template_hash(template)
    for pod in tools.owned(daemon_set, _PODS):
        if pod["metadata"]["labels"].get(_REVISION_LABEL) != mark:
            tools.delete(_PODS, pod)
    pods = _set_pods(tools, daemon_set, 1, template, {_REVISION_LABEL: mark})
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
    if _is_going(job) or finished or job["spec"].get("suspend"):
        return
    spec = job["spec"]
    wanted = spec.get("completions") or spec.get("parallelism") or 1
    pods = _set_pods(tools, job, wanted, spec["template"], {})
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
