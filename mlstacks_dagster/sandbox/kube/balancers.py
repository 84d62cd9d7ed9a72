"""Services of type LoadBalancer: two controllers, as in a cluster of EKS.

Without the AWS Load Balancer Controller the cloud controller of EKS makes a classic load balancer
(or, by annotation, a network load balancer of its own making). Where the controller is deployed
it gets all new Services. Names, tags, security groups and finalizers are those of the real ones,
and so is that a Service can't go while the controller that has to clean up is missing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from .cloud import CLASSIC, NETWORK, Balancer, Cloud, CloudError, Group
from .controllers import Tools
from .deployed import DeployedProgram, find_deployed
from .events import record
from .objects import Obj, get, is_going, with_finalizers
from .resources import Resource

__all__ = ["ServiceController", "backend_group", "controller_name", "split_tags"]

_SERVICES = ("", "services")
_CONTROLLER = "aws-load-balancer-controller"
_CLASS = "service.k8s.aws/nlb"
_CLOUD_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_CONTROLLER_FINALIZER = "service.k8s.aws/resources"
_ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"
_RETRY_SECONDS = 1.0
_LOCAL_ADDRESS = "203.0.113.10"


class ServiceController:
    """Makes and removes the load balancers of one cluster's Services."""

    def __init__(self, cluster: str, cloud: Cloud | None) -> None:
        self._cluster = cluster
        self._cloud = cloud

    def admit(self, tools: Tools, resource: Resource, obj: Obj) -> None:
        """Give a new Service to the AWS Load Balancer Controller, where it is deployed."""
        spec = obj.get("spec") or {}
        if self._cloud is None or resource.key != _SERVICES or spec.get("type") != "LoadBalancer":
            return
        if "loadBalancerClass" not in spec and find_deployed(tools, _CONTROLLER):
            obj["spec"] = {**spec, "loadBalancerClass": _CLASS}

    def reconcile(self, tools: Tools, service: Obj) -> None:
        """Make the load balancer that a Service asks for, or remove the one that it had."""
        wanted = get(service, "spec", "type") == "LoadBalancer" and not is_going(service)
        if wanted:
            self._provide(tools, service)
        else:
            self._clean_up(tools, service)

    def _provide(self, tools: Tools, service: Obj) -> None:
        if self._cloud is None:
            self._set_address(tools, service, {"ip": _LOCAL_ADDRESS})
            return
        if get(service, "spec", "loadBalancerClass") not in (None, _CLASS):
            return
        finalizer, balancer = self._wanted(tools, service)
        if balancer is None:
            return
        if finalizer not in (service["metadata"].get("finalizers") or ()):
            service = _store(tools, with_finalizers(service, add=finalizer))
        try:
            host = self._cloud.ensure_balancer(balancer)
        except CloudError as error:
            self._try_again(tools, service, str(error))
            return
        self._set_address(tools, service, {"hostname": host})

    def _wanted(self, tools: Tools, service: Obj) -> tuple[str, Balancer | None]:
        """Return the finalizer and the load balancer of the controller that is responsible."""
        if get(service, "spec", "loadBalancerClass") != _CLASS:
            if _annotation(service, "type") in ("external", "nlb-ip"):
                return "", None
            return _CLOUD_FINALIZER, _clouds_own(self._cluster, service)
        program = find_deployed(tools, _CONTROLLER)
        if program is None:
            return "", None
        problem = self._permission_problem(program)
        if problem:
            self._try_again(tools, service, problem)
            return "", None
        return _CONTROLLER_FINALIZER, _controllers(program, service)

    def _permission_problem(self, program: DeployedProgram) -> str | None:
        if self._cloud is None or not program.role_arn:
            return None
        return self._cloud.role_problem(
            program.role_arn, program.namespace, program.service_account
        )

    def _clean_up(self, tools: Tools, service: Obj) -> None:
        finalizers = service["metadata"].get("finalizers") or ()
        for finalizer in (_CLOUD_FINALIZER, _CONTROLLER_FINALIZER):
            if finalizer in finalizers and self._removed(tools, service, finalizer):
                service = _store(tools, with_finalizers(service, remove=finalizer))

    def _removed(self, tools: Tools, service: Obj, finalizer: str) -> bool:
        if self._cloud is None:
            return True
        if finalizer == _CLOUD_FINALIZER:
            balancer = _clouds_own(self._cluster, service)
        else:
            program = find_deployed(tools, _CONTROLLER)
            if program is None:
                return False
            balancer = _controllers(program, service)
        try:
            self._cloud.remove_balancer(balancer)
        except CloudError as error:
            self._try_again(tools, service, str(error))
            return False
        return True

    def _try_again(self, tools: Tools, service: Obj, problem: str) -> None:
        record(tools.context, tools.writer, service, "FailedDeployModel", problem)
        key = (service["metadata"]["namespace"], service["metadata"]["name"])

        def again() -> None:
            found = tools.context.store.get(_SERVICES, key)
            if found is not None:
                self.reconcile(tools, found)

        tools.context.later(_RETRY_SECONDS, again)

    def _set_address(self, tools: Tools, service: Obj, address: dict[str, Any]) -> None:
        tools.set_status(_SERVICES, service, {"loadBalancer": {"ingress": [address]}})


