"""The leftovers of GKE (reference: table 2b) for any cluster, planted in a stand-in's world."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from mlstacks_dagster.sweep.gcp.names import uid8
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.sweep.gcp.fake_google import World

PROJECT = "ml-project"
REGION = "us-central1"
ZONE = "us-central1-a"
ROOT = f"compute/v1/projects/{PROJECT}"
GLOBAL_ROOT = f"{ROOT}/global"
REGIONAL = f"{ROOT}/regions/{REGION}"
ZONAL = f"{ROOT}/zones/{ZONE}"
LINK = "https://www.googleapis.com/"
NETWORK = f"{GLOBAL_ROOT}/networks/shared"


@dataclass(frozen=True)
class Gke:
    """A cluster's name and the ids that its leftovers repeat."""

    name: str
    kube_uid: str
    uid16: str
    location: str = ZONE

    @property
    def gke_id(self) -> str:
        return sha256(self.kube_uid.encode()).hexdigest()

    @property
    def uid8(self) -> str:
        return uid8(self.kube_uid)

    @property
    def tag(self) -> str:
        return f"gke-{self.name}-{self.gke_id[:8]}-node"

    def balancer(self, service: str) -> str:
        return "a" + sha256(f"{self.kube_uid}{service}".encode()).hexdigest()[:31]

    def fact(self, uid: str | None = None) -> ClusterFact:
        ids = f"{self.kube_uid} {self.uid16} {self.gke_id}" if uid is None else uid
        return ClusterFact(account=PROJECT, region=self.location, name=self.name, uid=ids)


GONE = Gke("ml-sabcdefgh2345", "11111111-aaaa-4aaa-8aaa-000000000001", "abcdef0123456780")
LIVE = Gke("ml-sabcdefgh2345-2", "11111111-aaaa-4aaa-8aaa-000000000002", "abcdef0123456789")
"""Both names begin alike, and 15 of the 16 digits of their ids are the same."""


def run_cluster(world: World, gke: Gke) -> None:
    world.add(
        f"v1/projects/{PROJECT}/locations/{gke.location}/clusters/{gke.name}",
        location=gke.location, id=gke.gke_id, status="RUNNING",
        createTime="2026-01-01T08:00:00+00:00", network="shared", subnetwork="shared",
    )  # fmt: skip


