"""Load balancers and volumes of a cluster in a cloud, made and removed as the real ones are."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sandbox.kube.cloud import APPLICATION, CLASSIC, NETWORK, Balancer
from mlstacks_dagster.sandbox.kube.volumes import gibibytes
from tests.unit.sandbox.kube.api import (
    APPS,
    CORE,
    CRDS,
    MERGE,
    Api,
    FakeCloud,
    Obj,
    crd,
    deployment,
    pod_template,
    service,
)

SERVICES, CLAIMS = f"{CORE}/services", f"{CORE}/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SYSTEM_APPS = "/apis/apps/v1/namespaces/kube-system/deployments"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"
LBC, CSI = "aws-load-balancer-controller", "ebs-csi-controller"


def _deploy(api: Api, name: str, *arguments: str, account: str = "", role: str = "") -> None:
    """Deploy a program of the cluster, as its chart does."""
    spec: dict[str, Any] = {"container": {"args": list(arguments)}}
    if account:
        annotations = {"eks.amazonaws.com/role-arn": role} if role else {}
        metadata = {"name": account, "annotations": annotations}
        api.post("/api/v1/namespaces/kube-system/serviceaccounts", {"metadata": metadata})
        spec["serviceAccountName"] = account
    api.post(SYSTEM_APPS, deployment(name, template=pod_template(**spec)))
    api.settle()


def _balancer(cloud: FakeCloud) -> Balancer:
    (found,) = cloud.balancers.values()
    return found


def _expose(api: Api, **annotations: str) -> Obj:
    obj = service(type="LoadBalancer")
    obj["metadata"]["annotations"] = {
        ANNOTATION + key.replace("_", "-"): value for key, value in annotations.items()
    }
    api.post(SERVICES, obj)
    api.settle()
    return api.get(f"{SERVICES}/web")


def _host(obj: Obj) -> str | None:
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return ingress[0].get("hostname") or ingress[0].get("ip") if ingress else None


class TestTheCloudsOwnController:
    def test_it_makes_a_classic_load_balancer(self, eks: Api, cloud: FakeCloud) -> None:
        made = _expose(eks)
        balancer = _balancer(cloud)
        name = ("a" + made["metadata"]["uid"].replace("-", ""))[:32]
        assert (balancer.kind, balancer.name) == (CLASSIC, name)
        assert balancer.internal is False
        assert balancer.ports == (80,)
        assert balancer.tags == {
            "kubernetes.io/cluster/test": "owned",
            "kubernetes.io/service-name": "default/web",
        }
        (group,) = balancer.groups
        assert group.name == f"k8s-elb-{name}"
        assert group.description == f"Security group for Kubernetes ELB {name} (default/web)"
        assert group.tags == {"kubernetes.io/cluster/test": "owned"}
        assert _host(made) == f"{name}.example.org"
        assert made["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]

    def test_annotations_change_it(self, eks: Api, cloud: FakeCloud) -> None:
        _expose(eks, type="nlb", internal="true", additional_resource_tags="a=b,c=d")
        balancer = _balancer(cloud)
        assert (balancer.kind, balancer.internal, balancer.groups) == (NETWORK, True, ())
        assert balancer.tags["a"] == "b"
        assert balancer.tags["c"] == "d"
        assert len(balancer.targets) == 1

    def test_a_service_for_another_controller_waits(self, eks: Api, cloud: FakeCloud) -> None:
        made = _expose(eks, type="external")
        assert (cloud.balancers, _host(made)) == ({}, None)
        assert "finalizers" not in made["metadata"]

    def test_it_removes_what_it_made_before_the_service_goes(
        self, eks: Api, cloud: FakeCloud
    ) -> None:
        _expose(eks)
        eks.delete(f"{SERVICES}/web")
        assert "web" in eks.names(SERVICES)
        eks.settle()
        assert cloud.balancers == {}
        assert "web" not in eks.names(SERVICES)

    def test_a_service_stays_while_the_cloud_refuses(self, eks: Api, cloud: FakeCloud) -> None:
        _expose(eks)
        cloud.trouble = "DependencyViolation"
        eks.delete(f"{SERVICES}/web")
        eks.settle()
        assert "web" in eks.names(SERVICES)
        assert eks.reasons()["FailedDeployModel"] == "DependencyViolation"
        cloud.trouble = None
        eks.settle()
        assert "web" not in eks.names(SERVICES)

    def test_it_tries_again_what_the_cloud_refused(self, eks: Api, cloud: FakeCloud) -> None:
        cloud.trouble = "no subnets"
        assert _host(_expose(eks)) is None
        assert eks.reasons()["FailedDeployModel"] == "no subnets"
        cloud.trouble = None
        eks.settle()
        assert _host(eks.get(f"{SERVICES}/web"))

    def test_a_service_that_is_exposed_no_longer_loses_it(self, eks: Api, cloud: FakeCloud) -> None:
        _expose(eks)
        eks.patch(f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}, MERGE)
        eks.settle()
        assert cloud.balancers == {}
        assert eks.get(f"{SERVICES}/web")["metadata"].get("finalizers", []) == []

    def test_a_cluster_that_goes_leaves_it_behind(self, eks: Api, cloud: FakeCloud) -> None:
        _expose(eks)
        eks.cluster.close()
        eks.settle()
        assert len(cloud.balancers) == 1

    def test_a_namespace_waits_for_its_load_balancers(self, eks: Api, cloud: FakeCloud) -> None:
        eks.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
        eks.post("/api/v1/namespaces/team/services", service(type="LoadBalancer"))
        eks.settle()
        cloud.trouble = "busy"
        eks.delete("/api/v1/namespaces/team")
        eks.settle()
        assert "team" in eks.names("/api/v1/namespaces")
        cloud.trouble = None
        eks.settle()
        assert "team" not in eks.names("/api/v1/namespaces")
        assert cloud.balancers == {}


class TestTheLoadBalancerController:
    @pytest.fixture
    def lbc(self, eks: Api) -> Api:
        _deploy(eks, LBC, "--cluster-name=ml-1", "--default-tags=k=v,k2=v2")
        return eks

    def test_it_makes_a_network_load_balancer(self, lbc: Api, cloud: FakeCloud) -> None:
        made = _expose(lbc)
        assert made["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
        assert made["metadata"]["finalizers"] == ["service.k8s.aws/resources"]
        balancer = _balancer(cloud)
        assert balancer.kind == NETWORK
        assert balancer.name.startswith("k8s-default-web-")
        assert len(balancer.name) == len("k8s-default-web-") + 10
        common = {"k": "v", "k2": "v2", "elbv2.k8s.aws/cluster": "ml-1",
                  "service.k8s.aws/stack": "default/web"}  # fmt: skip
        assert balancer.tags == {**common, "service.k8s.aws/resource": "LoadBalancer"}
        ((target, tags),) = balancer.targets.items()
        assert target.startswith("k8s-default-web-")
        assert tags == {**common, "service.k8s.aws/resource": "default/web:80"}
        own, shared = balancer.groups
        assert own.tags == {**common, "service.k8s.aws/resource": "ManagedLBSecurityGroup"}
        assert shared.name.startswith("k8s-traffic-ml1-")
        assert shared.tags == {"k": "v", "k2": "v2", "elbv2.k8s.aws/cluster": "ml-1",
                               "elbv2.k8s.aws/resource": "backend-sg"}  # fmt: skip
        assert "kubernetes.io/cluster/test" not in balancer.tags

    @pytest.mark.parametrize(("scheme", "internal"), [("", True), ("internet-facing", False)])
    def test_it_is_internal_by_default(
        self, lbc: Api, cloud: FakeCloud, scheme: str, internal: bool
    ) -> None:
        _expose(lbc, scheme=scheme)
        assert _balancer(cloud).internal is internal

    def test_annotations_name_subnets_and_tags(self, lbc: Api, cloud: FakeCloud) -> None:
        _expose(lbc, subnets="subnet-1,subnet-2", additional_resource_tags="a=b")
        assert _balancer(cloud).subnets == ("subnet-1", "subnet-2")
        assert _balancer(cloud).tags["a"] == "b"

    def test_services_from_before_stay_with_the_cloud(self, eks: Api, cloud: FakeCloud) -> None:
        _expose(eks)
        _deploy(eks, LBC, "--cluster-name=ml-1")
        assert _balancer(cloud).kind == CLASSIC

    def test_a_service_cant_go_once_the_controller_has_gone(
        self, lbc: Api, cloud: FakeCloud
    ) -> None:
        _expose(lbc)
        lbc.delete(f"{SYSTEM_APPS}/{LBC}")
        lbc.settle()
        lbc.delete(f"{SERVICES}/web")
        lbc.settle(60)
        assert "web" in lbc.names(SERVICES)
        assert len(cloud.balancers) == 1
        _deploy(lbc, LBC, "--cluster-name=ml-1", "--default-tags=k=v,k2=v2")
        lbc.settle()
        assert "web" not in lbc.names(SERVICES)
        assert cloud.balancers == {}

    def test_it_does_nothing_without_its_role(self, eks: Api, cloud: FakeCloud) -> None:
        cloud.refused_roles.add("arn:role")
        _deploy(eks, LBC, "--cluster-name=ml-1", account="lbc", role="arn:role")
        assert _host(_expose(eks)) is None
        assert eks.reasons()["FailedDeployModel"] == "arn:role is refused"
        cloud.refused_roles.clear()
        eks.settle()
        assert _host(eks.get(f"{SERVICES}/web"))

    def test_one_that_isnt_ready_does_nothing(self, eks: Api, cloud: FakeCloud) -> None:
        eks.post(SYSTEM_APPS, deployment(LBC, image="example.org/app:never-ready"))
        eks.settle()
        _expose(eks)
        assert _balancer(cloud).kind == CLASSIC

    def test_an_ingress_of_its_class_gets_an_application_load_balancer(
        self, lbc: Api, cloud: FakeCloud
    ) -> None:
        _ingress(lbc, "alb", "ingress.k8s.aws/alb")
        balancer = _balancer(cloud)
        assert balancer.kind == APPLICATION
        assert balancer.tags["ingress.k8s.aws/stack"] == "default/site"
        assert balancer.tags["k"] == "v"
        assert _host(lbc.get(f"{INGRESSES}/site")) == f"{balancer.name}.example.org"
        lbc.delete(f"{INGRESSES}/site")
        lbc.settle()
        assert (cloud.balancers, lbc.names(INGRESSES)) == ({}, [])


def _ingress(api: Api, class_name: str, controller: str) -> None:
    api.post(
        INGRESS_CLASSES, {"metadata": {"name": class_name}, "spec": {"controller": controller}}
    )
    spec = {
        "ingressClassName": class_name,
        "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
    }
    api.post(INGRESSES, {"metadata": {"name": "site"}, "spec": spec})
    api.settle()


def test_an_ingress_has_the_address_of_its_controllers_service(api: Api) -> None:
    _ingress(api, "traefik", "traefik.io/ingress-controller")
    assert _host(api.get(f"{INGRESSES}/site")) is None
    obj = service("entry", type="LoadBalancer")
    obj["metadata"]["labels"] = {"app.kubernetes.io/name": "traefik"}
    api.post(SERVICES, obj)
    api.settle()
    assert _host(api.get(f"{INGRESSES}/site")) == "203.0.113.10"


def test_an_ingress_of_no_class_has_no_address(api: Api) -> None:
    api.post(INGRESSES, {"metadata": {"name": "site"}, "spec": {}})
    api.settle()
    assert "status" not in api.get(f"{INGRESSES}/site")


def test_in_a_local_cluster_a_service_gets_an_address_at_once(api: Api) -> None:
    assert _host(_expose(api)) == "203.0.113.10"
    api.delete(f"{SERVICES}/web")
    api.settle()
    assert "web" not in api.names(SERVICES)


def _claim(name: str = "data", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "8Gi"}},
            **spec,
        },
    }


def _use(api: Api, claim: str = "data", name: str = "user") -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    api.post(
        f"{CORE}/pods", {"metadata": {"name": name}, "spec": pod_template(volumes=volumes)["spec"]}
    )
    api.settle()


def _phase(api: Api, url: str) -> str:
    return str(api.get(url).get("status", {}).get("phase"))


class TestLocalVolumes:
    def test_a_claim_waits_for_a_pod_and_the_pod_for_the_claim(self, api: Api) -> None:
        api.post(CLAIMS, _claim())
        api.settle()
        assert _phase(api, f"{CLAIMS}/data") == "Pending"
        assert "waiting for first consumer" in api.reasons()["WaitForFirstConsumer"]
        _use(api)
        assert _phase(api, f"{CLAIMS}/data") == "Bound"
        assert _phase(api, f"{CORE}/pods/user") == "Running"
        claim = api.get(f"{CLAIMS}/data")
        assert claim["spec"]["storageClassName"] == "local-path"
        volume = api.get(f"{VOLUMES}/{claim['spec']['volumeName']}")
        assert volume["spec"]["claimRef"]["name"] == "data"
        assert volume["spec"]["capacity"] == {"storage": "8Gi"}
        assert _phase(api, f"{VOLUMES}/{claim['spec']['volumeName']}") == "Bound"

    def test_a_claim_stays_while_a_pod_uses_it(self, api: Api) -> None:
        api.post(CLAIMS, _claim())
        _use(api)
        api.delete(f"{CLAIMS}/data")
        api.settle()
        assert api.names(CLAIMS) == ["data"]
        api.delete(f"{CORE}/pods/user")
        api.settle()
        assert api.names(CLAIMS) == api.names(VOLUMES) == []

    def test_a_volume_is_retained_when_its_class_says_so(self, api: Api) -> None:
        api.post(CLASSES, {"metadata": {"name": "keep"}, "provisioner": "rancher.io/local-path",
                           "reclaimPolicy": "Retain"})  # fmt: skip
        api.post(CLAIMS, _claim(storageClassName="keep"))
        api.settle()
        assert _phase(api, f"{CLAIMS}/data") == "Bound"
        api.delete(f"{CLAIMS}/data")
        api.settle()
        (name,) = api.names(VOLUMES)
        assert _phase(api, f"{VOLUMES}/{name}") == "Released"
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
        api.post(CLAIMS, _claim(storageClassName=storage_class))
        _use(api)
        assert _phase(api, f"{CLAIMS}/data") == "Pending"
        assert message in api.reasons()["FailedBinding"]


class TestCloudVolumes:
    ARGUMENTS = ("--extra-tags=k=v,k2=v2", "--k8s-tag-cluster-id=ml-1")

    def test_without_the_driver_a_claim_waits(self, eks: Api, cloud: FakeCloud) -> None:
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        assert _phase(eks, f"{CLAIMS}/data") == "Pending"
        assert "not deployed" in eks.reasons()["ExternalProvisioning"]
        _deploy(eks, CSI)
        assert _phase(eks, f"{CLAIMS}/data") == "Bound"
        assert len(cloud.volumes) == 1

    def test_no_class_is_the_default(self, eks: Api) -> None:
        _deploy(eks, CSI)
        eks.post(CLAIMS, _claim())
        _use(eks)
        assert "no storage class is set" in eks.reasons()["FailedBinding"]

    def test_a_volume_has_the_drivers_tags(self, eks: Api, cloud: FakeCloud) -> None:
        _deploy(eks, CSI, *self.ARGUMENTS)
        eks.post(CLASSES, {
            "metadata": {"name": "fast"}, "provisioner": "ebs.csi.aws.com",
            "parameters": {"type": "gp3", "encrypted": "true", "tagSpecification_1": "c=d"},
        })  # fmt: skip
        eks.post(CLAIMS, _claim(storageClassName="fast"))
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
        _deploy(eks, CSI)
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        (volume,) = cloud.volumes.values()
        assert not [key for key in volume.tags if key.startswith("kubernetes.io/cluster/")]
        assert (volume.kind, volume.encrypted) == ("gp2", False)

    def test_a_volume_goes_with_its_claim(self, eks: Api, cloud: FakeCloud) -> None:
        _deploy(eks, CSI)
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        eks.delete(f"{CORE}/pods/user")
        eks.delete(f"{CLAIMS}/data")
        eks.settle()
        assert (cloud.volumes, eks.names(VOLUMES)) == ({}, [])

    def test_a_volume_stays_once_the_driver_has_gone(self, eks: Api, cloud: FakeCloud) -> None:
        _deploy(eks, CSI)
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        eks.delete(f"{SYSTEM_APPS}/{CSI}")
        eks.delete(f"{CORE}/pods/user")
        eks.settle()
        eks.delete(f"{CLAIMS}/data")
        eks.settle()
        assert len(cloud.volumes) == 1
        (name,) = eks.names(VOLUMES)
        assert _phase(eks, f"{VOLUMES}/{name}") == "Released"
        _deploy(eks, CSI)
        assert (cloud.volumes, eks.names(VOLUMES)) == ({}, [])

    def test_what_the_cloud_refuses_is_tried_again(self, eks: Api, cloud: FakeCloud) -> None:
        _deploy(eks, CSI)
        cloud.trouble = "VolumeLimitExceeded"
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        assert eks.reasons()["ProvisioningFailed"] == "VolumeLimitExceeded"
        cloud.trouble = None
        eks.settle()
        assert _phase(eks, f"{CLAIMS}/data") == "Bound"

    def test_the_driver_needs_its_role(self, eks: Api, cloud: FakeCloud) -> None:
        cloud.refused_roles.add("arn:role")
        _deploy(eks, CSI, account="csi", role="arn:role")
        eks.post(CLAIMS, _claim(storageClassName="gp2"))
        _use(eks)
        assert eks.reasons()["ProvisioningFailed"] == "arn:role is refused"
        assert cloud.volumes == {}


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("8Gi", 8), ("1.5Gi", 2), ("500Mi", 1), ("10G", 10), ("1Ti", 1024), ("5", 1), ("x", 1)],
)
def test_quantities_are_rounded_up_to_gibibytes(quantity: str, size: int) -> None:
    assert gibibytes(quantity) == size


class TestOperators:
    CERTIFICATES = "/apis/cert-manager.io/v1/namespaces/default/certificates"
    ISSUERS = "/apis/cert-manager.io/v1/clusterissuers"
    TEKTON = "/apis/operator.tekton.dev/v1alpha1/tektonconfigs"

    def test_a_certificate_becomes_a_secret_once_cert_manager_is_there(self, api: Api) -> None:
        api.post(CRDS, crd("certificates", "Certificate", group="cert-manager.io"))
        obj = {"metadata": {"name": "c"}, "spec": {"secretName": "tls"}}
        api.post(self.CERTIFICATES, obj)
        api.settle()
        assert "tls" not in api.names(f"{CORE}/secrets")
        _deploy(api, "cert-manager")
        secret = api.get(f"{CORE}/secrets/tls")
        assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        conditions = api.get(f"{self.CERTIFICATES}/c")["status"]["conditions"]
        assert conditions[0]["status"] == "True"

    def test_an_issuer_becomes_ready(self, api: Api) -> None:
        issuers = crd("clusterissuers", "ClusterIssuer", group="cert-manager.io", namespaced=False)
        api.post(CRDS, issuers)
        api.post(self.ISSUERS, {"metadata": {"name": "i"}, "spec": {}})
        _deploy(api, "cert-manager")
        assert api.get(f"{self.ISSUERS}/i")["status"]["conditions"][0]["type"] == "Ready"

    def test_a_tekton_config_waits_for_its_operator_to_go(self, api: Api) -> None:
        made = crd("tektonconfigs", "TektonConfig", group="operator.tekton.dev", namespaced=False)
        made["spec"]["versions"][0]["name"] = "v1alpha1"
        api.post(CRDS, made)
        _deploy(api, "tekton-operator")
        api.post(self.TEKTON, {"metadata": {"name": "config"}, "spec": {}})
        api.settle()
        config = api.get(f"{self.TEKTON}/config")
        assert config["metadata"]["finalizers"] == ["tektonconfigs.operator.tekton.dev"]
        assert config["status"]["conditions"][0]["status"] == "True"
        api.delete(f"{SYSTEM_APPS}/tekton-operator")
        api.settle()
        api.delete(f"{self.TEKTON}/config")
        api.settle()
        assert api.names(self.TEKTON) == ["config"]
        _deploy(api, "tekton-operator")
        assert api.names(self.TEKTON) == []


def test_a_program_is_found_by_its_label_too(eks: Api, cloud: FakeCloud) -> None:
    obj = deployment(
        "release-name", template=pod_template(container={"args": ["--cluster-name=x"]})
    )
    obj["metadata"]["labels"] = {"app.kubernetes.io/name": LBC}
    eks.post(f"{APPS}/deployments", obj)
    eks.settle()
    _expose(eks)
    assert _balancer(cloud).kind == NETWORK
