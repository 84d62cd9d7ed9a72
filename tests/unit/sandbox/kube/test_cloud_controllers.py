"""Load balancers of a cluster in a cloud, made and removed as the real ones are."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sandbox.kube.cloud import APPLICATION, CLASSIC, NETWORK
from tests.unit.sandbox.kube.api import (
    APPS,
    MERGE,
    Api,
    FakeCloud,
    deployment,
    pod_template,
    service,
)
from tests.unit.sandbox.kube.clouds import (
    LBC,
    SERVICES,
    SYSTEM_APPS,
    deploy_program,
    expose,
    host,
    only_balancer,
)

INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


class TestTheCloudsOwnController:
    def test_it_makes_a_classic_load_balancer(self, eks: Api, cloud: FakeCloud) -> None:
        made = expose(eks)
        balancer = only_balancer(cloud)
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
        assert host(made) == f"{name}.example.org"
        assert made["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]

    def test_annotations_change_it(self, eks: Api, cloud: FakeCloud) -> None:
        expose(eks, type="nlb", internal="true", additional_resource_tags="a=b,c=d")
        balancer = only_balancer(cloud)
        assert (balancer.kind, balancer.internal, balancer.groups) == (NETWORK, True, ())
        assert balancer.tags["a"] == "b"
        assert balancer.tags["c"] == "d"
        assert len(balancer.targets) == 1

    def test_a_service_for_another_controller_waits(self, eks: Api, cloud: FakeCloud) -> None:
        made = expose(eks, type="external")
        assert (cloud.balancers, host(made)) == ({}, None)
        assert "finalizers" not in made["metadata"]

    def test_it_removes_what_it_made_before_the_service_goes(
        self, eks: Api, cloud: FakeCloud
    ) -> None:
        expose(eks)
        eks.delete(f"{SERVICES}/web")
        assert "web" in eks.names(SERVICES)
        eks.settle()
        assert cloud.balancers == {}
        assert "web" not in eks.names(SERVICES)

    def test_a_service_stays_while_the_cloud_refuses(self, eks: Api, cloud: FakeCloud) -> None:
        expose(eks)
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
        assert host(expose(eks)) is None
        assert eks.reasons()["FailedDeployModel"] == "no subnets"
        cloud.trouble = None
        eks.settle()
        assert host(eks.get(f"{SERVICES}/web"))

    def test_a_service_that_is_exposed_no_longer_loses_it(self, eks: Api, cloud: FakeCloud) -> None:
        expose(eks)
        eks.patch(f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}, MERGE)
        eks.settle()
        assert cloud.balancers == {}
        assert eks.get(f"{SERVICES}/web")["metadata"].get("finalizers", []) == []

    def test_a_cluster_that_goes_leaves_it_behind(self, eks: Api, cloud: FakeCloud) -> None:
        expose(eks)
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
        deploy_program(eks, LBC, "--cluster-name=ml-1", "--default-tags=k=v,k2=v2")
        return eks

    def test_it_makes_a_network_load_balancer(self, lbc: Api, cloud: FakeCloud) -> None:
        made = expose(lbc)
        assert made["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
        assert made["metadata"]["finalizers"] == ["service.k8s.aws/resources"]
        balancer = only_balancer(cloud)
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
        expose(lbc, scheme=scheme)
        assert only_balancer(cloud).internal is internal

    def test_annotations_name_subnets_and_tags(self, lbc: Api, cloud: FakeCloud) -> None:
        expose(lbc, subnets="subnet-1,subnet-2", additional_resource_tags="a=b")
        assert only_balancer(cloud).subnets == ("subnet-1", "subnet-2")
        assert only_balancer(cloud).tags["a"] == "b"

    def test_services_from_before_stay_with_the_cloud(self, eks: Api, cloud: FakeCloud) -> None:
        expose(eks)
        deploy_program(eks, LBC, "--cluster-name=ml-1")
        assert only_balancer(cloud).kind == CLASSIC

    def test_a_service_cant_go_once_the_controller_has_gone(
        self, lbc: Api, cloud: FakeCloud
    ) -> None:
        expose(lbc)
        lbc.delete(f"{SYSTEM_APPS}/{LBC}")
        lbc.settle()
        lbc.delete(f"{SERVICES}/web")
        lbc.settle(60)
        assert "web" in lbc.names(SERVICES)
        assert len(cloud.balancers) == 1
        deploy_program(lbc, LBC, "--cluster-name=ml-1", "--default-tags=k=v,k2=v2")
        lbc.settle()
        assert "web" not in lbc.names(SERVICES)
        assert cloud.balancers == {}

    def test_it_does_nothing_without_its_role(self, eks: Api, cloud: FakeCloud) -> None:
        cloud.refused_roles.add("arn:role")
        deploy_program(eks, LBC, "--cluster-name=ml-1", account="lbc", role="arn:role")
        assert host(expose(eks)) is None
        assert eks.reasons()["FailedDeployModel"] == "arn:role is refused"
        cloud.refused_roles.clear()
        eks.settle()
        assert host(eks.get(f"{SERVICES}/web"))

    def test_one_that_isnt_ready_does_nothing(self, eks: Api, cloud: FakeCloud) -> None:
        eks.post(SYSTEM_APPS, deployment(LBC, image="example.org/app:never-ready"))
        eks.settle()
        expose(eks)
        assert only_balancer(cloud).kind == CLASSIC

    def test_an_ingress_of_its_class_gets_an_application_load_balancer(
        self, lbc: Api, cloud: FakeCloud
    ) -> None:
        _ingress(lbc, "alb", "ingress.k8s.aws/alb")
        balancer = only_balancer(cloud)
        assert balancer.kind == APPLICATION
        assert balancer.tags["ingress.k8s.aws/stack"] == "default/site"
        assert balancer.tags["k"] == "v"
        assert host(lbc.get(f"{INGRESSES}/site")) == f"{balancer.name}.example.org"
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
    assert host(api.get(f"{INGRESSES}/site")) is None
    obj = service("entry", type="LoadBalancer")
    obj["metadata"]["labels"] = {"app.kubernetes.io/name": "traefik"}
    api.post(SERVICES, obj)
    api.settle()
    assert host(api.get(f"{INGRESSES}/site")) == "203.0.113.10"


def test_an_ingress_of_no_class_has_no_address(api: Api) -> None:
    api.post(INGRESSES, {"metadata": {"name": "site"}, "spec": {}})
    api.settle()
    assert "status" not in api.get(f"{INGRESSES}/site")


def test_in_a_local_cluster_a_service_gets_an_address_at_once(api: Api) -> None:
    assert host(expose(api)) == "203.0.113.10"
    api.delete(f"{SERVICES}/web")
    api.settle()
    assert "web" not in api.names(SERVICES)


def test_a_program_is_found_by_its_label_too(eks: Api, cloud: FakeCloud) -> None:
    obj = deployment(
        "release-name", template=pod_template(container={"args": ["--cluster-name=x"]})
    )
    obj["metadata"]["labels"] = {"app.kubernetes.io/name": LBC}
    eks.post(f"{APPS}/deployments", obj)
    eks.settle()
    expose(eks)
    assert only_balancer(cloud).kind == NETWORK
