"""Deletes one item: what must be emptied or detached first, the operation, what errors mean."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from mlstacks_dagster.sweep.gcp.access import GcpAccess, as_dict
from mlstacks_dagster.sweep.gcp.calls import ApiError
from mlstacks_dagster.sweep.gcp.catalog import KINDS, GcpKind, snake
from mlstacks_dagster.sweep.gcp.emptying import (
    delete_objects,
    delete_records,
    unbind,
    undeploy_models,
)
from mlstacks_dagster.sweep.gcp.reading import compute_client, compute_place, host_of, path_of
from mlstacks_dagster.sweep.inventory.handlers import DeleteOutcome
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["Remover", "outcome_of"]

_HELD = (
    "resourceinuse", "resource_in_use", "resourcenotready", "resource_not_ready", "inuse",
    "operationinprogress", "notempty", "aborted", "conflict", "failed_precondition",
)  # fmt: skip
_IN_USE_TEXT = ("in use", "being used", "not empty", "in progress", "is not ready")
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class Remover:
    """Deletes items of one project; ``patience`` is in seconds for each operation."""

    def __init__(self, access: GcpAccess, project: str, patience: float) -> None:
        self._access, self._project, self._patience = access, project, patience

    def delete(self, item: Item) -> DeleteOutcome:
        """Delete an item. What is gone counts as deleted; what is in use is to be retried."""
        kind = KINDS.get(item.ref.type)
        if kind is None:
            return DeleteOutcome("refused", f"{item.ref.type} is no type of Google's that is swept")
        if item.facts.get("deletion-protection"):
            return DeleteOutcome("refused", "it is protected against deletion in Google Cloud")
        try:
            self._prepare(item)
            return self._send(kind, item)
        except ApiError as error:
            return outcome_of(error)

    def _prepare(self, item: Item) -> None:
        identity, access = item.ref.id, self._access
        steps: Mapping[str, Callable[[], None]] = {
            "storage:bucket": lambda: delete_objects(access, identity),
            "dns:managed-zone": lambda: delete_records(access, identity),
            "aiplatform:endpoint": lambda: self._undeploy(item),
            "aiplatform:custom-job": lambda: self._cancel(item),
            "aiplatform:pipeline-job": lambda: self._cancel(item),
            "iam:service-account": lambda: unbind(
                access, self._project, member=f"serviceAccount:{identity.rpartition('/')[2]}"
            ),
            "iam:role": lambda: unbind(access, self._project, role=identity),
        }
        if item.ref.type in steps:
            steps[item.ref.type]()

    def _undeploy(self, item: Item) -> None:
        host = host_of(KINDS[item.ref.type], item.ref.id)
        for operation in undeploy_models(self._access, host, item.ref.id):
            self._await_rest(host, "v1", operation)

    def _cancel(self, item: Item) -> None:
        """A job that runs can't be deleted; once cancelled it can, some moments later."""
        if item.facts.get("state", "").endswith(("_RUNNING", "_PENDING", "_QUEUED")):
            host = host_of(KINDS[item.ref.type], item.ref.id)
            self._access.rest("POST", host, f"v1/{item.ref.id}:cancel", body={})

    def _send(self, kind: GcpKind, item: Item) -> DeleteOutcome:
        if kind.by_compute:
            return self._delete_compute(kind, item)
        if kind.type == "container:cluster":
            return self._delete_cluster(item)
        host = host_of(kind, item.ref.id)
        answer = self._access.rest("DELETE", host, path_of(kind, item.ref.id))
        if kind.host == "compute":
            path = f"compute/v1/projects/{self._project}/global/operations/{answer.get('name')}"
            return self._poll(answer, lambda: self._access.rest("GET", host, path))
        if kind.type == "sqladmin:instance":
            path = f"{kind.version}/projects/{self._project}/operations/{answer.get('name')}"
            return self._poll(answer, lambda: self._access.rest("GET", host, path))
        return self._await_rest(host, kind.version, answer)

    def _await_rest(self, host: str, version: str, answer: Mapping[str, Any]) -> DeleteOutcome:
        """Await a long-running operation; an answer without a name was done at once."""
        name = str(answer.get("name") or "")
        if "/operations/" not in name:
            return DeleteOutcome("deleted")
        return self._poll(answer, lambda: self._access.rest("GET", host, f"{version}/{name}"))

    def _delete_compute(self, kind: GcpKind, item: Item) -> DeleteOutcome:
        client, place = compute_client(self._access, kind, item.ref.id), compute_place(item.ref.id)
        request = {
            **place,
            snake(kind.collection): item.ref.id.rpartition("/")[2],
            "request_id": str(uuid.uuid4()),
        }
        operation = as_dict(self._access.ask("compute", client.delete_unary, request))
        scope = "Zone" if "zone" in place else "Region" if "region" in place else "Global"
        poller = self._access.compute(f"{scope}OperationsClient")
        ask = {**place, "operation": str(operation.get("name"))}
        return self._poll(operation, lambda: as_dict(self._access.ask("compute", poller.get, ask)))

    def _delete_cluster(self, item: Item) -> DeleteOutcome:
        client = self._access.clusters()
        answer = self._access.ask("container", client.delete_cluster, {"name": item.ref.id})
        operation = as_dict(answer)
        base = item.ref.id.rpartition("/clusters/")[0]
        ask = {"name": f"{base}/operations/{operation.get('name')}"}
        return self._poll(
            operation,
            lambda: as_dict(self._access.ask("container", client.get_operation, ask)),
        )

    def _poll(
        self, operation: Mapping[str, Any], again: Callable[[], Mapping[str, Any]]
    ) -> DeleteOutcome:
        """Await an operation; one that outlasts our patience is to be looked at again later."""
        caller = self._access.caller
        deadline, tries = caller.clock() + self._patience, 0
        while not (operation.get("done") or operation.get("status") == "DONE"):
            if caller.clock() >= deadline:
                return DeleteOutcome("retry", f"still being deleted ({operation.get('name')})")
            caller.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1
            operation = again()
        error = operation.get("error")
        if not isinstance(error, Mapping) or not error:
            return DeleteOutcome("deleted")
        first = (error.get("errors") or [error])[0]
        status = int(operation.get("httpErrorStatusCode") or 400)
        reason = str(first.get("code") or "")
        return outcome_of(ApiError(status, reason, str(first.get("message") or "")))


def outcome_of(error: ApiError) -> DeleteOutcome:
    """Return what an error of a deletion means: gone, try again, or no."""
    said = error.message.lower()
    reason = error.reason.lower()
    if error.status == 404 or reason in ("notfound", "resource_not_found", "not_found"):
        return DeleteOutcome("deleted", "it was gone already")
    if error.denied:
        return DeleteOutcome("refused", error.message)
    held = any(word in reason for word in _HELD) or any(text in said for text in _IN_USE_TEXT)
    if error.transient or held or error.status in (409, 412):
        return DeleteOutcome("retry", error.message)
    return DeleteOutcome("refused", error.message)
