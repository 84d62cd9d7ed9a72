"""What a pod refers to and can't start without: Secrets, ConfigMaps, claims, a service account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .context import Context
from .objects import Obj, get

__all__ = ["claims_of", "containers_of", "missing_account", "missing_reference"]

_SECRETS, _CONFIG_MAPS = ("", "secrets"), ("", "configmaps")
_ACCOUNTS = ("", "serviceaccounts")


def containers_of(pod: Obj) -> Iterator[dict[str, Any]]:
    """Yield the containers of a pod, those that run first coming first."""
    yield from pod["spec"].get("initContainers") or ()
    yield from pod["spec"].get("containers") or ()


def claims_of(pod: Obj) -> list[str]:
    """Return the names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    names = (get(volume, "persistentVolumeClaim", "claimName") for volume in volumes)
    return [name for name in names if name]


def missing_account(context: Context, namespace: str, spec: dict[str, Any]) -> str | None:
    """Return the name of a pod's service account when there is no such one."""
    name = spec.get("serviceAccountName") or "default"
    return None if context.store.get(_ACCOUNTS, (namespace, name)) else name


def missing_reference(context: Context, pod: Obj) -> str | None:
    """Say which Secret, ConfigMap or key a pod needs that isn't there; None: nothing."""
    namespace = pod["metadata"]["namespace"]
    for collection, name, key in _references(pod["spec"]):
        found = context.store.get(collection, (namespace, name))
        kind = "secret" if collection == _SECRETS else "configmap"
        if found is None:
            return f'{kind} "{name}" not found'
        if key is not None and key not in {
            **(found.get("data") or {}),
            **(found.get("binaryData") or {}),
        }:
            return f"couldn't find key {key} in {kind.capitalize()} {namespace}/{name}"
    return None


_Reference = tuple[tuple[str, str], str, str | None]


def _references(spec: dict[str, Any]) -> Iterator[_Reference]:
    """Yield collection, name and, where one is named, key of all that isn't optional."""
    for volume in spec.get("volumes") or ():
        yield from _of_source(volume)
        for source in get(volume, "projected", "sources") or ():
            yield from _of_source(source)
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            yield from _of_container(container)


def _of_source(source: dict[str, Any]) -> Iterator[_Reference]:
    for collection, field in ((_SECRETS, "secret"), (_CONFIG_MAPS, "configMap")):
        said = source.get(field)
        if said and not said.get("optional"):
            name = said.get("secretName") or said.get("name")
            keys = [item["key"] for item in said.get("items") or ()] or [None]
            for key in keys:
                yield collection, name, key


def _of_container(container: dict[str, Any]) -> Iterator[_Reference]:
    for source in container.get("envFrom") or ():
        for collection, field in ((_SECRETS, "secretRef"), (_CONFIG_MAPS, "configMapRef")):
            said = source.get(field)
            if said and not said.get("optional"):
                yield collection, said["name"], None
    for variable in container.get("env") or ():
        value = variable.get("valueFrom") or {}
        for collection, field in ((_SECRETS, "secretKeyRef"), (_CONFIG_MAPS, "configMapKeyRef")):
            said = value.get(field)
            if said and not said.get("optional"):
                yield collection, said["name"], said["key"]
