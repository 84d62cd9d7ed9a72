"""The kinds that the emulated API serves: a table of the built-in ones, and those of CRDs.

Objects are stored by group and plural, whatever the version they came in; they are not converted
between versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Resource", "ResourceTable", "builtin_resources", "crd_resources"]

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind in one version.

    ``schema`` is the OpenAPI schema of a custom resource; built-in kinds have theirs elsewhere.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[str, ...] = ()
    custom: bool = False
    storage: bool = True
    schema: dict[str, Any] | None = field(default=None, hash=False, compare=False)

    @property
    def api_version(self) -> str:
        """The value of ``apiVersion`` in its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        """The collection that its objects are kept in: group and plural."""
        return self.group, self.plural

    @property
    def has_status(self) -> bool:
        """Whether the status is written apart from the rest."""
        return "status" in self.subresources


class ResourceTable:
    """All resources that one cluster serves at the moment."""

    def __init__(self) -> None:
        self._resources = {(r.group, r.version, r.plural): r for r in builtin_resources()}

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._resources.values()))

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a URL, None when it isn't served."""
        return self._resources.get((group, version, plural))

    def of_key(self, key: tuple[str, str]) -> Resource | None:
        """Return the storage version of a collection, else any version of it."""
        found = [r for r in self._resources.values() if r.key == key]
        return next((r for r in found if r.storage), found[0] if found else None)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of an object's ``apiVersion`` and ``kind``."""
        for resource in self._resources.values():
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        return None

    def versions(self) -> dict[str, list[str]]:
        """Return the served versions of each group, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in self._resources.values():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return {group: sorted(versions, key=_version_rank) for group, versions in found.items()}

    def serve(self, crd: dict[str, Any]) -> None:
        """Serve the kinds of a CustomResourceDefinition, in place of what it said before."""
        self.forget(crd)
        for resource in crd_resources(crd):
            self._resources[resource.group, resource.version, resource.plural] = resource

    def forget(self, crd: dict[str, Any]) -> None:
        """Serve the kinds of a CustomResourceDefinition no longer."""
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        for name, resource in list(self._resources.items()):
            if resource.custom and resource.key == key:
                del self._resources[name]


def crd_resources(crd: dict[str, Any]) -> list[Resource]:
    """Return one resource for each served version of a CustomResourceDefinition."""
    spec, names = crd["spec"], crd["spec"]["names"]
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(version.get("subresources") or ()),
            custom=True,
            storage=bool(version.get("storage")),
            schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        )
        for version in spec["versions"]
        if version.get("served", True)
    ]


def builtin_resources() -> list[Resource]:
    """Return the resources of :data:`_TABLE`."""
    found = []
    group = version = ""
    for line in _TABLE.splitlines():
        words = line.split()
        if len(words) == 1:
            group, _, version = words[0].rpartition("/")
        elif words:
            found.append(_resource(group, version, words))
    return found


def _resource(group: str, version: str, words: list[str]) -> Resource:
    plural, kind, scope, *options = words
    given = dict(option.split("=") for option in options)
    listed = {name: tuple(value.split(",")) for name, value in given.items()}
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=scope == "namespaced",
        singular=kind.lower(),
        short_names=listed.get("short", ()),
        categories=listed.get("in", ()),
        verbs=listed.get("verbs", _ALL_VERBS),
        subresources=listed.get("sub", ()),
        storage=given.get("stored") != "no",
    )


def _version_rank(version: str) -> tuple[int, int, int]:
    """Order versions as Kubernetes does: v2, v1, v1beta2, v1beta1, v1alpha1."""
    for level, word in enumerate(("beta", "alpha"), start=1):
        major, found, minor = version.removeprefix("v").partition(word)
        if found and major.isdigit():
            return level, -int(major), -int(minor or 0)
    number = version.removeprefix("v")
    return (0, -int(number), 0) if number.isdigit() else (3, 0, 0)


_TABLE = """
v1
bindings Binding namespaced verbs=create
configmaps ConfigMap namespaced short=cm
endpoints Endpoints namespaced short=ep
events Event namespaced short=ev
limitranges LimitRange namespaced short=limits
namespaces Namespace cluster short=ns sub=status,finalize
nodes Node cluster short=no sub=status
persistentvolumeclaims PersistentVolumeClaim namespaced short=pvc sub=status
persistentvolumes PersistentVolume cluster short=pv sub=status
pods Pod namespaced short=po in=all sub=status,log,eviction,binding,exec,portforward,attach,proxy
podtemplates PodTemplate namespaced
replicationcontrollers ReplicationController namespaced short=rc in=all sub=status,scale
resourcequotas ResourceQuota namespaced short=quota sub=status
secrets Secret namespaced
serviceaccounts ServiceAccount namespaced short=sa sub=token
services Service namespaced short=svc in=all sub=status,proxy

