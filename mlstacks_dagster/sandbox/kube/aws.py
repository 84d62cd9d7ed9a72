"""The emulated AWS around an EKS cluster, reached through moto's own objects in this process.

What is made here looks as if the cluster's controllers had called the AWS API; it belongs to
moto, and stays there when the cluster goes.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
from collections.abc import Iterator
from typing import Any

from .cloud import CLASSIC, Balancer, CloudError, Group, Volume

__all__ = ["AwsCloud"]

_ROLE_TAG = {False: "kubernetes.io/role/elb", True: "kubernetes.io/role/internal-elb"}
_CLUSTER_TAG = "kubernetes.io/cluster/"
_WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


class AwsCloud:
    """The network and the services around one of moto's EKS clusters."""

    def __init__(self, cluster: Any, account_id: str, region: str) -> None:
        self._cluster = cluster
        self._account_id = account_id
        self._region = region

    def _backend(self, service: str, region: str | None = None) -> Any:
        backends = importlib.import_module("moto.backends")  # only once moto is needed
        return backends.get_backend(service)[self._account_id][region or self._region]

    def ensure_balancer(self, balancer: Balancer) -> str:
        """Make a load balancer unless it is there; return its host name."""
        try:
            if balancer.kind == CLASSIC:
                return self._ensure_classic(balancer)
            return self._ensure_elbv2(balancer)
        except CloudError:
            raise
        except Exception as error:  # each service of moto has exceptions of its own
            raise CloudError(f"{type(error).__name__}: {error}") from error

    def _ensure_classic(self, balancer: Balancer) -> str:
        elb = self._backend("elb")
        found = elb.load_balancers.get(balancer.name)
        if found is None:
            subnets = self._subnets(balancer)
            ports = [
                {
                    "protocol": "TCP",
                    "load_balancer_port": port,
                    "instance_port": port,
                    "ssl_certificate_id": None,
                }
                for port in balancer.ports
            ]
            found = elb.create_load_balancer(
                name=balancer.name,
                zones=[],
                ports=ports,
                scheme="internal" if balancer.internal else "internet-facing",
                subnets=[subnet.id for subnet in subnets],
                security_groups=[self._group(group).id for group in balancer.groups],
            )
            # Past moto's limit of ten, which AWS has raised; and its host name is always in
            # another region.
            found.tags.update(balancer.tags)
            found.dns_name = f"{balancer.name}.{self._region}.elb.amazonaws.com"
        return str(found.dns_name)

    def _ensure_elbv2(self, balancer: Balancer) -> str:
        elb = self._backend("elbv2")
        for found in list(elb.load_balancers.values()):
            if found.name == balancer.name:
                return str(found.dns_name)
        tags = _tag_list(balancer.tags)
        made = elb.create_load_balancer(
            name=balancer.name,
            security_groups=[self._group(group).id for group in balancer.groups],
            subnet_ids=[subnet.id for subnet in self._subnets(balancer)],
            scheme="internal" if balancer.internal else "internet-facing",
            loadbalancer_type=balancer.kind,
            tags=tags,
        )
        vpc_id = self._vpc_id()
        for name, target_tags in balancer.targets.items():
            elb.create_target_group(
                name,
                protocol="TCP" if balancer.kind == "network" else "HTTP",
                port="80",
                vpc_id=vpc_id,
                target_type="instance",
                tags=_tag_list(target_tags),
            )
        return str(made.dns_name)

    def remove_balancer(self, balancer: Balancer) -> None:
        """Remove a load balancer with its groups and target groups."""
        try:
            if balancer.kind == CLASSIC:
                self._backend("elb").delete_load_balancer(balancer.name)
            else:
                self._remove_elbv2(balancer)
            for group in balancer.groups:
                self.remove_group(group.name)
        except Exception as error:
            raise CloudError(f"{type(error).__name__}: {error}") from error

    def _remove_elbv2(self, balancer: Balancer) -> None:
        elb = self._backend("elbv2")
        for arn, found in list(elb.load_balancers.items()):
            if found.name == balancer.name:
                elb.delete_load_balancer(arn)
        for arn, target in list(elb.target_groups.items()):
            if target.name in balancer.targets:
                elb.delete_target_group(arn)

    def remove_group(self, name: str) -> None:
        """Remove a security group, if it is there and no load balancer uses it."""
        found = self._find_group(name)
        if found is None or found.id in self._groups_in_use():
            return
        for nodes in self._node_groups():
            nodes.ingress_rules = [
                rule for rule in nodes.ingress_rules if rule.source_group.get("GroupId") != found.id
            ]
        self._backend("ec2").delete_security_group(group_id=found.id)

    def _groups_in_use(self) -> set[str]:
        return {
            group
            for service in ("elb", "elbv2")
            for found in list(self._backend(service).load_balancers.values())
            for group in found.security_groups or ()
        }

    def _group(self, group: Group) -> Any:
        found = self._find_group(group.name)
        if found is not None:
            return found
        ec2 = self._backend("ec2")
        made = ec2.create_security_group(
            group.name, group.description, vpc_id=self._vpc_id(), tags=dict(group.tags)
        )
        made.add_tags(dict(group.tags))
        if group.reaches_nodes:
            for nodes in self._node_groups():
                ec2.authorize_security_group_ingress(
                    group_name_or_id=nodes.id,
                    ip_protocol="-1",
                    from_port=None,
                    to_port=None,
                    ip_ranges=[],
                    source_groups=[{"GroupId": made.id}],
                )
        return made

    def _find_group(self, name: str) -> Any:
        groups = self._backend("ec2").groups.get(self._vpc_id(), {})
        return next((group for group in list(groups.values()) if group.name == name), None)

    def _node_groups(self) -> Iterator[Any]:
        """Yield the security groups that belong to the cluster's nodes."""
        tag = f"{_CLUSTER_TAG}{self._cluster.name}"
        for group in list(self._backend("ec2").groups.get(self._vpc_id(), {}).values()):
            if tag in _tags_of(group) and not group.name.startswith("k8s-"):
                yield group

    def _vpc_id(self) -> str:
        subnets = (self._cluster.resources_vpc_config or {}).get("subnetIds") or ()
        for subnet_id in subnets:
            return str(self._backend("ec2").get_subnet(subnet_id).vpc_id)
        raise CloudError("the cluster is in no subnet")

    def _subnets(self, balancer: Balancer) -> list[Any]:
        """Return one subnet of each zone that is marked for load balancers of this kind."""
        ec2, vpc_id = self._backend("ec2"), self._vpc_id()
        if balancer.subnets:
            return [ec2.get_subnet(subnet_id) for subnet_id in balancer.subnets]
        role = _ROLE_TAG[balancer.internal]
        zones: dict[str, Any] = {}
        for subnet in sorted(_all_subnets(ec2), key=lambda subnet: str(subnet.id)):
            tags = _tags_of(subnet)
            if subnet.vpc_id == vpc_id and tags.get(role) in ("1", "") and self._is_ours(tags):
                zones.setdefault(subnet.availability_zone, subnet)
        if not zones:
            raise CloudError(
                "couldn't auto-discover subnets: unable to resolve at least one subnet "
                f"(no subnet of {vpc_id} has the tag {role})"
            )
        return list(zones.values())

    def _is_ours(self, tags: dict[str, str]) -> bool:
        clusters = [key for key in tags if key.startswith(_CLUSTER_TAG)]
        return not clusters or f"{_CLUSTER_TAG}{self._cluster.name}" in clusters

    def create_volume(self, volume: Volume) -> tuple[str, str]:
        """Make a volume in a zone of the cluster; return its id and that zone."""
        ec2 = self._backend("ec2")
        try:
            subnets = list((self._cluster.resources_vpc_config or {}).get("subnetIds") or ())
            zone = ec2.get_subnet(subnets[0]).availability_zone
            made = ec2.create_volume(
                size=volume.gibibytes,
                zone_name=zone,
                volume_type=volume.kind,
                encrypted=volume.encrypted,
            )
            made.add_tags(dict(volume.tags))
        except Exception as error:
            raise CloudError(f"{type(error).__name__}: {error}") from error
        return str(made.id), str(zone)

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume, if it is there."""
        ec2 = self._backend("ec2")
        try:
            if volume_id in ec2.volumes:
                ec2.delete_volume(volume_id)
        except Exception as error:
            raise CloudError(f"{type(error).__name__}: {error}") from error

    def role_problem(self, role_arn: str, namespace: str, account: str) -> str | None:
        """Say why a service account can't take a role: no such role, or it doesn't trust it."""
        iam = self._backend("iam", "aws")
        role = next((r for r in list(iam.roles.values()) if r.arn == role_arn), None)
        refused = f"AccessDenied: not authorized to perform {_WEB_IDENTITY} on {role_arn}"
        if role is None:
            return f"{refused}: there is no such role"
        issuer = self._cluster.identity["oidc"]["issuer"].removeprefix("https://")
        subject = f"system:serviceaccount:{namespace}:{account}"
        if not _trusts(role.assume_role_policy_document, issuer, subject):
            return f"{refused}: it doesn't trust {subject} of {issuer}"
        return None


def _trusts(policy: Any, issuer: str, subject: str) -> bool:
    document = json.loads(policy) if isinstance(policy, str) else policy
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        provider = (statement.get("Principal") or {}).get("Federated", "")
        if statement.get("Effect") != "Allow" or not str(provider).endswith(f"/{issuer}"):
            continue
        conditions = statement.get("Condition") or {}
        subjects = [
            value
            for operator, tests in conditions.items()
            if operator.startswith("String")
            for key, value in tests.items()
            if key == f"{issuer}:sub"
        ]
        if all(_allows(value, subject) for value in subjects):
            return True
    return False


def _allows(wanted: Any, subject: str) -> bool:
    values = wanted if isinstance(wanted, list) else [wanted]
    return any(fnmatch.fnmatchcase(subject, value) for value in values)


def _all_subnets(ec2: Any) -> list[Any]:
    return [subnet for zone in list(ec2.subnets.values()) for subnet in list(zone.values())]


def _tags_of(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


def _tag_list(tags: Any) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
