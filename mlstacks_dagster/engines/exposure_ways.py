"""The ways into a cluster that the objects of a release open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlstacks_dagster.engines.exposure_doors import (
    Door,
    balancer_addresses,
    plain_paths,
    scheme_of_port,
)
from mlstacks_dagster.engines.exposure_routes import (
    of_http_route,
    of_ingress_route,
    of_virtual_service,
)
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef

__all__ = ["Reachable", "reachable"]

_FORBIDDEN = 403


@dataclass(frozen=True)
class Reachable:
    """A way into the cluster: the object that opens it, and a URL of it.

    ``address`` is where the URL's host is to be asked, when that isn't where DNS says. A way
    without a URL can't be asked, and ``why`` says why not.
    """

    ref: ObjectRef
    url: str = ""
    address: str = ""
    why: str = ""

    @property
    def label(self) -> str:
        """The URL, or the object when there is none."""
        return self.url or str(self.ref)


def reachable(
    kube: KubeClient, refs: Iterable[ObjectRef], paths: Mapping[str, str]
) -> tuple[Reachable, ...]:
    """Return the ways in that the Services, Ingresses and routes among ``refs`` open.

    ``paths`` has the path to ask for, by the object's name; default what the object routes,
    else ``/``. Raises :class:`KubeError`.
    """
    found: dict[Reachable, None] = {}
    for ref in refs:
        doors_of = _KINDS.get((ref.group, ref.kind))
        live = kube.get(ref) if doors_of else None
        if doors_of is None or live is None:
            continue
        for door in doors_of(kube, live):
            found |= dict.fromkeys(_ways(ref, door, paths.get(ref.name)))
    return tuple(found)


def _ways(ref: ObjectRef, door: Door, path: str | None) -> Iterator[Reachable]:
    origin = door.origin
    if not origin:
        yield Reachable(ref, why=door.why or "has no address yet")
        return
    for asked in (path,) if path else door.paths:
        address = door.address if door.host else ""
        yield Reachable(ref, f"{origin}/{asked.lstrip('/')}", address)


def _of_service(kube: KubeClient, live: Mapping[str, Any]) -> Iterator[Door]:
    spec = live["spec"]
    kind = spec.get("type")
    ports = [p for p in spec.get("ports") or () if p.get("protocol", "TCP") == "TCP"]
    hosts = list(spec.get("externalIPs") or ()) if kind != "ExternalName" else []
    if kind == "LoadBalancer":
        balancers = balancer_addresses(live)
        hosts += balancers
        if not balancers:
            yield Door()
    for host in hosts:
        for port in ports:
            yield Door(scheme_of_port(port), host, port=int(port["port"]))
    if kind == "NodePort":
        node = _node_address(kube)
        for port in ports:
            if port.get("nodePort"):
                why = "" if node else "no node's address is known"
                yield Door(scheme_of_port(port), node, port=int(port["nodePort"]), why=why)


def _node_address(kube: KubeClient) -> str:
    """Return an address under which a node answers, one that is seen from outside if any is."""
    try:
        nodes = kube.list("v1", "Node")
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return ""
        raise
    known = [a for node in nodes for a in (node.get("status") or {}).get("addresses") or ()]
    for kind in ("ExternalIP", "ExternalDNS", "InternalIP"):
        for address in known:
            if address.get("type") == kind:
                return str(address["address"])
    return ""


def _of_ingress(_kube: KubeClient, live: Mapping[str, Any]) -> Iterator[Door]:
    spec = live["spec"]
    tls = spec.get("tls") or ()
    secured = {host for entry in tls for host in entry.get("hosts") or ()}
    if any(not entry.get("hosts") for entry in tls):
        secured.add("")
    address = next(iter(balancer_addresses(live)), "")
    routed = [
        (rule.get("host") or "", (rule.get("http") or {}).get("paths") or ())
        for rule in spec.get("rules") or ()
    ]
    if spec.get("defaultBackend"):
        routed.append(("", ()))
    for host, entries in routed:
        scheme = "https" if secured & {host, ""} else "http"
        paths = plain_paths(entry.get("path") for entry in entries)
        yield Door(scheme, host, address, paths=paths)


_DoorsOf = Callable[[KubeClient, Mapping[str, Any]], Iterator[Door]]

_KINDS: dict[tuple[str, str], _DoorsOf] = {
    ("", "Service"): _of_service,
    ("networking.k8s.io", "Ingress"): _of_ingress,
    ("gateway.networking.k8s.io", "HTTPRoute"): of_http_route,
    ("gateway.networking.k8s.io", "GRPCRoute"): of_http_route,
    ("gateway.networking.k8s.io", "TLSRoute"): of_http_route,
    ("traefik.io", "IngressRoute"): of_ingress_route,
    ("traefik.io", "IngressRouteTCP"): of_ingress_route,
    ("traefik.containo.us", "IngressRoute"): of_ingress_route,
    ("networking.istio.io", "VirtualService"): of_virtual_service,
}