class Leftovers:
    """Plants what a cluster leaves; ``proven`` and ``hinted`` are the full names of each."""

    def __init__(self, world: World, gke: Gke) -> None:
        self.world, self.gke = world, gke
        self.proven: set[str] = set()
        self.hinted: set[str] = set()
        self.service = json.dumps({"kubernetes.io/service-name": "ml/web"})
        self.target_pool_balancer()
        self.reserved_address()
        self.subsetting_balancer()
        self.old_ingress()
        self.new_ingress()
        self.cut_names()
        self.volumes_and_routes()

    def add(self, path: str, **data: object) -> str:
        self.proven.add(self.world.add(path, **data))  # type: ignore[arg-type]
        return LINK + path

    def target_pool_balancer(self) -> None:
        gke, name, text = self.gke, self.gke.balancer("web"), self.service
        own = {"description": text}
        node = self.add(f"{GLOBAL_ROOT}/httpHealthChecks/k8s-{gke.uid16}-node", port=10256)
        self.add(f"{GLOBAL_ROOT}/httpHealthChecks/{name}", **own)
        pool = self.add(f"{REGIONAL}/targetPools/{name}", healthChecks=[node], **own)
        number = f"34.1.{len(self.world.objects) % 250}.1"
        rule = f"{REGIONAL}/forwardingRules/{name}"
        self.add(f"{REGIONAL}/addresses/{name}", address=number, status="IN_USE",
                 users=[LINK + rule], **own)  # fmt: skip
        self.add(rule, target=pool, IPAddress=number, **own)
        tags = {"targetTags": [gke.tag], "network": LINK + NETWORK}
        self.add(f"{GLOBAL_ROOT}/firewalls/k8s-fw-{name}", **own, **tags)
        self.add(f"{GLOBAL_ROOT}/firewalls/k8s-fw-{name}-deny", **own, **tags)
        self.add(f"{GLOBAL_ROOT}/firewalls/k8s-{name}-http-hc", **own, **tags)
        cluster = json.dumps({"kubernetes.io/cluster-id": gke.uid16})
        self.add(
            f"{GLOBAL_ROOT}/firewalls/k8s-{gke.uid16}-node-http-hc", description=cluster, **tags
        )

    def reserved_address(self) -> None:
        """A load balancer that went half: its number is kept, and billed, for nobody."""
        name, own = self.gke.balancer("old"), {"description": self.service}
        number = f"34.2.{len(self.world.objects) % 250}.1"
        self.add(f"{REGIONAL}/addresses/{name}", address=number, status="RESERVED", **own)
        self.add(f"{GLOBAL_ROOT}/firewalls/k8s-fw-{name}", targetTags=[self.gke.tag],
                 network=LINK + NETWORK, **own)  # fmt: skip

    def subsetting_balancer(self) -> None:
        gke = self.gke
        text = json.dumps({"networking.gke.io/service-name": "ml/grpc"})
        base = f"k8s2-{gke.uid8}-ml-grpc-0a1b2c3d"
        check = self.add(f"{REGIONAL}/healthChecks/k8s2-{gke.uid8}-l4-shared-hc")
        group = self.neg(base)
        service = self.add(f"{REGIONAL}/backendServices/{base}", description=text,
                           backends=[{"group": group}], healthChecks=[check])  # fmt: skip
        self.add(f"{REGIONAL}/forwardingRules/k8s2-tcp-{gke.uid8}-ml-grpc-0a1b2c3d",
                 description=text, backendService=service, network=LINK + NETWORK)  # fmt: skip
        self.add(f"{GLOBAL_ROOT}/firewalls/{base}", description=text, network=LINK + NETWORK,
                 targetTags=[gke.tag])  # fmt: skip

    def neg(self, name: str) -> str:
        text = json.dumps({"cluster-uid": self.gke.kube_uid, "namespace": "ml",
                           "service-name": "web", "port": "80"})  # fmt: skip
        return self.add(f"{ZONAL}/networkEndpointGroups/{name}", description=text)

    def old_ingress(self) -> None:
        uid = self.gke.uid16
        group = self.add(f"{ZONAL}/instanceGroups/k8s-ig--{uid}", network=LINK + NETWORK)
        check = self.add(f"{GLOBAL_ROOT}/healthChecks/k8s-be-30080--{uid}")
        service = self.add(f"{GLOBAL_ROOT}/backendServices/k8s-be-30080--{uid}",
                           backends=[{"group": group}], healthChecks=[check])  # fmt: skip
        urls = self.add(f"{GLOBAL_ROOT}/urlMaps/k8s-um-ml-ui--{uid}", defaultService=service)
        cert = self.add(f"{GLOBAL_ROOT}/sslCertificates/k8s-ssl-ml-ui--{uid}")
        plain = self.add(f"{GLOBAL_ROOT}/targetHttpProxies/k8s-tp-ml-ui--{uid}", urlMap=urls)
        tls = self.add(f"{GLOBAL_ROOT}/targetHttpsProxies/k8s-tps-ml-ui--{uid}",
                       urlMap=urls, sslCertificates=[cert])  # fmt: skip
        self.add(f"{GLOBAL_ROOT}/forwardingRules/k8s-fw-ml-ui--{uid}", target=plain)
        self.add(f"{GLOBAL_ROOT}/forwardingRules/k8s-fws-ml-ui--{uid}", target=tls)
        self.add(f"{GLOBAL_ROOT}/firewalls/k8s-fw-l7--{uid}", targetTags=[self.gke.tag],
                 network=LINK + NETWORK)  # fmt: skip

    def new_ingress(self) -> None:
        gke = self.gke
        tail = f"{gke.uid8}-ml-api-9f8e7d6c"
        cluster = f"/locations/{gke.location}/clusters/{gke.name}"
        text = json.dumps({"k8sCluster": cluster, "k8sResource": "/namespaces/ml/services/api"})
        group = self.neg(f"k8s1-{gke.uid8}-ml-api-80-9f8e7d6c")
        # its name says nothing: only the description does
        check = self.add(
            f"{GLOBAL_ROOT}/healthChecks/check-{gke.uid16[-2:]}-{gke.name[-1]}", description=text
        )
        service = self.add(f"{GLOBAL_ROOT}/backendServices/k8s1-{gke.uid8}-ml-api-80-9f8e7d6c",
                           backends=[{"group": group}], healthChecks=[check])  # fmt: skip
        urls = self.add(f"{GLOBAL_ROOT}/urlMaps/k8s2-um-{tail}",
                        pathMatchers=[{"defaultService": service}])  # fmt: skip
        cert = self.add(f"{GLOBAL_ROOT}/sslCertificates/k8s2-cr-{tail}")
        proxy = self.add(f"{GLOBAL_ROOT}/targetHttpsProxies/k8s2-ts-{tail}",
                         urlMap=urls, sslCertificates=[cert])  # fmt: skip
        self.add(f"{GLOBAL_ROOT}/forwardingRules/k8s2-fs-{tail}", target=proxy)

    def cut_names(self) -> None:
        """Cut at 62 characters: 15 digits of the id are left, the same for both clusters."""
        whole = "k8s-um-" + f"{self.gke.name[-6:]:x>38}" + "--" + self.gke.uid16
        name = whole[:62] + "0"
        assert len(name) == 63
        self.hinted.add(self.world.add(f"{GLOBAL_ROOT}/urlMaps/{name}"))

    def volumes_and_routes(self) -> None:
        gke = self.gke
        labels = {"goog-k8s-cluster-name": gke.name, "goog-k8s-cluster-location": gke.location}
        pvc = f"pvc-{gke.kube_uid}"
        text = json.dumps({"kubernetes.io/created-for/pvc/name": "data"})
        self.add(f"{ZONAL}/disks/{pvc}", labels=labels, description=text, sizeGb="10",
                 status="READY", type=f"{LINK}{ZONAL}/diskTypes/pd-ssd")  # fmt: skip
        bare = {"goog-k8s-cluster-name": gke.name}
        self.add(f"{REGIONAL}/disks/{pvc}-r", labels=bare, sizeGb="20", status="READY")
        self.add(f"{GLOBAL_ROOT}/routes/gke-{gke.name}-{gke.gke_id[:8]}-r", tags=[gke.tag],
                 network=LINK + NETWORK)  # fmt: skip


