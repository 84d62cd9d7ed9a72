"""Why a workload is not ready, in words, from what the API says of it and its pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "first_lines",
    "pod_trouble",
    "resource_trouble",
    "selector_text",
    "workload_trouble",
]

_HARMLESS = ("ContainerCreating", "PodInitializing", "")
_MAX_MESSAGE = 300
_BAD_CONDITIONS = {"ReplicaFailure": "True", "Failed": "True"}


def selector_text(workload: Mapping[str, Any]) -> str:
    """Return the label selector of a workload's pods; empty when it has none."""
    selector = (workload.get("spec") or {}).get("selector") or {}
    parts = [f"{k}={v}" for k, v in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        values = ",".join(rule.get("values") or ())
        parts.append(
            {
                "In": f"{rule['key']} in ({values})",
                "NotIn": f"{rule['key']} notin ({values})",
                "Exists": str(rule["key"]),
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(parts)


def workload_trouble(
    workload: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return what is wrong with a workload, a sentence a cause; empty when it is ready."""
    found = [text for pod in pods for text in pod_trouble(pod)]
    if workload.get("kind") == "Pod":
        return tuple(found)
    return tuple(dict.fromkeys((*found, *_conditions(workload))))


def pod_trouble(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what keeps a pod from being ready: ``pod web-1: ImagePullBackOff: image web:1``."""
    name = f"pod {pod['metadata']['name']}"
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *_main(status)]
    found = [f"{name}: {text}" for c in containers for text in _container(c, pod)]
    if found or status.get("phase") == "Succeeded":
        return tuple(found)
    return tuple(f"{name}: {text}" for text in _pod_conditions(status))


def resource_trouble(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a custom resource isn't ready, as its controller says in the condition ``Ready``.

    A resource that says nothing of being ready has no trouble: many kinds never do.
    """
    name = f"{resource.get('kind')} {resource['metadata']['name']}"
    conditions = (resource.get("status") or {}).get("conditions") or ()
    return tuple(
        f"{name}: {'not ready' if c.get('status') == 'False' else 'not known to be ready'}"
        f"{_reason(c)}{_message(c)}"
        for c in conditions
        if c.get("type") == "Ready" and c.get("status") != "True"
    )


def _reason(condition: Mapping[str, Any]) -> str:
    return f": {condition['reason']}" if condition.get("reason") else ""


def _main(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return status.get("containerStatuses") or ()


def _container(status: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    image = str(status.get("image") or _image(pod, str(status.get("name"))))
    if reason not in _HARMLESS:
        yield f"{reason}: image {image}{_message(waiting)}{_last_exit(status)}"
        return
    ended = state.get("terminated") or {}
    if ended and ended.get("exitCode", 0) != 0:
        yield (
            f"container {status.get('name')} ended with exit code {ended['exitCode']}"
            f" ({ended.get('reason') or 'Error'}){_message(ended)}"
        )


def _last_exit(status: Mapping[str, Any]) -> str:
    ended = (status.get("lastState") or {}).get("terminated") or {}
    if not ended:
        return ""
    return f"; it last ended with exit code {ended.get('exitCode')} ({ended.get('reason')})"


def _image(pod: Mapping[str, Any], container: str) -> str:
    spec = pod.get("spec") or {}
    for group in ("containers", "initContainers"):
        for entry in spec.get(group) or ():
            if entry.get("name") == container:
                return str(entry.get("image", ""))
    return "unknown"


def _pod_conditions(status: Mapping[str, Any]) -> Iterator[str]:
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        yield f"{scheduled.get('reason') or 'Unschedulable'}{_message(scheduled)}"
        return
    ready = conditions.get("Ready") or conditions.get("ContainersReady") or {}
    if ready.get("status") == "False":
        yield f"not ready: {ready.get('reason') or 'its readiness probe fails'}{_message(ready)}"
    elif status.get("phase") in ("Pending", "Failed"):
        yield f"{status['phase']}{_message(status)}"


def _conditions(workload: Mapping[str, Any]) -> Iterator[str]:
    metadata = workload["metadata"]
    for condition in (workload.get("status") or {}).get("conditions") or ():
        bad = _BAD_CONDITIONS.get(str(condition.get("type")))
        stuck = condition.get("reason") == "ProgressDeadlineExceeded"
        if stuck or (bad and condition.get("status") == bad):
            reason = condition.get("reason") or condition["type"]
            yield f"{workload.get('kind')} {metadata['name']}: {reason}{_message(condition)}"


def _message(said: Mapping[str, Any]) -> str:
    text = " ".join(str(said.get("message") or "").split())
    if len(text) > _MAX_MESSAGE:
        text = text[:_MAX_MESSAGE] + "..."
    return f": {text}" if text else ""


def first_lines(texts: Iterable[str], limit: int = 5) -> str:
    """Return up to ``limit`` of ``texts``, one a line, and how many more there are."""
    found = list(texts)
    more = [f"... and {len(found) - limit} more"] if len(found) > limit else []
    return "\n".join([*found[:limit], *more])
