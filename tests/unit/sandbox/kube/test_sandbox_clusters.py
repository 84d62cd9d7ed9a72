"""The clusters of the running sandbox: EKS and Kubernetes are one, and the cloud outlives them."""

from __future__ import annotations

import base64
import json
import ssl
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="pip install 'mlstacks-dagster[sandbox]'")

from mlstacks_dagster.engines.kube_token import eks_token
from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.sandbox.kube.hosting import FAULTS_PATH
from mlstacks_dagster.sandbox.kube.sandbox_server import local_kubeconfig
from mlstacks_dagster.sandbox.provider import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from mlstacks_dagster.sandbox.state import SandboxState
from tests.unit.sandbox.conftest import REGION, Client
from tests.unit.sandbox.kube.api import Obj, config_map, deployment, pod_template, service

CORE = "/api/v1/namespaces/default"
SYSTEM = "/apis/apps/v1/namespaces/kube-system/deployments"


class Cluster:
    """One of the sandbox's clusters."""

    def __init__(self, endpoint: str, ca: bytes, token: Callable[[], str]) -> None:
        host, _, self.base = endpoint.removeprefix("https://").partition("/")
        self._host = host
        self._tls = ssl.create_default_context(cadata=ca.decode())
        self._token = token

    def send(self, method: str, url: str, body: Any = None) -> tuple[int, Obj]:
        connection = HTTPSConnection(self._host, context=self._tls, timeout=30)
        headers = {"Authorization": f"Bearer {self._token()}"}
        raw = None if body is None else json.dumps(body)
        connection.request(method, f"/{self.base}{url}", raw, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def post(self, url: str, body: Obj) -> Obj:
        code, obj = self.send("POST", url, body)
        assert code == 201, obj
        return obj

    def get(self, url: str) -> Obj:
        code, obj = self.send("GET", url)
        assert code == 200, obj
        return obj

    def wait(self, url: str, what: Callable[[Obj], Any]) -> Any:
        """Return what ``what`` finds, once it finds something."""
        for _ in range(600):
            code, obj = self.send("GET", url)
            found = what(obj) if code == 200 else None
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{url} never came to be so: {obj}")

    def wait_gone(self, url: str) -> None:
        for _ in range(600):
            if self.send("GET", url)[0] == 404:
                return
            time.sleep(0.05)
        raise AssertionError(f"{url} never went")


class Account:
    """A network and a cluster in the sandbox's account."""

    def __init__(self, server: SandboxState, client: Client, roles: tuple[str, ...]) -> None:
        self.name = f"ml-{uuid.uuid4().hex[:8]}"
        self.endpoint = server.endpoint
        self.ec2, self.eks, self.elb, self.elbv2 = map(client, ("ec2", "eks", "elb", "elbv2"))
        self.iam = client("iam")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [self._subnet(number, roles) for number in range(2)]
        self.nodes = self._group()
        self.described = self.create()

    def create(self) -> Obj:
        return dict(
            self.eks.create_cluster(
                name=self.name,
                version="1.33",
                roleArn="arn:aws:iam::123456789012:role/cluster",
                resourcesVpcConfig={"subnetIds": self.subnets},
            )["cluster"]
        )

    def _subnet(self, number: int, roles: tuple[str, ...]) -> str:
        tags = [{"Key": f"kubernetes.io/role/{role}", "Value": "1"} for role in roles]
        subnet = self.ec2.create_subnet(
            VpcId=self.vpc,
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=REGION + "ab"[number],
            TagSpecifications=[{"ResourceType": "subnet", "Tags": tags}] if tags else [],
        )
        return str(subnet["Subnet"]["SubnetId"])

    def _group(self) -> str:
        tags = [{"Key": f"kubernetes.io/cluster/{self.name}", "Value": "owned"}]
        group = self.ec2.create_security_group(
            GroupName="nodes",
            Description="nodes",
            VpcId=self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
        return str(group["GroupId"])

    def token(self, cluster: str | None = None, secret: str = SECRET_ACCESS_KEY) -> str:
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        return eks_token(cluster or self.name, REGION, environment, datetime.now(UTC))[0]

    def cluster(self, token: Callable[[], str] | None = None) -> Cluster:
        ca = base64.b64decode(self.described["certificateAuthority"]["data"])
        return Cluster(self.described["endpoint"], ca, token or self.token)

    def groups(self) -> dict[str, Obj]:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        found = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return {group["GroupName"]: group for group in found}

    def classic(self) -> list[Obj]:
        found = self.elb.describe_load_balancers()["LoadBalancerDescriptions"]
        return [lb for lb in found if lb["VPCId"] == self.vpc]

    def network(self) -> list[Obj]:
        found = self.elbv2.describe_load_balancers()["LoadBalancers"]
        return [lb for lb in found if lb["VpcId"] == self.vpc]


@pytest.fixture
def account(server: SandboxState, client: Client) -> Account:
    return Account(server, client, ("elb", "internal-elb"))


@pytest.fixture
def kube(account: Account) -> Cluster:
    return account.cluster()


def _tags(found: list[Obj]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found}


def _host(obj: Obj) -> str | None:
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return ingress[0]["hostname"] if ingress else None


def _deploy(kube: Cluster, name: str, *arguments: str, account: str = "default") -> None:
    spec = {"container": {"args": list(arguments)}, "serviceAccountName": account}
    kube.post(SYSTEM, deployment(name, template=pod_template(**spec)))
    kube.wait(f"{SYSTEM}/{name}", lambda obj: obj.get("status", {}).get("availableReplicas"))


def test_eks_says_where_the_cluster_is_and_stays_with_it(account: Account) -> None:
    again = account.eks.describe_cluster(name=account.name)["cluster"]
    for name in ("endpoint", "certificateAuthority", "identity"):
        assert again[name] == account.described[name]
    assert again["endpoint"].startswith("https://127.0.0.1:")
    assert account.cluster().get("/version")["gitVersion"] == "v1.33.0"


def test_each_cluster_has_an_issuer_of_its_own(
    account: Account, server: SandboxState, client: Client
) -> None:
    other = Account(server, client, ())
    issuers = {a.described["identity"]["oidc"]["issuer"] for a in (account, other)}
    assert len(issuers) == 2


def test_only_tokens_for_this_cluster_are_taken(account: Account) -> None:
    assert account.cluster(lambda: account.token("other")).send("GET", "/version")[0] == 401
    assert account.cluster(lambda: account.token(secret="wrong")).send("GET", "/version")[0] == 401
    assert account.cluster(lambda: "").send("GET", "/version")[0] == 401


def test_a_cluster_that_isnt_there_isnt_found(account: Account) -> None:
    kube = account.cluster()
    for base in (f"clusters/{REGION}/other", "clusters/nowhere-1/x", "elsewhere", "clusters/x"):
        kube.base = base
        assert kube.send("GET", "/version")[0] == 404


def test_a_deleted_cluster_takes_its_objects_along(account: Account, kube: Cluster) -> None:
    kube.post(f"{CORE}/configmaps", config_map("mine"))
    account.eks.delete_cluster(name=account.name)
    assert kube.send("GET", f"{CORE}/configmaps")[0] == 404
    account.create()
    names = [item["metadata"]["name"] for item in kube.get(f"{CORE}/configmaps")["items"]]
    assert "mine" not in names


def test_a_classic_load_balancer_comes_and_goes_with_its_service(
    account: Account, kube: Cluster
) -> None:
    kube.post(f"{CORE}/services", service(type="LoadBalancer"))
    host = kube.wait(f"{CORE}/services/web", _host)
    (balancer,) = account.classic()
    assert balancer["DNSName"] == host
    assert set(balancer["Subnets"]) == set(account.subnets)
    name = balancer["LoadBalancerName"]
    described = account.elb.describe_tags(LoadBalancerNames=[name])["TagDescriptions"]
    assert _tags(described[0]["Tags"]) == {
        f"kubernetes.io/cluster/{account.name}": "owned",
        "kubernetes.io/service-name": "default/web",
    }
    group = account.groups()[f"k8s-elb-{name}"]
    assert balancer["SecurityGroups"] == [group["GroupId"]]
    nodes = account.groups()["nodes"]["IpPermissions"]
    assert [p["UserIdGroupPairs"][0]["GroupId"] for p in nodes] == [group["GroupId"]]
    kube.send("DELETE", f"{CORE}/services/web")
    kube.wait_gone(f"{CORE}/services/web")
    assert account.classic() == []
    assert set(account.groups()) == {"default", "nodes"}
    assert account.groups()["nodes"]["IpPermissions"] == []


def test_a_cluster_deleted_too_early_leaves_its_load_balancer(
    account: Account, kube: Cluster
) -> None:
    _deploy(kube, "aws-load-balancer-controller", f"--cluster-name={account.name}",
            "--default-tags=mlstacks-stack=s1")  # fmt: skip
    kube.post(f"{CORE}/services", service(type="LoadBalancer"))
    host = kube.wait(f"{CORE}/services/web", _host)
    account.eks.delete_cluster(name=account.name)
    (balancer,) = account.network()
    assert (balancer["DNSName"], balancer["Type"]) == (host, "network")
    assert balancer["LoadBalancerName"].startswith("k8s-default-web-")
    arn = balancer["LoadBalancerArn"]
    described = account.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    tags = _tags(described[0]["Tags"])
    assert tags["elbv2.k8s.aws/cluster"] == account.name
    assert tags["mlstacks-stack"] == "s1"
    with pytest.raises(account.ec2.exceptions.ClientError, match="DependencyViolation"):
        account.ec2.delete_subnet(SubnetId=account.subnets[0])
    backend = [name for name in account.groups() if name.startswith("k8s-traffic-")]
    assert len(backend) == 1
    with pytest.raises(account.ec2.exceptions.ClientError, match="DependencyViolation"):
        account.ec2.delete_security_group(GroupId=account.groups()[backend[0]]["GroupId"])


def test_a_network_load_balancer_goes_with_its_groups_and_targets(
    account: Account, kube: Cluster
) -> None:
    _deploy(kube, "aws-load-balancer-controller", f"--cluster-name={account.name}")
    kube.post(f"{CORE}/services", service(type="LoadBalancer"))
    kube.wait(f"{CORE}/services/web", _host)
    kube.send("DELETE", f"{CORE}/services/web")
    kube.wait_gone(f"{CORE}/services/web")
    assert account.network() == []
    assert set(account.groups()) == {"default", "nodes"}
    targets = account.elbv2.describe_target_groups()["TargetGroups"]
    assert [t for t in targets if t["VpcId"] == account.vpc] == []


def test_without_marked_subnets_there_is_no_load_balancer(
    server: SandboxState, client: Client
) -> None:
    account = Account(server, client, ())
    kube = account.cluster()
    kube.post(f"{CORE}/services", service(type="LoadBalancer"))
    message = kube.wait(
        f"{CORE}/events",
        lambda found: [e["message"] for e in found["items"] if e["reason"] == "FailedDeployModel"],
    )
    assert "kubernetes.io/role/elb" in message[0]
    assert account.classic() == []


def _claim() -> Obj:
    spec = {"storageClassName": "gp2", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "8Gi"}}}  # fmt: skip
    return {"metadata": {"name": "data"}, "spec": spec}


