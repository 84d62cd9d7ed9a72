"""The controller of pods, and how workloads get theirs."""

from __future__ import annotations

import uuid

from .controllers import Tools
from .events import record
from .objects import Key, Obj, get, is_going, key_of
from .pod_needs import missing_account
from .pods import find_trouble, is_ready, new_pod, pod_status

__all__ = ["is_refused", "reconcile_pod", "set_pods"]

_PODS = ("", "pods")


def reconcile_pod(tools: Tools, pod: Obj) -> None:
    """Start a pod's containers after a while, or say what keeps them from starting."""
    if is_going(pod) or get(pod, "status", "phase") in ("Succeeded", "Failed"):
        return
    context, key = tools.context, key_of(pod)
    if pod["metadata"]["uid"] in tools.started_pods:
        _settle_pod(tools, pod)
    elif "status" not in pod:
        tools.set_status(_PODS, pod, pod_status(pod, None, "Pending", context.now()))
        context.later(context.options.ready_seconds, lambda: _start(tools, key))


def _start(tools: Tools, key: Key) -> None:
    pod = tools.context.store.get(_PODS, key)
    if pod is not None and not is_going(pod):
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


def is_refused(tools: Tools, owner: Obj, template: Obj) -> bool:
    """Say whether pods can't be made: the API wants their service account to exist."""
    namespace = owner["metadata"]["namespace"]
    missing = missing_account(tools.context, namespace, template["spec"])
    if missing is not None:
        text = (
            "Error creating: pods is forbidden: error looking up service account "
            f'{namespace}/{missing}: serviceaccount "{missing}" not found'
        )
        record(tools.context, tools.writer, owner, "FailedCreate", text)
    return missing is not None


def set_pods(
    tools: Tools, owner: Obj, count: int, template: Obj, labels: dict[str, str]
) -> list[Obj]:
    """Give a workload as many pods as it wants; return those that it has then."""
    pods = [pod for pod in tools.owned(owner, _PODS) if not is_going(pod)]
    # Those that aren't ready go first.
    for pod in sorted(pods, key=is_ready)[: max(0, len(pods) - count)]:
        tools.delete(_PODS, pod)
        pods.remove(pod)
    while len(pods) < count and not is_refused(tools, owner, template):
        name = f"{owner['metadata']['name']}-{uuid.uuid4().hex[:5]}"
        pod = new_pod(owner, name, template, labels)
        pods.append(tools.writer.put_internal(tools.context.resource(_PODS), pod))
    return pods
