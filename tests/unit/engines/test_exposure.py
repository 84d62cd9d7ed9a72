"""Which ways into a cluster there are, and how each is asked."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlstacks_dagster.engines.exposure import Reachable, ask, judge, judge_all, reachable
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.sandbox.kube.tls import make_identity

BALANCER = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}
GATEWAY_API = "gateway.networking.k8s.io/v1"
ISTIO = "networking.istio.io/v1"
TRAEFIK = "traefik.io/v1alpha1"
REF = ObjectRef("v1", "Service", "web", "ml")


class Objects:
    """Answers with given objects: no emulator gives routes a status. ``refused`` kinds are 403."""

    def __init__(self, *objects: dict[str, Any], refused: tuple[str, ...] = ()) -> None:
        self.objects = objects
        self.refused = refused

    def get(self, ref: ObjectRef) -> dict[str, Any] | None:
        return next((o for o in self._of(ref.api_version, ref.kind) if ref == ref_of(o)), None)

    def list(self, api_version: str, kind: str, labels: str = "") -> list[dict[str, Any]]:
        name, _, value = labels.partition("=")
        return [
            o
            for o in self._of(api_version, kind)
            if not labels or (o["metadata"].get("labels") or {}).get(name) == value
        ]

    def _of(self, api_version: str, kind: str) -> Iterator[dict[str, Any]]:
        if kind in self.refused:
            raise KubeError("no", status=403)
        return (o for o in self.objects if (o["apiVersion"], o["kind"]) == (api_version, kind))


def ref_of(obj: dict[str, Any]) -> ObjectRef:
    metadata = obj["metadata"]
    return ObjectRef(obj["apiVersion"], obj["kind"], metadata["name"], metadata["namespace"])


def make(
    api_version: str,
    kind: str,
    spec: dict[str, Any],
    status: dict[str, Any] | None = None,
    name: str = "web",
    namespace: str = "ml",
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    made = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    return {**made, "status": status or {}}


def service(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return make("v1", "Service", spec, status)


def ingress(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return make("networking.k8s.io/v1", "Ingress", spec, status)


def node(**addresses: str) -> dict[str, Any]:
    known = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return make("v1", "Node", {}, {"addresses": known}, name="one")


def ways(first: dict[str, Any], *others: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Return URL (or why there is none) and address of each way that ``first`` opens."""
    kube = Objects(first, *others, refused=more.get("refused", ()))
    found = reachable(kube, [ref_of(first)], more.get("paths", {}))  # type: ignore[arg-type]
    return [(way.url or way.why, way.address) for way in found]


def test_a_service_inside_opens_nothing() -> None:
    assert ways(service(type="ClusterIP", ports=[{"port": 80}])) == []
    assert ways(service(type="ExternalName", externalName="x.example")) == []


def test_a_load_balancer_without_an_address_is_a_way_that_is_not_known() -> None:
    assert ways(service(type="LoadBalancer", ports=[{"port": 80}])) == [("has no address yet", "")]


@pytest.mark.parametrize(
    ("port", "url"),
    [
        ({"port": 80}, "http://lb.example:80/"),
        ({"port": 443}, "https://lb.example:443/"),
        ({"port": 9443, "name": "https-web"}, "https://lb.example:9443/"),
        ({"port": 9443, "appProtocol": "https"}, "https://lb.example:9443/"),
    ],
)
def test_a_port_s_name_or_number_says_what_it_speaks(port: dict[str, Any], url: str) -> None:
    udp = {"port": 53, "protocol": "UDP"}
    assert ways(service(BALANCER, type="LoadBalancer", ports=[port, udp])) == [(url, "")]


def test_a_node_port_is_asked_at_a_node_that_is_seen_from_outside() -> None:
    open_port = service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    inside, outside = node(InternalIP="10.0.0.1"), node(ExternalIP="198.51.100.1")
    assert ways(open_port, inside, outside) == [("http://198.51.100.1:30080/", "")]
    assert ways(open_port, inside) == [("http://10.0.0.1:30080/", "")]
    unknown = [("no node's address is known", "")]
    assert ways(open_port) == unknown
    assert ways(open_port, inside, refused=("Node",)) == unknown


