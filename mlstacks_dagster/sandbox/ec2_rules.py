"""The rules by which AWS refuses to delete what is still in use, added to moto's EC2 and ELB.

moto deletes almost anything, so a teardown in the wrong order would pass against it and fail in
the cloud. :func:`enforce` puts a check before the delete calls, answering with the cloud's error
codes, and lets go afterwards of what moto forgets to release (a NAT gateway's interface).

moto makes no network interfaces for load balancers, EKS clusters and the homes of a SageMaker
domain; what they hold in the cloud (subnets, security groups, public addresses) is read from them.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend

__all__ = ["enforce"]

Check = Callable[..., None]

# moto's own description of the interfaces that it makes with an instance.
_PRIMARY = "Primary network interface"


@dataclass(frozen=True)
class _Holder:
    """Something outside EC2 that occupies parts of a network."""

    name: str
    subnets: frozenset[str]
    groups: frozenset[str]
    public_vpc: str | None


@functools.cache
def enforce() -> None:
    """Install the rules in this process; a second call changes nothing."""
    for backend, method, before, after in _RULES:
        setattr(backend, method, _guarded(getattr(backend, method), before, after))


def _guarded(
    original: Callable[..., Any], before: Check, after: Check | None
) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = dict(given.arguments)
        backend = arguments.pop("self")
        before(backend, **arguments)
        result = original(*args, **kwargs)
        if after is not None:
            after(backend, **arguments)
        return result

    return call


def _security_group(ec2: Any, name: str | None, group_id: str | None) -> None:
    wanted = group_id or name
    group = ec2.get_security_group_by_name_or_id(wanted) if wanted else None
    if group is None:
        return
    users = [eni.id for eni in _all(ec2.enis) if group.id in {g.id for g in eni.group_set}]
    users += [holder.name for holder in _holders(ec2) if group.id in holder.groups]
    users += [
        other.id
        for groups in _all(ec2.groups)
        for other in _all(groups)
        if other.id != group.id and group.id in _referenced(other)
    ]
    if users:
        raise DependencyViolationError(f"resource {group.id} has a dependent object")


def _subnet(ec2: Any, subnet_id: str) -> None:
    if any(eni.subnet.id == subnet_id for eni in _all(ec2.enis)) or any(
        subnet_id in holder.subnets for holder in _holders(ec2)
    ):
        raise DependencyViolationError(
            f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
        )


def _after_subnet(ec2: Any, subnet_id: str) -> None:
    for table in _all(ec2.route_tables):
        for association, subnet in list(table._associations.items()):
            if subnet == subnet_id:
                del table._associations[association]


def _vpc(ec2: Any, vpc_id: str) -> None:
    gateways = (g for g in _all(ec2.internet_gateways) if g.vpc and g.vpc.id == vpc_id)
    groups = (g for g in _all(ec2.groups.get(vpc_id, {})) if not g.is_default)
    acls = (a for a in _all(ec2.network_acls) if a.vpc_id == vpc_id and not a.default)
    endpoints = (e for e in _all(ec2.vpc_end_points) if e.vpc_id == vpc_id and e.state != "deleted")
    if any(True for things in (gateways, groups, acls, endpoints) for _ in things):
        raise DependencyViolationError(
            f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
        )


def _after_vpc(ec2: Any, vpc_id: str) -> None:
    for acl in _all(ec2.network_acls):
        if acl.vpc_id == vpc_id:
            del ec2.network_acls[acl.id]


def _detach_gateway(ec2: Any, internet_gateway_id: str, vpc_id: str) -> None:
    del internet_gateway_id
    mapped = any(eni.public_ip and eni.vpc_id == vpc_id for eni in _all(ec2.enis))
    if mapped or any(holder.public_vpc == vpc_id for holder in _holders(ec2)):
        raise DependencyViolationError(
            f"Network {vpc_id} has some mapped public address(es). Please unmap those public "
            "address(es) before detaching the gateway."
        )


def _release_address(ec2: Any, address: str | None, allocation_id: str | None) -> None:
    for eip in _all_addresses(ec2, address, allocation_id):
        if eip.association_id or eip.eni:
            raise EC2ClientError(
                "InvalidIPAddress.InUse", f"Address {eip.public_ip} is in use and can't be released"
            )


def _disassociate_address(ec2: Any, address: str | None, association_id: str | None) -> None:
    held = {nat._eni.id for nat in _live_nats(ec2)}
    for eip in _all(ec2.addresses):
        asked = eip.public_ip == address or (
            association_id and eip.association_id == association_id
        )
        if asked and eip.eni and eip.eni.id in held:
            raise EC2ClientError(
                "AuthFailure", "You do not have permission to access the specified resource."
            )


def _network_interface(ec2: Any, eni_id: str) -> None:
    if eni_id in {nat._eni.id for nat in _live_nats(ec2)}:
        raise EC2ClientError(
            "InvalidParameterValue", f"Network interface '{eni_id}' is currently in use."
        )


def _nat_gateway(ec2: Any, nat_gateway_id: str) -> None:
    if nat_gateway_id not in ec2.nat_gateways:
        raise EC2ClientError(
            "NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found"
        )


def _after_nat_gateway(ec2: Any, nat_gateway_id: str) -> None:
    eni = ec2.nat_gateways[nat_gateway_id]._eni
    for eip in _all(ec2.addresses):
        if eip.eni is eni:
            ec2.disassociate_address(address=eip.public_ip)
    ec2.enis.pop(eni.id, None)


def _unchecked(ec2: Any, **_: Any) -> None:
    """Let the call through."""


def _after_instances(ec2: Any, instance_ids: list[str]) -> None:
    """Interfaces made with an instance go with it; those attached later stay."""
    for eni in _all(ec2.enis):
        made_with_it = eni.description == _PRIMARY
        if made_with_it and eni.instance and eni.instance.id in instance_ids:
            ec2.enis.pop(eni.id, None)


def _load_balancer(elb: Any, arn: str) -> None:
    balancer = elb.load_balancers.get(arn)
    if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
        raise ELBClientError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )


def _all(things: Any) -> list[Any]:
    """Copy at once: other requests change moto's collections meanwhile."""
    return list(things.values()) if isinstance(things, dict) else list(things)