admissionregistration.k8s.io/v1
mutatingwebhookconfigurations MutatingWebhookConfiguration cluster in=api-extensions
validatingwebhookconfigurations ValidatingWebhookConfiguration cluster in=api-extensions
validatingadmissionpolicies ValidatingAdmissionPolicy cluster in=api-extensions sub=status
validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding cluster in=api-extensions

apiextensions.k8s.io/v1
customresourcedefinitions CustomResourceDefinition cluster short=crd,crds sub=status

apiregistration.k8s.io/v1
apiservices APIService cluster in=api-extensions sub=status

apps/v1
controllerrevisions ControllerRevision namespaced
daemonsets DaemonSet namespaced short=ds in=all sub=status
deployments Deployment namespaced short=deploy in=all sub=status,scale
replicasets ReplicaSet namespaced short=rs in=all sub=status,scale
statefulsets StatefulSet namespaced short=sts in=all sub=status,scale

authentication.k8s.io/v1
selfsubjectreviews SelfSubjectReview cluster verbs=create
tokenreviews TokenReview cluster verbs=create

authorization.k8s.io/v1
localsubjectaccessreviews LocalSubjectAccessReview namespaced verbs=create
selfsubjectaccessreviews SelfSubjectAccessReview cluster verbs=create
selfsubjectrulesreviews SelfSubjectRulesReview cluster verbs=create
subjectaccessreviews SubjectAccessReview cluster verbs=create

autoscaling/v2
horizontalpodautoscalers HorizontalPodAutoscaler namespaced short=hpa in=all sub=status

autoscaling/v1
horizontalpodautoscalers HorizontalPodAutoscaler namespaced short=hpa in=all sub=status stored=no

batch/v1
cronjobs CronJob namespaced short=cj in=all sub=status
jobs Job namespaced in=all sub=status

certificates.k8s.io/v1
certificatesigningrequests CertificateSigningRequest cluster short=csr sub=status,approval

coordination.k8s.io/v1
leases Lease namespaced

discovery.k8s.io/v1
endpointslices EndpointSlice namespaced

flowcontrol.apiserver.k8s.io/v1
flowschemas FlowSchema cluster sub=status
prioritylevelconfigurations PriorityLevelConfiguration cluster sub=status

networking.k8s.io/v1
ingressclasses IngressClass cluster
ingresses Ingress namespaced short=ing sub=status
networkpolicies NetworkPolicy namespaced short=netpol

node.k8s.io/v1
runtimeclasses RuntimeClass cluster

policy/v1
poddisruptionbudgets PodDisruptionBudget namespaced short=pdb sub=status

rbac.authorization.k8s.io/v1
clusterrolebindings ClusterRoleBinding cluster
clusterroles ClusterRole cluster
rolebindings RoleBinding namespaced
roles Role namespaced

scheduling.k8s.io/v1
priorityclasses PriorityClass cluster short=pc

storage.k8s.io/v1
csidrivers CSIDriver cluster
csinodes CSINode cluster
csistoragecapacities CSIStorageCapacity namespaced
storageclasses StorageClass cluster short=sc
volumeattachments VolumeAttachment cluster sub=status
"""
