"""Subresources other than status, and the kinds that only answer questions."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from .calls import Call, Reply
from .collector import Collector
from .context import Context
from .errors import ApiError, bad_request, not_found
from .objects import Obj, get, stamp
from .writer import Writer

__all__ = ["EMULATED_LOG", "create_review", "serve_subresource"]

EMULATED_LOG = "This cluster is emulated: container {container!r} of pod {pod!r} never ran.\n"
_TOKEN_LIFE = timedelta(hours=1)


def create_review(call: Call, body: Any) -> Reply:
    """Answer a review: everything is allowed to everybody."""
    body = body or {}
    user = {"username": "emulated", "groups": ["system:masters", "system:authenticated"]}
    status: dict[str, Any]
    match call.resource.kind:
        case "SelfSubjectReview":
            status = {"userInfo": user}
        case "TokenReview":
            status = {"authenticated": True, "user": user}
        case "SelfSubjectRulesReview":
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            status = {"resourceRules": [everything], "nonResourceRules": [], "incomplete": False}
        case _:
            status = {"allowed": True, "reason": "the emulator allows everything"}
    return Reply(call.view({**body, "status": status}), code=201)


def serve_subresource(call: Call, context: Context, writer: Writer, collector: Collector) -> Reply:
    """Answer for a subresource; raises :class:`ApiError`."""
    obj = context.store.get(call.resource.key, call.key)
    if obj is None:
        raise not_found(call.resource.group, call.resource.plural, call.key[1])
    match call.subresource:
        case "log":
            return _log(call, obj)
        case "scale":
            return _scale(call, obj, writer)
        case "eviction":
            collector.delete(call.resource, call.key)
            return Reply({"kind": "Status", "apiVersion": "v1", "status": "Success"}, code=201)
        case "finalize":
            return _finalize(call, obj, context, collector)
        case "token":
            return _token(call, context)
    raise bad_request(f"the emulator runs no containers: {call.subresource} is not possible")


def _log(call: Call, pod: Obj) -> Reply:
    containers = [c["name"] for c in pod["spec"].get("containers") or ()]
    wanted = call.request.query.get("container") or containers[0]
    if wanted not in containers:
        raise bad_request(f"container {wanted} is not valid for pod {call.name}")
    statuses = get(pod, "status", "containerStatuses") or ()
    for status in statuses:
        waiting = get(status, "state", "waiting", "reason")
        if status["name"] == wanted and waiting:
            message = f'container "{wanted}" in pod "{call.name}" is waiting to start: {waiting}'
            raise bad_request(message)
    text = EMULATED_LOG.format(container=wanted, pod=call.name)
    return Reply(content=text.encode(), content_type="text/plain")


def _scale(call: Call, obj: Obj, writer: Writer) -> Reply:
    if call.request.method in ("PUT", "PATCH"):
        replicas = get(call.request.read_body(), "spec", "replicas")
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
            raise bad_request("spec.replicas must be a number")
        changed = copy.deepcopy(obj)
        changed["metadata"]["resourceVersion"] = ""
        changed["spec"]["replicas"] = replicas
        obj = writer.update(call.resource, call.key, changed, call.request.write_options())
    elif call.request.method != "GET":
        raise ApiError(405, "MethodNotAllowed", "a scale can be read, replaced and patched")
    metadata = {
        name: obj["metadata"].get(name)
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    return Reply(
        {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": metadata,
            "spec": {"replicas": get(obj, "spec", "replicas") or 0},
            "status": {"replicas": get(obj, "status", "replicas") or 0},
        }
    )


def _finalize(call: Call, namespace: Obj, context: Context, collector: Collector) -> Reply:
    finalizers = get(call.request.read_body(), "spec", "finalizers") or []
    changed = {**namespace, "spec": {**(namespace.get("spec") or {}), "finalizers": finalizers}}
    stored = context.store.put(call.resource.key, changed)
    return Reply(call.view(collector.after_write(call.resource, stored)))


def _token(call: Call, context: Context) -> Reply:
    expires = stamp(context.clock() + _TOKEN_LIFE)
    status = {"token": f"emulated-{call.name}", "expirationTimestamp": expires}
    kind = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    return Reply({**kind, "metadata": {"name": call.name}, "spec": {}, "status": status}, code=201)