def test_external_addresses_are_ways_in_whatever_the_type() -> None:
    given = service(type="ClusterIP", externalIPs=["198.51.100.7", "::1"], ports=[{"port": 80}])
    assert ways(given) == [("http://198.51.100.7:80/", ""), ("http://[::1]:80/", "")]


def test_an_ingress_is_asked_at_its_load_balancer_before_dns_knows_its_hosts() -> None:
    spec = {
        "tls": [{"hosts": ["a.example"]}],
        "rules": [{"host": "a.example"}, {"host": "*.b.example"}],
    }
    assert ways(ingress(BALANCER, **spec)) == [
        ("https://a.example/", "lb.example"),
        ("http://any.b.example/", "lb.example"),
    ]
    assert ways(ingress(**spec)) == [("https://a.example/", ""), ("http://any.b.example/", "")]


def test_an_ingress_for_every_host_and_a_default_backend_are_ways_in() -> None:
    everybody = {"rules": [{"http": {"paths": [{"path": "/ui"}]}}]}
    assert ways(ingress(BALANCER, **everybody)) == [("http://lb.example/ui", "")]
    default = {"defaultBackend": {"service": {"name": "web"}}, "tls": [{"secretName": "x"}]}
    assert ways(ingress(BALANCER, **default)) == [("https://lb.example/", "")]
    assert ways(ingress(**default)) == [("has no address yet", "")]


def test_the_paths_that_are_routed_are_asked_unless_the_unit_names_one() -> None:
    entries = [{"path": "/api(/|$)(.*)"}, {"path": "/ui"}, {"path": "/*"}]
    given = ingress(BALANCER, rules=[{"host": "a.example", "http": {"paths": entries}}])
    assert [url for url, _ in ways(given)] == [
        "http://a.example/api",
        "http://a.example/ui",
        "http://a.example/",
    ]
    named = ways(given, paths={"web": "/users?all=1"})
    assert named == [("http://a.example/users?all=1", "lb.example")]


def test_a_route_of_the_gateway_api_is_asked_at_its_gateway() -> None:
    route = make(
        GATEWAY_API,
        "HTTPRoute",
        {
            "hostnames": ["a.example"],
            "parentRefs": [
                {"name": "front", "namespace": "edge", "sectionName": "tls"},
                {"name": "web", "kind": "Service", "group": ""},
            ],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/ui"}}]}],
        },
    )
    listeners = [
        {"name": "plain", "protocol": "HTTP", "port": 80},
        {"name": "tls", "protocol": "HTTPS", "port": 8443},
    ]
    status = {"addresses": [{"type": "Hostname", "value": "gw.example"}]}
    gateway = make(GATEWAY_API, "Gateway", {"listeners": listeners}, status, "front", "edge")
    assert ways(route, gateway) == [("https://a.example:8443/ui", "gw.example")]
    assert ways(route) == [("https://a.example/ui", "")]
    assert ways(route, gateway, refused=("Gateway",)) == [("https://a.example/ui", "")]
    del route["spec"]["hostnames"]
    assert ways(route, gateway) == [("https://gw.example:8443/ui", "")]
    assert ways(route) == [("where it is served isn't known", "")]


def test_a_virtual_service_is_asked_at_the_load_balancer_of_its_gateway_s_pods() -> None:
    spec = {
        "hosts": ["a.example"],
        "gateways": ["mesh", "edge/front"],
        "http": [{"match": [{"uri": {"prefix": "/v2"}}]}],
    }
    virtual = make(ISTIO, "VirtualService", spec)
    servers = [{"port": {"number": 80, "protocol": "HTTP"}}]
    selector = {"istio": "gateway"}
    gateway = make(
        ISTIO, "Gateway", {"selector": selector, "servers": servers}, None, "front", "edge"
    )
    pods = {"type": "LoadBalancer", "selector": {**selector, "app": "gateway"}}
    front = make("v1", "Service", pods, BALANCER, "gateway", "istio-ingress")
    other = make("v1", "Service", {"type": "LoadBalancer"}, BALANCER, "other", "istio-ingress")
    assert ways(virtual, gateway, other, front) == [("http://a.example/v2", "lb.example")]
    assert ways(virtual, gateway, other) == [("http://a.example/v2", "")]
    assert ways(virtual, gateway, front, refused=("Service",)) == [("http://a.example/v2", "")]
    everybody = make(ISTIO, "VirtualService", {**spec, "hosts": ["*"]})
    assert ways(everybody, gateway, front) == [("http://lb.example/v2", "")]
    assert ways(make(ISTIO, "VirtualService", {"hosts": ["web"]})) == [], "for the mesh only"


