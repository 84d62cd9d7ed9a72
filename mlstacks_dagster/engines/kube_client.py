"""A small client for any kind of Kubernetes object, by API version and kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

from mlstacks_dagster.engines.kube_connection import KubeConnection
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.engines.kube_trouble import resource_trouble, selector_text, workload_trouble

__all__ = ["KubeClient", "ObjectRef", "ResourceKind"]

FIELD_MANAGER = "mlstacks-dagster"

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet", "Pod")
_EMULATED = "emulated"
_POLL_SECONDS = 0.25
_APPLY = "application/apply-patch+yaml"

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True)
class ResourceKind:
    """A kind that the cluster serves; ``verbs`` are what it can do (``list``, ``delete``...)."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()


class _Connection(Protocol):
    """What sends requests: a :class:`KubeConnection`, or a stand-in in tests."""

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Send a request; return the decoded answer."""


class KubeClient:
    """Reads and writes objects in one cluster.

    All calls raise :class:`KubeError`, :class:`TransientKubeError` when the same call may
    succeed later. ``clock`` and ``sleep`` count seconds; ``environment`` reaches a credential
    plugin.
    """

    def __init__(
        self,
        kubeconfig: Path,
        context: str,
        environment: Mapping[str, str] | None = None,
        *,
        connection: _Connection | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection or KubeConnection(
            kubeconfig, context, environment, clock=clock, sleep=sleep
        )
        self._clock = clock
        self._sleep = sleep
        self._kinds: dict[str, dict[str, ResourceKind]] = {}

    def version(self) -> str:
        """Return the version of the API server, such as ``v1.35.2``."""
        return str(self._connection.request("GET", "/version").get("gitVersion", ""))

    def is_emulated(self) -> bool:
        """Tell whether the API is an emulator, in which nothing runs; it says so itself."""
        return bool(self._connection.request("GET", "/version").get("compiler") == _EMULATED)

    def cluster_uid(self) -> str:
        """Return what tells this cluster from every other: the id of its system namespace."""
        found = self.get(ObjectRef("v1", "Namespace", "kube-system"))
        return str(found["metadata"]["uid"]) if found else ""

    def kind(self, api_version: str, kind: str) -> ResourceKind | None:
        """Return how the cluster serves a kind, None when it does not."""
        known = self._kinds.get(api_version, {})
        if kind not in known:
            known = self._kinds[api_version] = self._discover(api_version)
        return known.get(kind)

    def kinds(self) -> tuple[ResourceKind, ...]:
        """Return every kind that the cluster serves, each in its preferred version."""
        core = self._connection.request("GET", "/api").get("versions", ["v1"])
        groups = self._connection.request("GET", "/apis").get("groups", [])
        versions = [*core, *(g["preferredVersion"]["groupVersion"] for g in groups)]
        found: list[ResourceKind] = []
        for version in versions:
            self._kinds[version] = self._discover(version)
            found += self._kinds[version].values()
        return tuple(found)

    def normal(self, ref: ObjectRef) -> ObjectRef:
        """Return ``ref`` without a namespace when its kind has none."""
        kind = self.kind(ref.api_version, ref.kind)
        if kind is None or kind.namespaced or not ref.namespace:
            return ref
        return replace(ref, namespace="")

    def get(self, ref: ObjectRef) -> dict[str, Any] | None:
        """Return the object, None when it or its kind isn't there."""
        path = self._path(ref)
        if path is None:
            return None
        try:
            found: dict[str, Any] = self._connection.request("GET", path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = ""
    ) -> list[dict[str, Any]]:
        """Return the objects of a kind, of all namespaces without ``namespace``.

        ``labels`` is a label selector. A kind that isn't served has none.
        """
        path = self._path(ObjectRef(api_version, kind, "", namespace))
        if path is None:
            return []
        query = {"limit": "500"} | ({"labelSelector": labels} if labels else {})
        found: list[dict[str, Any]] = []
        while True:
            try:
                page = self._connection.request("GET", path, query)
            except KubeError as error:
                if error.status == 404:
                    return []
                raise
            found += page.get("items") or []
            following = (page.get("metadata") or {}).get("continue")
            if not following:
                break
            query = {**query, "continue": following}
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found]

    def apply(
        self,
        document: Mapping[str, Any],
        *,
        manager: str = FIELD_MANAGER,
        force: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Create or update an object by server-side apply and return what is stored.

        With ``dry_run`` nothing is stored. A conflict with another manager is an error with
        ``status`` 409 unless ``force``.
        """
        metadata = document["metadata"]
        ref = ObjectRef(
            document["apiVersion"],
            document["kind"],
            metadata["name"],
            metadata.get("namespace", ""),
        )
        path = self._path(ref)
        if path is None:
            raise KubeError(f"the cluster does not serve {ref.api_version} {ref.kind}", status=404)
        query = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        stored: dict[str, Any] = self._connection.request(
            "PATCH", path, query, dict(document), content_type=_APPLY
        )
        return stored

    def delete(
        self, ref: ObjectRef, *, propagation: Propagation = "Background", uid: str = ""
    ) -> bool:
        """Ask for the object's deletion; False when it was not there.

        With ``uid`` only that object goes, not a later one of the same name.
        """
        path = self._path(ref)
        if path is None:
            return False
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._connection.request("DELETE", path, body=body)
        except KubeError as error:
            if error.status == 404 or (uid and error.status == 409):
                return False
            raise
        return True

    def wait_gone(self, refs: Iterable[ObjectRef], timeout_seconds: float) -> tuple[ObjectRef, ...]:
        """Wait until none of ``refs`` exists; return those that do after ``timeout_seconds``."""
        deadline = self._clock() + timeout_seconds
        left = tuple(refs)
        while left := tuple(ref for ref in left if self.get(ref) is not None):
            if self._clock() >= deadline:
                break
            self._sleep(_POLL_SECONDS)
        return left

    def trouble(self, refs: Iterable[ObjectRef]) -> tuple[str, ...]:
        """Return why the workloads among ``refs`` are not ready, a sentence a cause."""
        found: dict[str, None] = {}
        for ref in refs:
            if ref.kind not in _WORKLOADS:
                continue
            workload = self.get(ref)
            if workload is None:
                found[f"{ref} does not exist"] = None
                continue
            selector = selector_text(workload)
            pods = (
                [workload]
                if ref.kind == "Pod"
                else self.list("v1", "Pod", ref.namespace, selector)
                if selector
                else []
            )
            found |= dict.fromkeys(workload_trouble(workload, pods))
        return tuple(found)

    def custom_trouble(self, refs: Iterable[ObjectRef]) -> tuple[str, ...]:
        """Return which custom resources among ``refs`` say that they aren't ready, and why."""
        found: dict[str, None] = {}
        for ref in refs:
            if not ref.is_custom:
                continue
            resource = self.get(ref)
            trouble = resource_trouble(resource) if resource else (f"{ref} does not exist",)
            found |= dict.fromkeys(trouble)
        return tuple(found)

    def _discover(self, api_version: str) -> dict[str, ResourceKind]:
        root = "/apis" if "/" in api_version else "/api"
        try:
            answer = self._connection.request("GET", f"{root}/{api_version}")
        except KubeError as error:
            if error.status == 404:
                return {}
            raise
        return {
            r["kind"]: ResourceKind(
                api_version, r["kind"], r["name"], bool(r["namespaced"]), tuple(r.get("verbs", ()))
            )
            for r in answer.get("resources", ())
            if "/" not in r["name"]
        }

    def _path(self, ref: ObjectRef) -> str | None:
        kind = self.kind(ref.api_version, ref.kind)
        if kind is None:
            return None
        root = "/apis" if "/" in ref.api_version else "/api"
        inside = f"/namespaces/{quote(ref.namespace)}" if kind.namespaced and ref.namespace else ""
        named = f"/{quote(ref.name)}" if ref.name else ""
        return f"{root}/{ref.api_version}{inside}/{kind.plural}{named}"
