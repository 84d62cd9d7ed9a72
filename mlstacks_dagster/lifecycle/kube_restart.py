"""Pods that read a Secret when they start are started again when it has changed.

The Secret itself carries a word of chance that changes with its data (see ``kube_setup``). The
pod templates that use the Secret are given the same word, which makes their controllers replace
the pods. A template without the present word is one whose pods may have read older data, so a
run that was cut off in between is made good by the next. Helm leaves the annotation alone: it
isn't in any manifest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.engines.kube_trouble import first_lines
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.lifecycle.kube_setup import secret_word

__all__ = ["await_rollout", "restart_users", "secrets_used"]

_ANNOTATION = "mlstacks-dagster/secrets"
_MANAGER = "mlstacks-dagster-restart"
_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_POLL_SECONDS = 1.0
_REPLICAS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_COUNTS = {"DaemonSet": ("updatedNumberScheduled", "numberAvailable")}


def restart_users(
    kube: KubeClient, refs: Iterable[ObjectRef], namespace: str, names: Iterable[str]
) -> tuple[ObjectRef, ...]:
    """Replace the pods of those workloads that may have read older data of the Secrets.

    ``names`` are Secrets in ``namespace``. Returns the workloads; their pods come one after
    another, as their controllers do it.
    """
    words = {name: secret_word(kube, namespace, name) for name in names}
    words = {name: word for name, word in words.items() if word}
    restarted: list[ObjectRef] = []
    for ref in refs if words else ():
        if ref.kind not in _KINDS or ref.namespace != namespace:
            continue
        workload = kube.get(ref)
        if workload is None:
            continue
        template = workload["spec"]["template"]
        used = sorted(secrets_used(template["spec"]) & words.keys())
        wanted = ",".join(f"{name}={words[name]}" for name in used)
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        if wanted and annotations.get(_ANNOTATION) != wanted:
            kube.apply(_annotated(ref, wanted), manager=_MANAGER)
            restarted.append(ref)
    return tuple(restarted)


def await_rollout(
    kube: KubeClient,
    refs: Collection[ObjectRef],
    timeout_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all pods of the workloads are new and ready.

    Raises :class:`MlstacksError` with the pods' reasons when they aren't after
    ``timeout_seconds``.
    """
    deadline = clock() + timeout_seconds
    left = list(refs)
    while left := [ref for ref in left if not _is_rolled_out(kube.get(ref))]:
        if clock() >= deadline:
            raise MlstacksError(
                f"a Secret was changed, and {', '.join(map(str, left))} did not become ready with"
                f" it within {timeout_seconds:.0f} s\n{first_lines(kube.trouble(left))}".rstrip(),
                remedy="check what was changed in the stack file's config, then deploy again",
            )
        sleep(_POLL_SECONDS)


def secrets_used(pod: Mapping[str, Any]) -> set[str]:
    """Return the names of the Secrets that a pod's spec reads."""
    return set(_of_volumes(pod)) | set(_of_environment(pod))


def _of_volumes(pod: Mapping[str, Any]) -> Iterator[str]:
    for volume in pod.get("volumes") or ():
        if volume.get("secret"):
            yield str(volume["secret"]["secretName"])
        for source in (volume.get("projected") or {}).get("sources") or ():
            if source.get("secret"):
                yield str(source["secret"]["name"])


def _of_environment(pod: Mapping[str, Any]) -> Iterator[str]:
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        for source in container.get("envFrom") or ():
            if source.get("secretRef"):
                yield str(source["secretRef"]["name"])
        for variable in container.get("env") or ():
            key = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if key:
                yield str(key["name"])


def _annotated(ref: ObjectRef, word: str) -> dict[str, Any]:
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {"template": {"metadata": {"annotations": {_ANNOTATION: word}}}},
    }


def _is_rolled_out(workload: Mapping[str, Any] | None) -> bool:
    if workload is None:
        return True
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
    else:
        wanted = workload["spec"].get("replicas", 1)
    counts = _COUNTS.get(workload["kind"], _REPLICAS)
    return all(status.get(count, 0) == wanted for count in counts)
