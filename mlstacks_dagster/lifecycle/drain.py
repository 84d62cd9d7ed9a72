"""Make a cluster let go of what it holds in the cloud, while its controllers still run.

A load balancer or a volume that outlives the controller that made it stays on the bill. So what
asks for them (Services, Ingresses, volume claims) is deleted first; finalizers keep each of
these in the cluster until the cloud has removed what belongs to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from mlstacks_dagster.catalog.models import Drained
from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.lifecycle.makers import makers_of, ref_of, uid_of

__all__ = ["drain", "goes_with_claim", "holders", "load_balancer_host"]

_INGRESS = "networking.k8s.io/v1"
_POLL_SECONDS = 1.0


def holders(kube: KubeClient, what: Iterable[Drained]) -> tuple[ObjectRef, ...]:
    """Return the objects that hold something in the cloud."""
    return tuple(map(ref_of, _held(kube, frozenset(what))))


def drain(
    kube: KubeClient,
    what: Iterable[Drained],
    *,
    timeout_seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[ObjectRef, ...]:
    """Delete what holds load balancers or volumes and wait until the cloud has let go.

    Workloads that use the volumes or would ask for them again are deleted too: the cluster, or
    the controller without which their volumes can't be, goes next. What comes back under the
    same name is another object and goes as well. Returns what was drained. Raises
    :class:`MlstacksError` that names what is still there after ``timeout_seconds``.
    """
    wanted = frozenset(what)
    deadline = clock() + timeout_seconds
    drained: dict[str, ObjectRef] = {}
    makers: dict[str, ObjectRef] = {}
    while True:
        held = {uid_of(found): found for found in _held(kube, wanted)}
        makers = {uid: ref for uid, ref in makers.items() if _is_there(kube, uid, ref)}
        if not held and not makers:
            return tuple(dict.fromkeys(drained.values()))
        if clock() >= deadline:
            left = [*map(ref_of, held.values()), *makers.values()]
            raise MlstacksError(
                f"after {timeout_seconds:.0f} s the cluster still holds"
                f" {', '.join(map(str, left))}: destroying it now would leave load balancers or"
                " volumes behind",
                remedy="see what their finalizers wait for (kubectl describe), then run again",
            )
        for uid, ref in makers_of(kube, held.values()).items():
            if uid not in makers:
                say(f"stopping {ref}")
                kube.delete(ref, propagation="Foreground", uid=uid)
            makers[uid] = ref
        for uid, found in held.items():
            _let_go(kube, found, say=say if uid not in drained else _quiet)
            drained[uid] = ref_of(found)
        sleep(_POLL_SECONDS)


def _held(kube: KubeClient, what: Set[Drained]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if "load_balancers" in what:
        services = kube.list("v1", "Service")
        found += [s for s in services if s["spec"].get("type") == "LoadBalancer"]
        found += [i for i in kube.list(_INGRESS, "Ingress") if _has_address(i)]
    if "volumes" in what:
        found += kube.list("v1", "PersistentVolumeClaim")
        found += [v for v in kube.list("v1", "PersistentVolume") if goes_with_claim(v)]
    return found


def _let_go(kube: KubeClient, found: Mapping[str, Any], *, say: Callable[[str], None]) -> None:
    say(f"draining {ref_of(found)}")
    if found["kind"] != "PersistentVolume" and not found["metadata"].get("deletionTimestamp"):
        kube.delete(ref_of(found), uid=uid_of(found))


def _is_there(kube: KubeClient, uid: str, ref: ObjectRef) -> bool:
    found = kube.get(ref)
    return found is not None and uid_of(found) == uid


def _quiet(_: str) -> None:
    pass


def load_balancer_host(
    kube: KubeClient,
    namespace: str,
    service: str,
    *,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Return the host name or address that a Service was given, empty after the time out."""
    ref = ObjectRef("v1", "Service", service, namespace)
    deadline = clock() + timeout_seconds
    while True:
        host = _address(kube.get(ref) or {})
        if host or clock() >= deadline:
            return host
        sleep(_POLL_SECONDS)


def goes_with_claim(volume: Mapping[str, Any]) -> bool:
    """Tell whether a claim has the volume, and the cluster deletes it with the claim."""
    spec = volume["spec"]
    return bool(spec.get("claimRef")) and spec.get("persistentVolumeReclaimPolicy") == "Delete"


def _has_address(found: Mapping[str, Any]) -> bool:
    return bool(_address(found) or found["metadata"].get("finalizers"))


def _address(found: Mapping[str, Any]) -> str:
    given = (found.get("status") or {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(given[0].get("hostname") or given[0].get("ip") or "")
