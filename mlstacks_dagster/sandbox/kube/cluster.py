"""One emulated cluster, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .balancers import ServiceController
from .cloud import Cloud
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
from .deployments import reconcile_deployment, reconcile_replica_set
from .faults import Faults
from .handler import Handler
from .ingresses import IngressController
from .operators import reconcile_certificate, reconcile_issuer, reconcile_tekton_config
from .pod_controller import reconcile_pod
from .schemas import load_schemas
from .store import Collection, Store
from .volumes import VolumeController
from .workloads import reconcile_daemon_set, reconcile_job, reconcile_stateful_set
from .writer import Writer

__all__ = ["Cluster"]

_CLAIMS, _VOLUMES = ("", "persistentvolumeclaims"), ("", "persistentvolumes")
_PODS = ("", "pods")
_INGRESSES = ("networking.k8s.io", "ingresses")
_MAKE_PODS = (
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
)
_EMULATED_WORK = (
    ("", "services"),
    _CLAIMS,
    _VOLUMES,
    _INGRESSES,
    ("cert-manager.io", "certificates"),
    ("cert-manager.io", "clusterissuers"),
    ("cert-manager.io", "issuers"),
    ("operator.tekton.dev", "tektonconfigs"),
)
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
    ("cert-manager.io", "certificates"): (reconcile_certificate,),
    ("cert-manager.io", "clusterissuers"): (reconcile_issuer,),
    ("cert-manager.io", "issuers"): (reconcile_issuer,),
    ("operator.tekton.dev", "tektonconfigs"): (reconcile_tekton_config,),
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
        cloud: Cloud | None = None,
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
        self.services = ServiceController(name, cloud)
        self.ingresses = IngressController(cloud)
        self.volumes = VolumeController(cloud)
        self.controllers = Controllers(self.tools, self._reconcilers())
        self.handler = Handler(self.context, self.writer, self.collector, base)
        self._connect()
        first_objects(self.context, self.writer, in_cloud=cloud is not None)

    def _reconcilers(self) -> dict[Collection, tuple[Controller, ...]]:
        return {
            **_RECONCILERS,
            ("", "services"): (self.services.reconcile,),
            ("networking.k8s.io", "ingresses"): (self.ingresses.reconcile,),
            ("", "persistentvolumeclaims"): (self.volumes.reconcile_claim,),
            ("", "persistentvolumes"): (self.volumes.reconcile_volume,),
        }

    def _connect(self) -> None:
        tools = self.tools
        self.context.admitters.append(lambda r, obj: self.services.admit(tools, r, obj))
        self.context.admitters.append(lambda r, obj: self.volumes.admit(tools, r, obj))
        watch = self.controllers.watch
        watch(_CLAIMS, _PODS, _VOLUMES)
        watch(_PODS, _CLAIMS)
        watch(("", "secrets"), _PODS)
        watch(("", "configmaps"), _PODS)
        watch(("", "serviceaccounts"), *_MAKE_PODS)
        watch(("", "services"), _INGRESSES, everywhere=True)
        watch(("networking.k8s.io", "ingressclasses"), _INGRESSES, everywhere=True)
        # Programs whose work is emulated begin with it once they are deployed.
        watch(("apps", "deployments"), *_EMULATED_WORK, everywhere=True)

    def close(self) -> None:
        """Stop the controllers; what they made in the cloud stays."""
        self.context.closed = True