def _all_addresses(ec2: Any, address: str | None, allocation_id: str | None) -> list[Any]:
    return [
        eip
        for eip in _all(ec2.addresses)
        if (address and eip.public_ip == address)
        or (allocation_id and eip.allocation_id == allocation_id)
    ]


def _live_nats(ec2: Any) -> list[Any]:
    return [nat for nat in _all(ec2.nat_gateways) if nat.state != "deleted"]


def _referenced(group: Any) -> set[str | None]:
    rules = [*group.ingress_rules, *group.egress_rules]
    return {rule.source_group.get("GroupId") for rule in rules}


def _holders(ec2: Any) -> Iterator[_Holder]:
    for service in ("elb", "elbv2"):
        for lb in _all(getattr(_sibling(ec2, service), "load_balancers", {})):
            subnets = frozenset(getattr(subnet, "id", subnet) for subnet in lb.subnets)
            public = None if lb.scheme == "internal" else lb.vpc_id
            yield _Holder(lb.name, subnets, frozenset(lb.security_groups or ()), public)
    for cluster in _all(getattr(_sibling(ec2, "eks"), "clusters", {})):
        network = cluster.resources_vpc_config or {}
        yield _Holder(
            cluster.name,
            frozenset(network.get("subnetIds") or ()),
            frozenset(network.get("securityGroupIds") or ()),
            None,
        )
        for nodes in _all(cluster.nodegroups):
            yield _Holder(nodes.nodegroup_name, frozenset(nodes.subnets or ()), frozenset(), None)
    for domain in _all(getattr(_sibling(ec2, "sagemaker"), "domains", {})):
        if domain.status != "Deleting":  # its homes go first
            yield _Holder(domain.id, frozenset(domain.subnet_ids or ()), frozenset(), None)


def _sibling(ec2: Any, service: str) -> Any:
    """Return another service's backend of the same account and region, None if never used."""
    models = sys.modules.get(f"moto.{service}.models")
    if models is None:
        return None
    return getattr(models, f"{service}_backends")[ec2.account_id][ec2.region_name]


_RULES: tuple[tuple[type, str, Check, Check | None], ...] = (
    (EC2Backend, "delete_security_group", _security_group, None),
    (EC2Backend, "delete_subnet", _subnet, _after_subnet),
    (EC2Backend, "delete_vpc", _vpc, _after_vpc),
    (EC2Backend, "detach_internet_gateway", _detach_gateway, None),
    (EC2Backend, "release_address", _release_address, None),
    (EC2Backend, "disassociate_address", _disassociate_address, None),
    (EC2Backend, "delete_network_interface", _network_interface, None),
    (EC2Backend, "terminate_instances", _unchecked, _after_instances),
    (EC2Backend, "delete_nat_gateway", _nat_gateway, _after_nat_gateway),
    (ELBv2Backend, "delete_load_balancer", _load_balancer, None),
)
