"""Claims and volumes: bound by a storage class, backed by a volume of the cloud, and reclaimed.

``WaitForFirstConsumer`` waits for a pod; a claim stays while a pod uses it; a volume of a CSI
driver is neither made nor deleted while the driver isn't deployed.
"""

from __future__ import annotations

import re

from .balancers import split_tags
from .cloud import Cloud, CloudError, Volume
from .controllers import Tools
from .deployed import DeployedProgram, find_deployed
from .events import record
from .objects import Obj, get, is_going, key_of, with_finalizers
from .pod_needs import claims_of
from .resources import Resource

__all__ = ["VolumeController", "gibibytes"]

_CLAIMS = ("", "persistentvolumeclaims")
_VOLUMES = ("", "persistentvolumes")
_CLASSES = ("storage.k8s.io", "storageclasses")
_PODS = ("", "pods")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
_VOLUME_PROTECTION = "kubernetes.io/pv-protection"
_DRIVER = "ebs.csi.aws.com"
_DRIVERS = {_DRIVER: "ebs-csi-controller", "kubernetes.io/aws-ebs": "ebs-csi-controller"}
_RETRY_SECONDS = 1.0
_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def gibibytes(quantity: str) -> int:
    """Return a quantity such as ``8Gi`` in whole GiB, rounded up, at least one."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki)?", str(quantity))
    if found is None:
        return 1
    size = float(found[1]) * _UNITS[found[2] or ""]
    return max(1, -int(-size // 2**30))


class VolumeController:
    """Binds the claims of one cluster."""

    def __init__(self, cloud: Cloud | None) -> None:
        self._cloud = cloud

    def admit(self, tools: Tools, resource: Resource, obj: Obj) -> None:
        """Give a new claim the default storage class, where it names none."""
        if resource.key != _CLAIMS or "storageClassName" in (obj.get("spec") or {}):
            return
        for storage_class in tools.context.store.all(_CLASSES):
            annotations = storage_class["metadata"].get("annotations") or {}
            if annotations.get(_DEFAULT_CLASS) == "true":
                obj["spec"] = {**obj["spec"], "storageClassName": storage_class["metadata"]["name"]}

    def reconcile_claim(self, tools: Tools, claim: Obj) -> None:
        """Bind a claim, or let it go once no pod uses it."""
        users = _users(tools, claim)
        if is_going(claim):
            if not users:
                _drop_finalizer(tools, _CLAIMS, claim, _CLAIM_PROTECTION)
            return
        if get(claim, "status", "phase") == "Bound":
            return
        volume = self._volume_for(tools, claim, bool(users))
        if volume is None:
            tools.set_status(_CLAIMS, claim, {"phase": "Pending"})
            return
        name = volume["metadata"]["name"]
        bound = {**claim, "spec": {**claim["spec"], "volumeName": name}}
        stored = tools.writer.put_internal(tools.context.resource(_CLAIMS), bound)
        status = {
            "phase": "Bound",
            "accessModes": claim["spec"].get("accessModes", []),
            "capacity": volume["spec"]["capacity"],
        }
        tools.set_status(_CLAIMS, stored, status)

    def _volume_for(self, tools: Tools, claim: Obj, used: bool) -> Obj | None:
        name = f"pvc-{claim['metadata']['uid']}"
        found = tools.context.store.get(_VOLUMES, (None, name))
        if found is not None:
            return found
        storage_class = self._class_of(tools, claim)
        if storage_class is None:
            return None
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not used:
            text = "waiting for first consumer to be created before binding"
            record(tools.context, tools.writer, claim, "WaitForFirstConsumer", text, warning=False)
            return None
        source = self._source(tools, claim, storage_class, name)
        if source is None:
            return None
        return tools.writer.put_internal(
            tools.context.resource(_VOLUMES), _volume(claim, storage_class, name, source)
        )

    def _class_of(self, tools: Tools, claim: Obj) -> Obj | None:
        name = claim["spec"].get("storageClassName")
        found = tools.context.store.get(_CLASSES, (None, name)) if name else None
        if found is None:
            text = (
                f'storageclass.storage.k8s.io "{name}" not found'
                if name
                else "no persistent volumes available for this claim and no storage class is set"
            )
            record(tools.context, tools.writer, claim, "FailedBinding", text)
        return found

    def _source(self, tools: Tools, claim: Obj, storage_class: Obj, name: str) -> Obj | None:
        """Return the part of a volume's spec that says where it is; None: not yet."""
        driver = _DRIVERS.get(storage_class["provisioner"])
        if self._cloud is None or driver is None:
            return {"hostPath": {"path": f"/emulated/{name}"}}
        program = find_deployed(tools, driver)
        if program is None:
            text = (
                f"Waiting for a volume to be created by the external provisioner '{_DRIVER}', "
                "which is not deployed"
            )
            record(tools.context, tools.writer, claim, "ExternalProvisioning", text, warning=False)
            return None
        try:
            volume_id, zone = self._create(program, claim, storage_class, name)
        except CloudError as error:
            record(tools.context, tools.writer, claim, "ProvisioningFailed", str(error))
            tools.context.later(_RETRY_SECONDS, lambda: self._again(tools, claim))
            return None
        affinity = {"key": "topology.ebs.csi.aws.com/zone", "operator": "In", "values": [zone]}
        return {
            "csi": {"driver": _DRIVER, "volumeHandle": volume_id, "fsType": "ext4"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
        }

    def _create(
        self, program: DeployedProgram, claim: Obj, storage_class: Obj, name: str
    ) -> tuple[str, str]:
        if self._cloud is None:
            raise CloudError("there is no cloud")
        if program.role_arn:
            problem = self._cloud.role_problem(
                program.role_arn, program.namespace, program.service_account
            )
            if problem:
                raise CloudError(problem)
        parameters = storage_class.get("parameters") or {}
        size = get(claim, "spec", "resources", "requests", "storage") or "1Gi"
        volume = Volume(
            gibibytes=gibibytes(size),
            kind=parameters.get("type", "gp3"),
            encrypted=parameters.get("encrypted") == "true",
            tags={**_tags(program, claim, name), **_class_tags(parameters)},
        )
        return self._cloud.create_volume(volume)

    def _again(self, tools: Tools, claim: Obj) -> None:
        found = tools.context.store.get(_CLAIMS, key_of(claim))
        if found is not None:
            self.reconcile_claim(tools, found)

    def reconcile_volume(self, tools: Tools, volume: Obj) -> None:
        """Say whether a volume is bound; delete it, if its policy says so, when its claim goes."""
        claim = get(volume, "spec", "claimRef")
        if is_going(volume) or not claim:
            self._finish(tools, volume)
            return
        found = tools.context.store.get(_CLAIMS, (claim["namespace"], claim["name"]))
        if found is not None and found["metadata"]["uid"] == claim["uid"]:
            tools.set_status(_VOLUMES, volume, {"phase": "Bound"})
            return
        tools.set_status(_VOLUMES, volume, {"phase": "Released"})
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self._reclaim(tools, volume)

    def _reclaim(self, tools: Tools, volume: Obj) -> None:
        handle = get(volume, "spec", "csi", "volumeHandle")
        if self._cloud is not None and handle:
            if find_deployed(tools, _DRIVERS[_DRIVER]) is None:
                text = f"the driver {_DRIVER} is not deployed"
                record(tools.context, tools.writer, volume, "VolumeFailedDelete", text)
                return
            try:
                self._cloud.delete_volume(handle)
            except CloudError as error:
                record(tools.context, tools.writer, volume, "VolumeFailedDelete", str(error))
                return
        found = tools.context.store.get(_VOLUMES, key_of(volume))
        if found is not None:
            tools.delete(_VOLUMES, found)

    def _finish(self, tools: Tools, volume: Obj) -> None:
        if is_going(volume):
            _drop_finalizer(tools, _VOLUMES, volume, _VOLUME_PROTECTION)


def _users(tools: Tools, claim: Obj) -> list[Obj]:
    namespace, name = key_of(claim)
    return [
        pod
        for pod in tools.context.store.all(_PODS, namespace)
        if get(pod, "status", "phase") not in ("Succeeded", "Failed") and name in claims_of(pod)
    ]


def _drop_finalizer(tools: Tools, collection: tuple[str, str], obj: Obj, finalizer: str) -> None:
    if finalizer in (obj["metadata"].get("finalizers") or ()):
        changed = with_finalizers(obj, remove=finalizer)
        tools.writer.put_internal(tools.context.resource(collection), changed)


def _volume(claim: Obj, storage_class: Obj, name: str, source: Obj) -> Obj:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": storage_class["provisioner"]},
            "finalizers": [_VOLUME_PROTECTION],
        },
        "spec": {
            "capacity": dict(get(claim, "spec", "resources", "requests") or {"storage": "1Gi"}),
            "accessModes": claim["spec"].get("accessModes", ["ReadWriteOnce"]),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            **source,
        },
    }


def _tags(program: DeployedProgram, claim: Obj, name: str) -> dict[str, str]:
    """Return the tags that the driver gives; the cluster's name only where it was told."""
    metadata = claim["metadata"]
    tags = {
        **split_tags(program.option("extra-tags")),
        "ebs.csi.aws.com/cluster": "true",
        "CSIVolumeName": name,
        "kubernetes.io/created-for/pvc/name": metadata["name"],
        "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
        "kubernetes.io/created-for/pv/name": name,
    }
    cluster = program.option("k8s-tag-cluster-id")
    if cluster:
        tags |= {
            f"kubernetes.io/cluster/{cluster}": "owned",
            "KubernetesCluster": cluster,
            "ebs.csi.aws.com/cluster-name": cluster,
            "Name": f"{cluster}-dynamic-{name}",
        }
    return tags


def _class_tags(parameters: dict[str, str]) -> dict[str, str]:
    """Return the tags that a storage class asks for: ``tagSpecification_1: "key=value"``."""
    given = [v for k, v in parameters.items() if k.startswith("tagSpecification_")]
    return {key: value for text in given for key, value in split_tags(text).items()}
