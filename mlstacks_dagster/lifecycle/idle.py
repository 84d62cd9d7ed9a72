"""Whether anything uses a stack's cluster, beside what the stack itself installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.cluster import cluster_unit
from mlstacks_dagster.lifecycle.kube_session import Cluster
from mlstacks_dagster.lifecycle.models import Progress, UnitJob
from mlstacks_dagster.lifecycle.terraform_session import TerraformSession
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.settings import Settings

__all__ = ["cluster_use", "users_of"]

_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
_SERVICES = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"))
_SERVICE_OWNERS = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "Node"})
_RELEASE = "meta.helm.sh/release-name"
_SHOWN = 3


class _Silence:
    """A reporter for a look that nobody watches."""

    def line(self, text: str) -> None:
        """Take a line."""

    def milestone(self, text: str) -> None:
        """Take an event."""

    def progress(self, progress: Progress) -> None:
        """Take a standing."""


def cluster_use(stack: StackRecord, settings: Settings, ledger: Ledger, since: float) -> str:
    """Return what uses the stack's cluster, or has since ``since`` (Unix seconds), for people.

    An empty text means that nothing does. Raises
    :class:`~mlstacks_dagster.errors.MlstacksError` when the cluster can't be asked, and
    :class:`RefusedError` when the stack makes none.
    """
    unit = cluster_unit(stack.plan)
    if unit is None:
        raise RefusedError(f"stack {stack.name} makes no cluster")
    job = UnitJob(plan=stack.plan, unit=unit.name, run_id="idle", target=stack.target)
    session = TerraformSession(job, stack, settings, ledger, _Silence(), Tools())
    found = list(users_of(Cluster(session).kube, since))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def users_of(kube: KubeClient, since: float) -> Iterator[str]:
    """Yield what uses a cluster: work that isn't over or was begun lately, others' services.

    Work are pods that no service owns: steps of pipelines, jobs, notebooks. What Helm installed
    and what is in Kubernetes' own namespaces doesn't count.
    """
    for pod in kube.list("v1", "Pod"):
        if _is_work(pod) and _is_lately(pod, since):
            yield f"pod {_name(pod)}"
    for version, kind in _SERVICES:
        for service in kube.list(version, kind):
            metadata = service["metadata"]
            if metadata.get("namespace") in _SYSTEM:
                continue
            if _RELEASE not in (metadata.get("annotations") or {}):
                yield f"{kind.lower()} {_name(service)}"


def _is_work(pod: Mapping[str, Any]) -> bool:
    metadata = pod["metadata"]
    if metadata.get("namespace") in _SYSTEM:
        return False
    owners = {owner.get("kind") for owner in metadata.get("ownerReferences") or ()}
    return not owners & _SERVICE_OWNERS


def _is_lately(pod: Mapping[str, Any], since: float) -> bool:
    status = pod.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return True
    moments = [status.get("startTime"), pod["metadata"].get("creationTimestamp")]
    moments += [_finished(c) for c in status.get("containerStatuses") or ()]
    return any(_epoch(moment) >= since for moment in moments if moment)


def _finished(container: Mapping[str, Any]) -> str | None:
    state = container.get("state") or {}
    found = (state.get("terminated") or {}).get("finishedAt")
    return str(found) if found else None


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _name(thing: Mapping[str, Any]) -> str:
    return f"{thing['metadata'].get('namespace')}/{thing['metadata'].get('name')}"
