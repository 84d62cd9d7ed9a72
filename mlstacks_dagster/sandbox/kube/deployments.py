"""The controllers of Deployment and ReplicaSet."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

from .controllers import Tools
from .objects import Obj, condition, get, is_going, key_of, owner_reference
from .pod_controller import set_pods
from .pods import is_ready, template_hash

__all__ = ["reconcile_deployment", "reconcile_replica_set"]

_PODS = ("", "pods")
_DEPLOYMENTS, _REPLICA_SETS = ("apps", "deployments"), ("apps", "replicasets")
_HASH_LABEL = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"


def reconcile_replica_set(tools: Tools, replica_set: Obj) -> None:
    """Keep as many pods as wanted."""
    if is_going(replica_set):
        return
    spec = replica_set["spec"]
    pods = set_pods(tools, replica_set, spec["replicas"], spec["template"], {})
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
    if is_going(deployment):
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
    deadline = int(deployment["spec"].get("progressDeadlineSeconds", 600))
    return _age(tools, current) >= deadline


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


def _age(tools: Tools, obj: Obj) -> float:
    created = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    return (tools.context.clock() - created) / timedelta(seconds=1)
