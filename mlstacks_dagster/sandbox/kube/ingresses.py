"""Ingresses: an application load balancer of the AWS controller, or the address of another's.

An Ingress of a class whose controller is in the cluster gets the address of that controller's
Service of type LoadBalancer.
"""

from __future__ import annotations

from .balancers import backend_group, controller_name, split_tags
from .cloud import APPLICATION, Balancer, Cloud, CloudError, Group
from .controllers import Tools
from .deployed import DeployedProgram, find_deployed
from .events import record
from .objects import Obj, get, is_going, with_finalizers

__all__ = ["IngressController"]

_INGRESSES = ("networking.k8s.io", "ingresses")
_CLASSES = ("networking.k8s.io", "ingressclasses")
_SERVICES = ("", "services")
_CONTROLLER = "aws-load-balancer-controller"
_ALB = "ingress.k8s.aws/alb"
_FINALIZER = "ingress.k8s.aws/resources"
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_ANNOTATION = "alb.ingress.kubernetes.io/"


class IngressController:
    """Gives the Ingresses of one cluster their addresses."""

    def __init__(self, cloud: Cloud | None) -> None:
        self._cloud = cloud

    def reconcile(self, tools: Tools, ingress: Obj) -> None:
        """Make what an Ingress asks for, or remove it when the Ingress goes."""
        if is_going(ingress):
            self._clean_up(tools, ingress)
            return
        controller = _controller_of(tools, ingress)
        if controller == _ALB:
            self._provide(tools, ingress)
        elif controller is not None:
            address = _address_of(tools, controller)
            status = {"loadBalancer": {"ingress": address} if address else {}}
            tools.set_status(_INGRESSES, ingress, status)

    def _provide(self, tools: Tools, ingress: Obj) -> None:
        program = find_deployed(tools, _CONTROLLER)
        if self._cloud is None or program is None:
            return
        resource = tools.context.resource(_INGRESSES)
        if _FINALIZER not in (ingress["metadata"].get("finalizers") or ()):
            ingress = tools.writer.put_internal(resource, with_finalizers(ingress, add=_FINALIZER))
        try:
            host = self._cloud.ensure_balancer(_balancer(program, ingress))
        except CloudError as error:
            record(tools.context, tools.writer, ingress, "FailedDeployModel", str(error))
            return
        status = {"loadBalancer": {"ingress": [{"hostname": host}]}}
        tools.set_status(_INGRESSES, ingress, status)

    def _clean_up(self, tools: Tools, ingress: Obj) -> None:
        program = find_deployed(tools, _CONTROLLER)
        held = _FINALIZER in (ingress["metadata"].get("finalizers") or ())
        if not held or self._cloud is None or program is None:
            return
        try:
            self._cloud.remove_balancer(_balancer(program, ingress))
        except CloudError as error:
            record(tools.context, tools.writer, ingress, "FailedCleanUp", str(error))
            return
        changed = with_finalizers(ingress, remove=_FINALIZER)
        tools.writer.put_internal(tools.context.resource(_INGRESSES), changed)


def _controller_of(tools: Tools, ingress: Obj) -> str | None:
    """Return what the Ingress's class names as its controller, None when nobody is."""
    annotations = ingress["metadata"].get("annotations") or {}
    name = get(ingress, "spec", "ingressClassName") or annotations.get(_CLASS_ANNOTATION)
    for found in tools.context.store.all(_CLASSES):
        given = (found["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
        if found["metadata"]["name"] == name or (name is None and given):
            return str(get(found, "spec", "controller"))
    return None


def _address_of(tools: Tools, controller: str) -> list[Obj] | None:
    """Return the address of the Service whose app is named in ``controller``."""
    for service in tools.context.store.all(_SERVICES):
        labels = service["metadata"].get("labels") or {}
        app = labels.get("app.kubernetes.io/name") or labels.get("app")
        address: list[Obj] | None = get(service, "status", "loadBalancer", "ingress")
        if app and app in controller and address:
            return address
    return None


def _balancer(program: DeployedProgram, ingress: Obj) -> Balancer:
    metadata = ingress["metadata"]
    annotations = metadata.get("annotations") or {}
    which = f"{metadata['namespace']}/{metadata['name']}"
    cluster = program.option("cluster-name")
    internal = annotations.get(f"{_ANNOTATION}scheme") != "internet-facing"
    common = {
        **split_tags(program.option("default-tags")),
        **split_tags(annotations.get(f"{_ANNOTATION}tags", "")),
        "elbv2.k8s.aws/cluster": cluster,
        "ingress.k8s.aws/stack": which,
    }
    own = Group(
        name=controller_name(ingress, f"{cluster}{metadata['uid']}"),
        description="[k8s] Managed SecurityGroup for LoadBalancer",
        tags={**common, "ingress.k8s.aws/resource": "ManagedLBSecurityGroup"},
    )
    return Balancer(
        kind=APPLICATION,
        name=controller_name(ingress, f"{cluster}{metadata['uid']}{internal}"),
        internal=internal,
        ports=(443,),
        tags={**common, "ingress.k8s.aws/resource": "LoadBalancer"},
        groups=(own, backend_group(program)),
        targets={
            controller_name(ingress, f"{metadata['uid']}"): {
                **common,
                "ingress.k8s.aws/resource": f"{which}:http",
            }
        },
    )