def test_a_claim_is_a_volume_and_goes_with_it(account: Account, kube: Cluster) -> None:
    _deploy(kube, "ebs-csi-controller", f"--k8s-tag-cluster-id={account.name}")
    kube.post(f"{CORE}/persistentvolumeclaims", _claim())
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod = {"metadata": {"name": "p"}, "spec": pod_template(volumes=volumes)["spec"]}
    kube.post(f"{CORE}/pods", pod)
    kube.wait(
        f"{CORE}/persistentvolumeclaims/data",
        lambda obj: obj.get("status", {}).get("phase") == "Bound",
    )
    filters = [{"Name": f"tag:kubernetes.io/cluster/{account.name}", "Values": ["owned"]}]
    (volume,) = account.ec2.describe_volumes(Filters=filters)["Volumes"]
    assert (volume["Size"], volume["AvailabilityZone"]) == (8, f"{REGION}a")
    assert _tags(volume["Tags"])["kubernetes.io/created-for/pvc/name"] == "data"
    kube.send("DELETE", f"{CORE}/pods/p")
    kube.send("DELETE", f"{CORE}/persistentvolumeclaims/data")
    kube.wait_gone(f"/api/v1/persistentvolumes/pvc-{_uid(volume)}")
    assert account.ec2.describe_volumes(Filters=filters)["Volumes"] == []


