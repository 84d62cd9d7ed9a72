"""Whose a release is: by the labels on Helm's own record of it.

They are given with the first call that writes a record, so that a release of ours is known even
when its first install was killed. Helm keeps them at an upgrade; a rollback takes those of the
revision to which it goes, so an older record may say more than the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlstacks_dagster.engines.helm_request import HelmRequest
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.errors import NotOwnedError

__all__ = ["refuse_foreign"]


def refuse_foreign(request: HelmRequest, client: KubeClient) -> None:
    """Raise :class:`NotOwnedError` when the release exists and isn't the request's.

    A record without labels is ours only when the request says that we began it.
    """
    selector = f"owner=helm,name={request.release}"
    records = [_labels(r) for r in client.list("v1", "Secret", request.namespace, selector)]
    for labels in sorted(records, key=_revision, reverse=True):
        found = {key: labels[key] for key in request.owner if key in labels}
        if found == dict(request.owner):
            return
        if found:
            said = ", ".join(f"{key} {value}" for key, value in sorted(found.items()))
            raise _not_owned(request, f"belongs to another: {said}")
    if records and not request.begun:
        raise _not_owned(request, "was not made by this program")


def _not_owned(request: HelmRequest, whose: str) -> NotOwnedError:
    return NotOwnedError(
        f"{request.unit}: the release {request.release} in the namespace {request.namespace}"
        f" exists and {whose}",
        remedy=f"deploy to another cluster, or have its owner remove it"
        f" (helm uninstall {request.release} -n {request.namespace})",
    )


def _labels(record: Mapping[str, Any]) -> dict[str, str]:
    return dict(record["metadata"].get("labels") or {})


def _revision(labels: Mapping[str, str]) -> int:
    text = labels.get("version", "")
    return int(text) if text.isdigit() else 0
