"""How a live object differs from a release's manifest, as the API itself sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef

__all__ = ["document_differences", "paths_that_differ"]

_OF_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
_HELM_MANAGER = "helm"
_SHOWN = (bool, int, float, type(None))


def document_differences(
    client: KubeClient, document: Mapping[str, Any], release: str, namespace: str
) -> tuple[str, ...]:
    """Return how the live object differs from ``document``, a sentence each.

    ``namespace`` is the release's, and that of objects that name none. Values are shown only when
    they
    are numbers or yes and no, and never for Secrets.
    """
    metadata = document.get("metadata") or {}
    ref = client.normal(
        ObjectRef(
            str(document.get("apiVersion", "")),
            str(document["kind"]),
            str(metadata.get("name", "")),
            str(metadata.get("namespace") or namespace),
        )
    )
    live = client.get(ref)
    if live is None:
        return (f"{ref} is gone",)
    wanted = {**document, "metadata": _as_helm_writes(metadata, ref, release, namespace)}
    try:
        merged = client.apply(wanted, manager=_HELM_MANAGER, dry_run=True)
    except KubeError as error:
        if error.status not in (409, 422):
            raise
        return (f"{ref} can't take its manifest any more: {error.message}",)
    show = ref.kind != "Secret"
    return tuple(
        f"{ref}: {path}{_values(old, new) if show else ''}"
        for path, old, new in paths_that_differ(live, merged)
        if not path.startswith("status")
    )


def _as_helm_writes(
    metadata: Mapping[str, Any], ref: ObjectRef, release: str, namespace: str
) -> dict[str, Any]:
    """Return the metadata of a manifest with what Helm adds when it applies it."""
    labels = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    annotations = {
        **(metadata.get("annotations") or {}),
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": namespace,
    }
    made = {**metadata, "labels": labels, "annotations": annotations}
    made.pop("namespace", None)
    return made | ({"namespace": ref.namespace} if ref.namespace else {})


def paths_that_differ(
    live: object, wanted: object, path: str = ""
) -> Iterator[tuple[str, object, object]]:
    """Yield the path of each difference with the live and the wanted value."""
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*live, *wanted}):
            if path == "metadata" and key in _OF_THE_SERVER:
                continue
            inner = f"{path}.{key}" if path else str(key)
            yield from paths_that_differ(live.get(key), wanted.get(key), inner)
    elif isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        for number, (old, new) in enumerate(zip(live, wanted, strict=True)):
            yield from paths_that_differ(old, new, f"{path}[{number}]")
    elif live != wanted:
        yield path, live, wanted


def _values(live: object, wanted: object) -> str:
    if isinstance(live, _SHOWN) and isinstance(wanted, _SHOWN):
        return f" is {live}, should be {wanted}"
    return " differs"