def _uid(volume: Obj) -> str:
    return _tags(volume["Tags"])["CSIVolumeName"].removeprefix("pvc-")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_controller_needs_a_role_that_trusts_its_account(
    account: Account, kube: Cluster, trusted: bool
) -> None:
    issuer = account.described["identity"]["oidc"]["issuer"].removeprefix("https://")
    who = "lbc" if trusted else "somebody-else"
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"},
        "Condition": {
            "StringEquals": {f"{issuer}:sub": f"system:serviceaccount:kube-system:{who}"}
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = account.iam.create_role(RoleName=account.name, AssumeRolePolicyDocument=policy)["Role"]
    annotations = {"eks.amazonaws.com/role-arn": role["Arn"]}
    metadata = {"name": "lbc", "annotations": annotations}
    kube.post("/api/v1/namespaces/kube-system/serviceaccounts", {"metadata": metadata})
    _deploy(kube, "aws-load-balancer-controller", f"--cluster-name={account.name}", account="lbc")
    kube.post(f"{CORE}/services", service(type="LoadBalancer"))
    if trusted:
        assert kube.wait(f"{CORE}/services/web", _host)
    else:
        message = kube.wait(f"{CORE}/events", lambda found: [e["message"] for e in found["items"]])
        assert "it doesn't trust system:serviceaccount:kube-system:lbc" in message[0]
        assert account.network() == []


def test_faults_can_be_injected_from_outside(account: Account, kube: Cluster) -> None:
    assert kube.send("POST", FAULTS_PATH, {"status": 503, "times": None})[0] == 200
    assert kube.send("GET", "/version")[0] == 503
    assert kube.send("DELETE", FAULTS_PATH)[0] == 200
    assert kube.send("GET", "/version")[0] == 200
    assert kube.send("POST", FAULTS_PATH, {"nonsense": 1})[0] == 400


def _local(server: SandboxState, folder: Path, name: str) -> Cluster:
    document = local_kubeconfig(folder, name)
    cluster = document["clusters"][0]["cluster"]
    ca = base64.b64decode(cluster["certificate-authority-data"])
    token = document["users"][0]["user"]["token"]
    assert f":{server.kube_port}/clusters/local/{name}" in cluster["server"]
    return Cluster(cluster["server"], ca, lambda: token)


def test_a_local_cluster_comes_with_its_first_request(
    server: SandboxState, sandbox_folder: Path
) -> None:
    one, two = (_local(server, sandbox_folder, name) for name in ("one", "two"))
    one.post(f"{CORE}/configmaps", config_map("mine"))
    names = [item["metadata"]["name"] for item in two.get(f"{CORE}/configmaps")["items"]]
    assert "mine" not in names
    one.post(f"{CORE}/services", service(type="LoadBalancer"))
    ingress = one.wait(
        f"{CORE}/services/web", lambda obj: obj["status"]["loadBalancer"].get("ingress")
    )
    assert ingress == [{"ip": "203.0.113.10"}]


def test_a_local_cluster_needs_its_token(server: SandboxState, sandbox_folder: Path) -> None:
    kube = _local(server, sandbox_folder, "one")
    kube._token = lambda: "wrong"
    assert kube.send("GET", "/version")[0] == 401


def test_there_is_no_local_cluster_without_a_sandbox(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="not running"):
        local_kubeconfig(tmp_path)
