"""What a release finds in the cluster before it comes: its namespace and its Secrets.

Both carry the ownership marks as labels. Passwords are made here, once, and live in the cluster
alone: no chart value, no ledger, no log ever holds one.
"""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping
from typing import Any

from mlstacks_dagster.catalog.models import SecretKey, UnitSecret
from mlstacks_dagster.engines.kube_client import KubeClient, ObjectRef
from mlstacks_dagster.errors import NotOwnedError
from mlstacks_dagster.sweep.marks import COMPONENT, STACK

__all__ = [
    "is_stack_namespace",
    "make_namespace",
    "make_secret",
    "read_secret",
    "remove_namespace",
    "remove_secret",
    "secret_word",
]

_LETTERS = string.ascii_letters + string.digits
_RELEASES = "owner=helm"
_CHANGED = "mlstacks-dagster/changed"


def make_namespace(kube: KubeClient, name: str, marks: Mapping[str, str]) -> bool:
    """Make the namespace unless it is there; True when it is the stack's own.

    Several units may share one, so it carries no unit's mark.
    """
    ref = ObjectRef("v1", "Namespace", name)
    labels = {key: value for key, value in marks.items() if key != COMPONENT}
    found = kube.get(ref)
    if found is not None and _labels(found).get(STACK) != marks[STACK]:
        return False
    kube.apply(_head(ref, labels))
    return True


def is_stack_namespace(kube: KubeClient, name: str, marks: Mapping[str, str]) -> bool:
    """Tell whether the namespace is there and the stack's own."""
    found = kube.get(ObjectRef("v1", "Namespace", name))
    return found is not None and _labels(found).get(STACK) == marks[STACK]


def remove_namespace(
    kube: KubeClient, name: str, marks: Mapping[str, str], timeout_seconds: float
) -> tuple[ObjectRef, ...]:
    """Remove the namespace if it is the stack's own and no release is left in it.

    Returns what still exists after ``timeout_seconds``.
    """
    ref = ObjectRef("v1", "Namespace", name)
    if not is_stack_namespace(kube, name, marks):
        return ()
    if kube.list("v1", "Secret", name, _RELEASES):
        return ()
    kube.delete(ref)
    return kube.wait_gone([ref], timeout_seconds)


def make_secret(
    kube: KubeClient,
    namespace: str,
    secret: UnitSecret,
    given: Mapping[str, str],
    marks: Mapping[str, str],
    *,
    is_read: bool = False,
) -> None:
    """Make the Secret, or complete it: what was generated once stays.

    ``given`` are the user's values by key. With ``is_read`` pods may know an earlier Secret of
    that name. Data that pods may not know is marked by a new :func:`secret_word`. Raises
    :class:`NotOwnedError` when a Secret of that name belongs to somebody else.
    """
    ref = ObjectRef("v1", "Secret", secret.name, namespace)
    found = kube.get(ref)
    if found is not None and _labels(found).get(STACK) != marks[STACK]:
        raise NotOwnedError(
            f"the Secret {namespace}/{secret.name} exists and isn't this stack's",
            remedy="remove it, or deploy to another namespace",
        )
    there = _data(found)
    values = {key: _value(how, given.get(key), there.get(key)) for key, how in secret.keys.items()}
    data = {key: _encoded(value) for key, value in values.items() if value is not None}
    document = {**_head(ref, marks), "type": "Opaque", "data": data}
    new = is_read if found is None else _would_change(kube, document, found)
    word = secrets.token_hex(8) if new else _word(found)
    if word:
        document["metadata"]["annotations"] = {_CHANGED: word}
    kube.apply(document)


def remove_secret(kube: KubeClient, namespace: str, name: str, marks: Mapping[str, str]) -> None:
    """Remove the Secret if it is the stack's own."""
    ref = ObjectRef("v1", "Secret", name, namespace)
    found = kube.get(ref)
    if found is not None and _labels(found).get(STACK) == marks[STACK]:
        kube.delete(ref)


def read_secret(kube: KubeClient, namespace: str, name: str) -> dict[str, str]:
    """Return the texts in a Secret; empty when it isn't there."""
    return _data(kube.get(ObjectRef("v1", "Secret", name, namespace)))


def secret_word(kube: KubeClient, namespace: str, name: str) -> str:
    """Return a word of chance that is another one whenever the Secret's data has changed.

    Empty while the Secret is as it was first made. It tells nothing about the data.
    """
    return _word(kube.get(ObjectRef("v1", "Secret", name, namespace)))


def _would_change(kube: KubeClient, document: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether applying ``document`` changes the data, other people's keys left out."""
    return bool(kube.apply(document, dry_run=True).get("data") != found.get("data"))


def _word(found: Mapping[str, Any] | None) -> str:
    annotations = (found or {"metadata": {}})["metadata"].get("annotations") or {}
    return str(annotations.get(_CHANGED, ""))


def _value(how: SecretKey, given: str | None, there: str | None) -> str | None:
    if given is not None:
        return given
    if how.generate is None:
        return how.value
    return there or "".join(secrets.choice(_LETTERS) for _ in range(how.generate))


def _head(ref: ObjectRef, labels: Mapping[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": ref.name, "labels": dict(labels)}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata}


def _labels(found: Mapping[str, Any]) -> dict[str, str]:
    return dict(found["metadata"].get("labels") or {})


def _data(found: Mapping[str, Any] | None) -> dict[str, str]:
    held = (found or {}).get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in held.items()}


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