def test_a_route_of_traefik_is_open_where_its_entry_point_is() -> None:
    rule = "Host(`a.example`) && PathPrefix(`/ui`)"
    ports = [{"name": "web", "port": 80}, {"name": "websecure", "port": 443}]
    labels = {"app.kubernetes.io/name": "traefik"}
    spec = {"type": "LoadBalancer", "ports": ports}
    proxy = make("v1", "Service", spec, BALANCER, "traefik", "traefik", labels)

    def route(*entries: str) -> dict[str, Any]:
        routes = [{"match": rule, "kind": "Rule"}]
        return make(TRAEFIK, "IngressRoute", {"routes": routes, "entryPoints": list(entries)})

    assert ways(route("websecure"), proxy) == [("https://a.example/ui", "lb.example")]
    assert ways(route(), proxy) == [
        ("http://a.example/ui", "lb.example"),
        ("https://a.example/ui", "lb.example"),
    ]
    assert ways(route("traefik"), proxy) == [], "no port of the Service leads there"
    assert ways(route("traefik")) == [("https://a.example/ui", "")]


class Web(http.server.BaseHTTPRequestHandler):
    """Answers 200 to whoever asks for ``a.example/ui``, and 404 to everybody else."""

    def do_GET(self) -> None:
        good = (self.headers["Host"], self.path) == ("a.example", "/ui")
        self.send_response(200 if good or ":" in self.headers["Host"] else 404)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def own_ports(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The schemes' ports, to be set: nobody may listen at 80 and 443 in a test."""
    ports = {"http": 80, "https": 443}
    monkeypatch.setattr("mlstacks_dagster.engines.exposure._PORTS", ports)
    return ports


def test_a_host_that_dns_does_not_know_is_asked_at_the_given_address(
    own_ports: dict[str, int],
) -> None:
    with web() as own_ports["http"]:
        assert ask("http://a.example/ui", "127.0.0.1") == (200, "")
        assert ask("http://b.example/ui", "127.0.0.1") == (404, "")


def test_the_host_is_named_in_the_tls_handshake(own_ports: dict[str, int]) -> None:
    context = make_identity().server_context()
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with web(context) as own_ports["https"]:
        assert ask("https://a.example/ui", "127.0.0.1") == (200, "")
    assert names == ["a.example"]


def test_an_https_server_behind_a_port_that_seemed_to_be_http_is_asked_too() -> None:
    context = make_identity().server_context()
    with web(context) as port:
        assert judge(Reachable(REF, f"http://127.0.0.1:{port}/"), ask).open


def test_a_server_that_answers_400_to_http_is_asked_by_https() -> None:
    answers = {"http://x:9000/": (400, ""), "https://x:9000/": (200, "")}
    assert judge(Reachable(REF, "http://x:9000/"), lambda url, _: answers[url]).open


def test_a_way_without_an_address_is_not_asked_and_nothing_is_known_of_it() -> None:
    def never(url: str, address: str) -> tuple[int, str]:
        raise AssertionError(url, address)

    verdict = judge(Reachable(REF, why="has no address yet"), never)
    assert (verdict.answered, verdict.open, verdict.answer) == (False, False, "has no address yet")


def test_all_ways_are_asked_at_once_each_at_its_address() -> None:
    waiting = threading.Barrier(2, timeout=5)

    def probe(url: str, address: str) -> tuple[int, str]:
        waiting.wait()
        return (200 if address == "one" else 401), ""

    given = [Reachable(REF, "http://x/", "one"), Reachable(REF, "http://x/", "two")]
    assert [verdict.open for verdict in judge_all(given, probe)] == [True, False]
