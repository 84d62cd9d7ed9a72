"""One emulated cluster, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .cluster_objects import (
    first_objects,
    reconcile_api_service,
    reconcile_autoscaler,
    reconcile_crd,
    reconcile_disruption_budget,
    reconcile_namespace,
)
from .collector import Collector
from .context import Context, Options, Scheduler
from .controllers import Controller, Controllers, Tools
from .faults import Faults
from .handler import Handler
from .schemas import load_schemas
from .store import Collection, Store
from .workloads import (
    reconcile_daemon_set,
    reconcile_deployment,
    reconcile_job,
    reconcile_pod,
    reconcile_replica_set,
    reconcile_stateful_set,
)
from .writer import Writer

__all__ = ["Cluster"]

_RECONCILERS: dict[Collection, tuple[Controller, ...]] = {
    ("", "namespaces"): (reconcile_namespace,),
    ("", "pods"): (reconcile_pod,),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (reconcile_crd,),
    ("apiregistration.k8s.io", "apiservices"): (reconcile_api_service,),
    ("apps", "daemonsets"): (reconcile_daemon_set,),
    ("apps", "deployments"): (reconcile_deployment,),
    ("apps", "replicasets"): (reconcile_replica_set,),
    ("apps", "statefulsets"): (reconcile_stateful_set,),
    ("autoscaling", "horizontalpodautoscalers"): (reconcile_autoscaler,),
    ("batch", "jobs"): (reconcile_job,),
    ("policy", "poddisruptionbudgets"): (reconcile_disruption_budget,),
}


class Cluster:
    """A cluster: its API is :attr:`handler`, its objects are in :attr:`store`."""

    def __init__(
        self,
        name: str,
        version: str,
        *,
        scheduler: Scheduler,
        clock: Callable[[], datetime],
        options: Options | None = None,
        base: str = "",
    ) -> None:
        options = options or Options()
        self.name = name
        self.faults = Faults()
        self.store = Store(options.event_limit)
        self.context = Context(
            name=name,
            schemas=load_schemas(version),
            scheduler=scheduler,
            clock=clock,
            options=options,
            store=self.store,
        )
        self.collector = Collector(self.context)
        self.writer = Writer(self.context, self.collector)
        self.tools = Tools(self.context, self.writer, self.collector)
        self.controllers = Controllers(self.tools, dict(_RECONCILERS))
        self.handler = Handler(self.context, self.writer, self.collector, base)
        for changed in ("secrets", "configmaps", "persistentvolumeclaims"):
            self.controllers.watch(("", changed), ("", "pods"))
        first_objects(self.context, self.writer)

    def close(self) -> None:
        """Stop the controllers; what they made in the cloud stays."""
        self.context.closed = True
