"""Make a cluster let go of what it holds in the cloud, while its controllers still run.

A load balancer or a volume that outlives the controller that made it stays on the bill. So what
asks for them (Services, Ingresses, volume claims) is deleted first; finalizers keep each of
these in the cluster until the cloud has removed what belongs to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlstacks_dagster.catalog.models import Drained
from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.errors import MlstacksError

__all__ = ["drain", "holders", "load_balancer_host"]

_INGRESS = "networking.k8s.io/v1"
_POLL_SECONDS = 1.0


def holders(kube: KubeClient, what: Iterable[Drained]) -> tuple[ObjectRef, ...]:
    """Return the objects that hold something in the cloud."""
    found: list[ObjectRef] = []
    if "load_balancers" in what:
        services = kube.list("v1", "Service")
        found += [_ref(s) for s in services if s["spec"].get("type") == "LoadBalancer"]
        found += [_ref(i) for i in kube.list(_INGRESS, "Ingress") if _has_address(i)]
    if "volumes" in what:
        found += [_ref(claim) for claim in kube.list("v1", "PersistentVolumeClaim")]
        found += [_ref(v) for v in kube.list("v1", "PersistentVolume") if _goes_with_claim(v)]
    return tuple(found)


def drain(
    kube: KubeClient,
    what: Iterable[Drained],
    *,
    timeout_seconds: float,
    say: Callable[[str], None],
) -> tuple[ObjectRef, ...]:
    """Delete what holds load balancers or volumes and wait until the cloud has let go.

    Returns what was drained. Raises :class:`MlstacksError` that names what still holds on after
    ``timeout_seconds``; nothing else has been touched then.
    """
    wanted = frozenset(what)
    held = holders(kube, wanted)
    if not held:
        return ()
    for ref in held:
        say(f"draining {ref}")
        if ref.kind != "PersistentVolume":
            kube.delete(ref)
    if "volumes" in wanted:
        _end_users(kube, held)
    left = kube.wait_gone(held, timeout_seconds)
    if left:
        raise MlstacksError(
            f"after {timeout_seconds:.0f} s the cluster still holds {', '.join(map(str, left))}:"
            " destroying it now would leave load balancers or volumes behind",
            remedy="see what their finalizers wait for (kubectl describe), then run again",
        )
    return held


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


def _end_users(kube: KubeClient, claims: Iterable[ObjectRef]) -> None:
    """Delete the pods that use the claims; none can be scheduled again while they end."""
    used = {(ref.namespace, ref.name) for ref in claims if ref.kind == "PersistentVolumeClaim"}
    for pod in kube.list("v1", "Pod"):
        volumes = pod["spec"].get("volumes") or ()
        names = {v["persistentVolumeClaim"]["claimName"] for v in volumes if _is_claimed(v)}
        namespace = pod["metadata"]["namespace"]
        if any((namespace, name) in used for name in names):
            kube.delete(_ref(pod))


def _is_claimed(volume: Mapping[str, Any]) -> bool:
    return bool(volume.get("persistentVolumeClaim"))


def _ref(found: Mapping[str, Any]) -> ObjectRef:
    metadata = found["metadata"]
    return ObjectRef(
        found["apiVersion"], found["kind"], metadata["name"], metadata.get("namespace", "")
    )


def _goes_with_claim(volume: Mapping[str, Any]) -> bool:
    spec = volume["spec"]
    return bool(spec.get("claimRef")) and spec.get("persistentVolumeReclaimPolicy") == "Delete"


def _has_address(found: Mapping[str, Any]) -> bool:
    return bool(_address(found) or found["metadata"].get("finalizers"))


def _address(found: Mapping[str, Any]) -> str:
    given = (found.get("status") or {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(given[0].get("hostname") or given[0].get("ip") or "")
