"""What units in a cluster and the cluster itself have in common: its API."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.kube_access import ClusterAccess, write_kubeconfig
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.ledger.records import Operation
from mlstacks_dagster.lifecycle.cluster import access_of, cluster_unit
from mlstacks_dagster.lifecycle.drain import drain
from mlstacks_dagster.lifecycle.retained import claim_words, claimed_volumes, refuse_data
from mlstacks_dagster.lifecycle.session import Session
from mlstacks_dagster.sweep.aws_cluster import cluster_runs
from mlstacks_dagster.sweep.aws_controllers import made_by_controllers

__all__ = ["Cluster"]

_DRAIN_SECONDS = 900.0
_INGRESS_UID = ObjectRef("v1", "ConfigMap", "ingress-uid", "kube-system")


class Cluster:
    """The stack's cluster, as one session reaches it: by a kubeconfig in the unit's folder."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def access(self) -> ClusterAccess:
        """How the cluster is reached; raises :class:`RefusedError` when it isn't there."""
        return access_of(self._session.plan, self._session.output_of)

    @property
    def kubeconfig(self) -> Path:
        """The private kubeconfig."""
        session = self._session
        folder = session.settings.work_dir(session.stack.stack_id, session.unit.name)
        return folder / "kubeconfig"

    @cached_property
    def context(self) -> str:
        """The context to use; the kubeconfig is written when it is first asked for."""
        return write_kubeconfig(self.access, self.kubeconfig)

    @property
    def context_for_people(self) -> str:
        """The context under which people's own tools know the cluster."""
        access = self.access
        if access.kind == "kubeconfig":
            return access.context or self.context
        unit = cluster_unit(self._session.plan)
        arn = self._session.output_of(unit.name, "cluster_arn") if unit else None
        return str(arn or access.name)

    @cached_property
    def kube(self) -> KubeClient:
        """A client of the cluster's API."""
        context = self.context
        return self._session.tools.kube(self.kubeconfig, context, self._session.environment)

    @cached_property
    def identity(self) -> str:
        """What tells the cluster from others, whatever stack or kubeconfig leads to it.

        Clusters that don't let us see it count as one.
        """
        try:
            return self.kube.cluster_uid() or "unknown"
        except KubeError as error:
            if error.status != 403:
                raise
            return "unknown"

    def is_gone(self) -> bool:
        """Tell whether the cloud has no such cluster any more, or is deleting it."""
        access = self.access
        if access.kind != "eks":
            return False
        context = replace(self._session.find_context(), region=access.region)
        return not cluster_runs(access.name, context)

    def ids(self) -> dict[str, Any]:
        """Return the cluster's name and the ids that its controllers write into what they make.

        ``uid`` is that of its system namespace; ``ingress_uid``, empty where there is none or it
        can't be read, is what GKE's ingress controller goes by.
        """
        return {
            "name": self.access.name,
            "region": self.access.region,
            "uid": self.kube.cluster_uid(),
            "ingress_uid": self._ingress_uid(),
        }

    def remember(self, operation: Operation) -> None:
        """Write the ids of the stack's own cluster down, while it can be asked.

        A cluster that is destroyed behind our back can't be any more, and what its controllers
        leave may carry nothing else. A cluster that doesn't tell is none of this one's trouble.
        """
        if self._session.plan.options.cluster:
            return
        with suppress(KubeError):
            self._session.ledger.note(operation.id, {"cluster": self.ids()})

    def _ingress_uid(self) -> str:
        try:
            found = self.kube.get(_INGRESS_UID)
        except KubeError:
            return ""
        return str(((found or {}).get("data") or {}).get("uid") or "")

    def manifest(self) -> dict[str, Any]:
        """Return what is worth knowing of a cluster once it is gone.

        Its name and ids, and the ARNs of what its controllers made in the account.
        """
        access, found = self.access, self.ids()
        if access.kind == "eks":
            context = replace(self._session.find_context(), region=access.region)
            found["made_by_controllers"] = made_by_controllers(access.name, context)
        return found

    def drained_data(self) -> tuple[str, ...]:
        """Return the claims whose volumes draining deletes, for people."""
        if "volumes" not in self._session.unit.definition.teardown.drain:
            return ()
        return claim_words(claimed_volumes(self.kube))

    def drain(self, operation: Operation) -> int:
        """Drain what the unit says; return how many objects that were.

        What the cluster's controllers had made is written into the ledger first.
        """
        wanted = self._session.unit.definition.teardown.drain
        if not wanted:
            return 0
        if self._session.keeps_data:
            refuse_data(self._session, self.drained_data())
        self._session.phase("draining the cluster")
        self._session.ledger.note(operation.id, {"cluster": self.manifest()})
        say = self._session.report.milestone
        name = self._session.unit.name
        gone = drain(
            self.kube,
            wanted,
            timeout_seconds=_DRAIN_SECONDS,
            say=lambda text: say(f"{name}: {text}"),
        )
        return len(gone)