def _annotation(service: Obj, name: str) -> str:
    found = (service["metadata"].get("annotations") or {}).get(_ANNOTATION + name, "")
    return str(found)


def _store(tools: Tools, service: Obj) -> Obj:
    return tools.writer.put_internal(tools.context.resource(_SERVICES), service)


def _ports(service: Obj) -> tuple[int, ...]:
    return tuple(port["port"] for port in service["spec"].get("ports") or ())


def split_tags(text: str) -> dict[str, str]:
    """Return the tags in ``a=b,c=d``."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _clouds_own(cluster: str, service: Obj) -> Balancer:
    """Return what the cloud controller of EKS makes."""
    metadata = service["metadata"]
    name = ("a" + metadata["uid"].replace("-", ""))[:32]
    which = f"{metadata['namespace']}/{metadata['name']}"
    tags = {
        **split_tags(_annotation(service, "additional-resource-tags")),
        f"kubernetes.io/cluster/{cluster}": "owned",
        "kubernetes.io/service-name": which,
    }
    internal = _annotation(service, "internal") in ("true", "0.0.0.0/0")
    if _annotation(service, "type") == "nlb":
        targets = {_short_hash(f"{name}{port}", 31): tags for port in _ports(service)}
        return Balancer(NETWORK, name, internal, _ports(service), tags, targets=targets)
    group = Group(
        name=f"k8s-elb-{name}",
        description=f"Security group for Kubernetes ELB {name} ({which})",
        tags={f"kubernetes.io/cluster/{cluster}": "owned"},
        reaches_nodes=True,
    )
    return Balancer(CLASSIC, name, internal, _ports(service), tags, groups=(group,))


def _controllers(program: DeployedProgram, service: Obj) -> Balancer:
    """Return what the AWS Load Balancer Controller makes."""
    metadata = service["metadata"]
    cluster = program.option("cluster-name")
    which = f"{metadata['namespace']}/{metadata['name']}"
    internal = _annotation(service, "scheme") != "internet-facing"
    scheme = "internal" if internal else "internet-facing"
    name = controller_name(service, f"{cluster}{metadata['uid']}{scheme}")
    common = {
        **split_tags(program.option("default-tags")),
        **split_tags(_annotation(service, "additional-resource-tags")),
        "elbv2.k8s.aws/cluster": cluster,
        "service.k8s.aws/stack": which,
    }
    subnets = tuple(filter(None, _annotation(service, "subnets").split(",")))
    own = Group(
        name=controller_name(service, f"{cluster}{metadata['uid']}"),
        description="[k8s] Managed SecurityGroup for LoadBalancer",
        tags={**common, "service.k8s.aws/resource": "ManagedLBSecurityGroup"},
    )
    return Balancer(
        kind=NETWORK,
        name=name,
        internal=internal,
        ports=_ports(service),
        tags={**common, "service.k8s.aws/resource": "LoadBalancer"},
        groups=(own, backend_group(program)),
        targets=dict(_targets(service, common)),
        subnets=subnets,
    )


def _targets(service: Obj, common: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    metadata = service["metadata"]
    which = f"{metadata['namespace']}/{metadata['name']}"
    for port in _ports(service):
        name = controller_name(service, f"{metadata['uid']}{port}")
        yield name, {**common, "service.k8s.aws/resource": f"{which}:{port}"}


def backend_group(program: DeployedProgram) -> Group:
    """Return the security group that all load balancers of the controller share."""
    cluster = program.option("cluster-name")
    plain = re.sub(r"[^A-Za-z0-9]", "", cluster)
    return Group(
        name=f"k8s-traffic-{plain}-{_short_hash(cluster, 10)}",
        description="[k8s] Shared Backend SecurityGroup for LoadBalancer",
        tags={
            **split_tags(program.option("default-tags")),
            "elbv2.k8s.aws/cluster": cluster,
            "elbv2.k8s.aws/resource": "backend-sg",
        },
        reaches_nodes=True,
    )


def controller_name(obj: Obj, hashed: str) -> str:
    """Return a name as the controller makes them: ``k8s-<namespace>-<name>-<hash>``."""
    plain = [
        re.sub(r"[^A-Za-z0-9]", "", obj["metadata"][part])[:8] for part in ("namespace", "name")
    ]
    return f"k8s-{plain[0]}-{plain[1]}-{_short_hash(hashed, 10)}"


def _short_hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
