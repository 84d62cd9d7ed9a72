"""What would make a volume or a load balancer again: workloads, up to whoever runs them.

A StatefulSet makes a claim again as soon as it is gone, a Deployment its pods, an operator the
StatefulSet. So the way goes from what is held, and from the pods that use it, along the
controlling owners to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef

__all__ = ["makers_of", "ref_of", "uid_of"]

_NODE = ("v1", "Node")


def makers_of(kube: KubeClient, held: Iterable[Mapping[str, Any]]) -> dict[str, ObjectRef]:
    """Return what keeps the ``held`` objects alive or would make them again, by UID.

    Pods that nobody controls are among them, the held objects are not.
    """
    given = list(held)
    found: dict[str, ObjectRef] = {}
    for each in given:
        top = _top(kube, each)
        if uid_of(top) != uid_of(each):
            found[uid_of(top)] = ref_of(top)
    claims = {
        (str(c["metadata"]["namespace"]), str(c["metadata"]["name"]))
        for c in given
        if c["kind"] == "PersistentVolumeClaim"
    }
    for workload in _users(kube, claims) if claims else ():
        top = _top(kube, workload)
        found[uid_of(top)] = ref_of(top)
    return found


def ref_of(found: Mapping[str, Any]) -> ObjectRef:
    """Return the name of an object as the API gave it."""
    metadata = found["metadata"]
    return ObjectRef(
        found["apiVersion"], found["kind"], metadata["name"], metadata.get("namespace", "")
    )


def uid_of(found: Mapping[str, Any]) -> str:
    """Return what tells an object from a later one of the same name."""
    return str(found["metadata"].get("uid", ""))


def _top(kube: KubeClient, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the last of the controlling owners; the object itself when it has none."""
    seen = {uid_of(found)}
    while (owner := _owner(kube, found)) is not None and uid_of(owner) not in seen:
        found = owner
        seen.add(uid_of(owner))
    return found


def _owner(kube: KubeClient, found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    metadata = found["metadata"]
    for entry in metadata.get("ownerReferences") or ():
        if not entry.get("controller") or (entry["apiVersion"], entry["kind"]) == _NODE:
            continue
        name = ObjectRef(
            entry["apiVersion"], entry["kind"], entry["name"], metadata.get("namespace", "")
        )
        owner = kube.get(kube.normal(name))
        if owner is not None and uid_of(owner) == entry["uid"]:
            return owner
    return None


def _users(kube: KubeClient, claims: set[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
    """Yield the pods that use any of the claims, and the sets that would make one again."""
    for pod in kube.list("v1", "Pod"):
        namespace = pod["metadata"]["namespace"]
        if any((namespace, name) in claims for name in _claims_of(pod)):
            yield pod
    for each in kube.list("apps/v1", "StatefulSet"):
        namespace = each["metadata"]["namespace"]
        if each["spec"].get("replicas") != 0 and any(
            where == namespace and _is_made_by(each, name) for where, name in claims
        ):
            yield each


def _claims_of(pod: Mapping[str, Any]) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield str(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _is_made_by(stateful_set: Mapping[str, Any], claim: str) -> bool:
    own = stateful_set["metadata"]["name"]
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        start = f"{template['metadata']['name']}-{own}-"
        if claim.startswith(start) and claim.removeprefix(start).isdigit():
            return True
    return False