def neighbours(world: World) -> None:
    """Plant what others own and what only looks like ours."""
    fw = f"{GLOBAL_ROOT}/firewalls"
    net = {"network": LINK + NETWORK}
    world.add(NETWORK)
    world.add(f"{REGIONAL}/subnetworks/shared", **net)
    world.add(f"{ZONAL}/disks/pvc-of-nobody", sizeGb="1")
    world.add(f"{ZONAL}/disks/theirs", labels={"goog-k8s-cluster-name": "ml-sabcdefgh2345-x"})
    world.add(
        f"{ZONAL}/disks/elsewhere",
        labels={"goog-k8s-cluster-name": GONE.name, "goog-k8s-cluster-location": "europe-west1"},
    )
    world.add(f"{fw}/two-owners", targetTags=[GONE.tag, "bastion"], **net)
    world.add(f"{fw}/other-hash", targetTags=[f"gke-{GONE.name}-00000000-node"], **net)
    world.add(f"{REGIONAL}/forwardingRules/a{'0' * 31}", description='{"a": 1}')
    world.add(
        f"{ZONAL}/networkEndpointGroups/k8s1-zzzzzzzz-ml-web-80-1",
        description=json.dumps({"cluster-uid": GONE.kube_uid[:-1]}),
    )
    world.add(
        f"{ZONAL}/networkEndpointGroups/k8s1-{GONE.uid8}-ml-lie-80-1",
        description=json.dumps({"cluster-uid": LIVE.kube_uid}),
    )
    world.add("storage/v1/b/theirs", "storage.googleapis.com/Bucket", location="US")  # fmt: skip
