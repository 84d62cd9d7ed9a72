"""What a cluster that exists gives to units, in place of the units that would make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.helm_contract import CLUSTER
from mlstacks_dagster.catalog.models import Requirement, UnitDefinition
from mlstacks_dagster.errors import Problem
from mlstacks_dagster.spec.models import ClusterLocation, Stack
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["CONTEXT", "ExistingCluster"]

CONTEXT = "kubernetes_context"
"""The key of a cluster's capability with the name that people's kubeconfig gives it."""

_FIELDS = {
    "cluster_name": "name",
    "cluster_arn": "arn",
    "oidc_provider_arn": "oidc_provider_arn",
    "oidc_issuer": "oidc_issuer",
    "node_role_name": "node_role_name",
    "node_role_arn": "node_role_arn",
    CONTEXT: "context",
}
_ASKED = {**_FIELDS, "oidc_issuer": "oidc_provider_arn"}  # which tells the issuer too
_EKS = "`aws eks describe-cluster --name NAME` tells it"
_NODES = "`aws eks describe-nodegroup` tells the nodes' role"
_HOW = {
    "name": _EKS,
    "arn": _EKS,
    "oidc_provider_arn": "`aws iam list-open-id-connect-providers` tells it: the one that ends like"
    " identity.oidc.issuer of `aws eks describe-cluster --name NAME`",
    "node_role_name": _NODES,
    "node_role_arn": _NODES,
    "context": "`kubectl config get-contexts` tells it",
}


class ExistingCluster:
    """The cluster that a stack names, if it names one, as a provider of capabilities.

    It stands in for the cluster and for what ``cluster.has`` lists. What units need of it and
    it doesn't tell is collected, and reported once by :meth:`problems`.
    """

    def __init__(self, stack: Stack, catalog: Catalog) -> None:
        self._stack = stack
        self._units = catalog.base_units(stack.provider)
        self._given = _given(stack.options.cluster)
        self._missing: dict[tuple[str, str], list[str]] = {}
        self._unwelcome: dict[tuple[str, str], Requirement] = {}

    def provides(self, capability: str) -> bool:
        """Tell whether the cluster has the capability, so that no unit is needed for it."""
        return capability in self._given

    def values(
        self, unit: UnitDefinition, requirement: Requirement, *, hard: bool
    ) -> dict[str, str]:
        """Return the values of the inputs that ``requirement`` binds.

        A value that isn't known is left out; for a hard requirement it becomes a problem.
        """
        known = self._given[requirement.capability]
        found: dict[str, str] = {}
        for variable, key in requirement.bind.items():
            if key in known:
                found[variable] = known[key]
            elif hard or requirement.capability != CLUSTER:
                asked = _ASKED.get(key, key) if requirement.capability == CLUSTER else key
                users = self._missing.setdefault((requirement.capability, asked), [])
                users.append(unit.name)
        return found

    def welcomes(self, provider: UnitDefinition, requirement: Requirement) -> bool:
        """Tell whether ``provider`` may be installed; if not, that becomes a problem.

        What drains the whole cluster when it goes would take what others run there.
        """
        if self.provides(CLUSTER) and provider.teardown.drain:
            self._unwelcome[provider.name, requirement.capability] = requirement
            return False
        return True

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with what the stack says of its cluster."""
        yield from self._wrong_has()
        for (capability, key), users in sorted(self._missing.items()):
            yield self._missing_key(capability, key, sorted(set(users)))
        for (name, capability), requirement in sorted(self._unwelcome.items()):
            keys = ", ".join(f"{key}: ..." for key in sorted(set(requirement.bind.values())))
            yield self._stack.source.problem(
                f"{name} isn't installed into a cluster that this stack didn't make: it would"
                " disturb one that is there, and its teardown drains the whole cluster",
                "cluster",
                remedy=f"install one, and say so: `cluster: {{has: {{{capability}: {{{keys}}}}}}}`",
            )

    def _missing_key(self, capability: str, key: str, users: Iterable[str]) -> Problem:
        if capability == CLUSTER and key in _HOW:
            remedy = f"add `cluster: {{{key}: ...}}`; {_HOW[key]}"
        else:
            remedy = f"add `cluster: {{has: {{{capability}: {{{key}: ...}}}}}}`"
        at = ("has", capability) if capability in self._has else ()
        what = "the existing cluster" if capability == CLUSTER else f"the cluster's {capability}"
        text = f"{key} of {what} isn't given; it is needed for {', '.join(users)}"
        return self._stack.source.problem(text, "cluster", *at, remedy=remedy)

    @property
    def _has(self) -> Mapping[str, Mapping[str, str]]:
        cluster = self._stack.options.cluster
        return cluster.has if cluster is not None else {}

    def _wrong_has(self) -> Iterator[Problem]:
        keys = self._capabilities()
        for capability, values in self._has.items():
            at = ("cluster", "has", capability)
            if capability not in keys:
                yield self._stack.source.problem(
                    f"no base unit on {self._stack.provider} provides {capability}",
                    *at,
                    remedy=did_you_mean(capability, keys),
                )
                continue
            known = keys[capability] - (set(_FIELDS) if capability == CLUSTER else set())
            for key in values:
                if key not in known:
                    field = _FIELDS.get(key) if capability == CLUSTER else None
                    yield self._stack.source.problem(
                        f"{capability} has no key {key} here",
                        *at,
                        key,
                        remedy=f"write `cluster: {{{field}: ...}}`"
                        if field
                        else did_you_mean(key, known) or "remove the key",
                    )

    def _capabilities(self) -> dict[str, set[str]]:
        """Return the keys of each capability that base units of the stack's provider have."""
        found: dict[str, set[str]] = {CLUSTER: set()}
        for unit in self._units:
            for provision in unit.provides:
                found.setdefault(provision.capability, set()).update(provision.outputs)
        return found


def _given(cluster: ClusterLocation | None) -> dict[str, dict[str, str]]:
    if cluster is None:
        return {}
    given = {capability: dict(keys) for capability, keys in cluster.has.items()}
    told = {key: getattr(cluster, field) for key, field in _FIELDS.items()}
    own = {key: str(value) for key, value in told.items() if value is not None}
    return {**given, CLUSTER: {**given.get(CLUSTER, {}), **own}}
