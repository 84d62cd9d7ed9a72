"""Volumes of claims, in a local cluster and in a cloud, made and removed as real ones are."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.volumes import gibibytes
from tests.unit.sandbox.kube.api import (
    CORE,
    Api,
    FakeCloud,
    Obj,
    pod_template,
)
from tests.unit.sandbox.kube.clouds import (
    CSI,
    SYSTEM_APPS,
    deploy_program,
)

CLAIMS = f"{CORE}/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def a_claim(name: str = "data", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "8Gi"}},
            **spec,
        },
    }


def use_claim(api: Api, claim: str = "data", name: str = "user") -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    api.post(
        f"{CORE}/pods", {"metadata": {"name": name}, "spec": pod_template(volumes=volumes)["spec"]}
    )
    api.settle()


def phase(api: Api, url: str) -> str:
    return str(api.get(url).get("status", {}).get("phase"))


def use_a_volume_of_the_driver(eks: Api) -> None:
    deploy_program(eks, CSI)
    eks.post(CLAIMS, a_claim(storageClassName="gp2"))
    use_claim(eks)


class TestLocalVolumes:
    def test_a_claim_waits_for_a_pod_and_the_pod_for_the_claim(self, api: Api) -> None:
        api.post(CLAIMS, a_claim())
        api.settle()
        assert phase(api, f"{CLAIMS}/data") == "Pending"
        assert "waiting for first consumer" in api.reasons()["WaitForFirstConsumer"]
        use_claim(api)
        assert phase(api, f"{CLAIMS}/data") == "Bound"
        assert phase(api, f"{CORE}/pods/user") == "Running"
        claim = api.get(f"{CLAIMS}/data")
        assert claim["spec"]["storageClassName"] == "local-path"
        volume = api.get(f"{VOLUMES}/{claim['spec']['volumeName']}")
        assert volume["spec"]["claimRef"]["name"] == "data"
        assert volume["spec"]["capacity"] == {"storage": "8Gi"}
        assert phase(api, f"{VOLUMES}/{claim['spec']['volumeName']}") == "Bound"

    def test_a_claim_stays_while_a_pod_uses_it(self, api: Api) -> None:
        api.post(CLAIMS, a_claim())
        use_claim(api)
        api.delete(f"{CLAIMS}/data")
        api.settle()
        assert api.names(CLAIMS) == ["data"]
        api.delete(f"{CORE}/pods/user")
        api.settle()
        assert api.names(CLAIMS) == api.names(VOLUMES) == []

    def test_a_volume_is_retained_when_its_class_says_so(self, api: Api) -> None:
        api.post(CLASSES, {"metadata": {"name": "keep"}, "provisioner": "rancher.io/local-path",
                           "reclaimPolicy": "Retain"})  # fmt: skip
        api.post(CLAIMS, a_claim(storageClassName="keep"))
        api.settle()
        assert phase(api, f"{CLAIMS}/data") == "Bound"
        api.delete(f"{CLAIMS}/data")
        api.settle()
        (name,) = api.names(VOLUMES)
        assert phase(api, f"{VOLUMES}/{name}") == "Released"
        api.delete(f"{VOLUMES}/{name}")
        api.settle()
        assert api.names(VOLUMES) == []

    @pytest.mark.parametrize(
        ("storage_class", "message"),
        [("", "no storage class is set"), ("nope", '"nope" not found')],
    )
    def test_a_claim_without_a_class_waits(
        self, api: Api, storage_class: str, message: str
    ) -> None:
        api.post(CLAIMS, a_claim(storageClassName=storage_class))
        use_claim(api)
        assert phase(api, f"{CLAIMS}/data") == "Pending"
        assert message in api.reasons()["FailedBinding"]


class TestCloudVolumes:
    ARGUMENTS = ("--extra-tags=k=v,k2=v2", "--k8s-tag-cluster-id=ml-1")

    def test_without_the_driver_a_claim_waits(self, eks: Api, cloud: FakeCloud) -> None:
        eks.post(CLAIMS, a_claim(storageClassName="gp2"))
        use_claim(eks)
        assert phase(eks, f"{CLAIMS}/data") == "Pending"
        assert "not deployed" in eks.reasons()["ExternalProvisioning"]
        deploy_program(eks, CSI)
        assert phase(eks, f"{CLAIMS}/data") == "Bound"
        assert len(cloud.volumes) == 1

    def test_no_class_is_the_default(self, eks: Api) -> None:
        deploy_program(eks, CSI)
        eks.post(CLAIMS, a_claim())
        use_claim(eks)
        assert "no storage class is set" in eks.reasons()["FailedBinding"]

    def test_a_volume_has_the_drivers_tags(self, eks: Api, cloud: FakeCloud) -> None:
        deploy_program(eks, CSI, *self.ARGUMENTS)
        eks.post(CLASSES, {
            "metadata": {"name": "fast"}, "provisioner": "ebs.csi.aws.com",
            "parameters": {"type": "gp3", "encrypted": "true", "tagSpecification_1": "c=d"},
        })  # fmt: skip
        eks.post(CLAIMS, a_claim(storageClassName="fast"))
        eks.settle()
        ((volume_id, volume),) = cloud.volumes.items()
        name = eks.get(f"{CLAIMS}/data")["spec"]["volumeName"]
        assert (volume.gibibytes, volume.kind, volume.encrypted) == (8, "gp3", True)
        assert volume.tags == {
            "k": "v",
            "k2": "v2",
            "c": "d",
            "ebs.csi.aws.com/cluster": "true",
            "CSIVolumeName": name,
            "kubernetes.io/created-for/pvc/name": "data",
            "kubernetes.io/created-for/pvc/namespace": "default",
            "kubernetes.io/created-for/pv/name": name,
            "kubernetes.io/cluster/ml-1": "owned",
            "KubernetesCluster": "ml-1",
            "ebs.csi.aws.com/cluster-name": "ml-1",
            "Name": f"ml-1-dynamic-{name}",
        }
        assert eks.get(f"{VOLUMES}/{name}")["spec"]["csi"]["volumeHandle"] == volume_id

    def test_the_driver_doesnt_know_the_cluster_unless_told(
        self, eks: Api, cloud: FakeCloud
    ) -> None:
        use_a_volume_of_the_driver(eks)
        (volume,) = cloud.volumes.values()
        assert not [key for key in volume.tags if key.startswith("kubernetes.io/cluster/")]
        assert (volume.kind, volume.encrypted) == ("gp2", False)

    def test_a_volume_goes_with_its_claim(self, eks: Api, cloud: FakeCloud) -> None:
        use_a_volume_of_the_driver(eks)
        eks.delete(f"{CORE}/pods/user")
        eks.delete(f"{CLAIMS}/data")
        eks.settle()
        assert (cloud.volumes, eks.names(VOLUMES)) == ({}, [])

    def test_a_volume_stays_once_the_driver_has_gone(self, eks: Api, cloud: FakeCloud) -> None:
        use_a_volume_of_the_driver(eks)
        eks.delete(f"{SYSTEM_APPS}/{CSI}")
        eks.delete(f"{CORE}/pods/user")
        eks.settle()
        eks.delete(f"{CLAIMS}/data")
        eks.settle()
        assert len(cloud.volumes) == 1
        (name,) = eks.names(VOLUMES)
        assert phase(eks, f"{VOLUMES}/{name}") == "Released"
        deploy_program(eks, CSI)
        assert (cloud.volumes, eks.names(VOLUMES)) == ({}, [])

    def test_what_the_cloud_refuses_is_tried_again(self, eks: Api, cloud: FakeCloud) -> None:
        deploy_program(eks, CSI)
        cloud.trouble = "VolumeLimitExceeded"
        eks.post(CLAIMS, a_claim(storageClassName="gp2"))
        use_claim(eks)
        assert eks.reasons()["ProvisioningFailed"] == "VolumeLimitExceeded"
        cloud.trouble = None
        eks.settle()
        assert phase(eks, f"{CLAIMS}/data") == "Bound"

    def test_the_driver_needs_its_role(self, eks: Api, cloud: FakeCloud) -> None:
        cloud.refused_roles.add("arn:role")
        deploy_program(eks, CSI, account="csi", role="arn:role")
        eks.post(CLAIMS, a_claim(storageClassName="gp2"))
        use_claim(eks)
        assert eks.reasons()["ProvisioningFailed"] == "arn:role is refused"
        assert cloud.volumes == {}


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("8Gi", 8), ("1.5Gi", 2), ("500Mi", 1), ("10G", 10), ("1Ti", 1024), ("5", 1), ("x", 1)],
)
def test_quantities_are_rounded_up_to_gibibytes(quantity: str, size: int) -> None:
    assert gibibytes(quantity) == size
