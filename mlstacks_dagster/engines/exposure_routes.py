"""The ways in that routes open: of the Gateway API, of Traefik and of Istio.

A route says for which hosts it is; where these are served stands elsewhere, in a Gateway or in
the Service of the proxy. Where that isn't found, the host can still be asked by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlstacks_dagster.engines.exposure_doors import (
    Door,
    balancer_addresses,
    own_port,
    plain_paths,
)
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_errors import KubeError
from mlstacks_dagster.engines.kube_objects import ObjectRef

__all__ = ["of_http_route", "of_ingress_route", "of_virtual_service"]

_MESH = "mesh"
_TRAEFIK = "app.kubernetes.io/name=traefik"
_HOST_RULE = re.compile(r"\bHost(?:SNI)?\(([^)]*)\)")
_PATH_RULE = re.compile(r"\bPath(?:Prefix)?\(([^)]*)\)")
_QUOTED = re.compile(r"[`\"']([^`\"']*)[`\"']")
_FORBIDDEN = 403
_UNKNOWN = "where it is served isn't known"


def of_http_route(kube: KubeClient, live: Mapping[str, Any]) -> Iterator[Door]:
    """Yield the doors of a route of the Gateway API, one for each host and listener."""
    spec = live["spec"]
    matches = (m for rule in spec.get("rules") or () for m in rule.get("matches") or ())
    paths = plain_paths((match.get("path") or {}).get("value") for match in matches)
    for parent in spec.get("parentRefs") or ():
        if parent.get("kind", "Gateway") != "Gateway":
            continue
        gateway = _get(kube, live, parent["name"], parent.get("namespace"))
        addresses = (gateway.get("status") or {}).get("addresses") or ()
        address = next((str(a["value"]) for a in addresses if a.get("value")), "")
        for listener in _listeners(gateway, parent):
            for host in spec.get("hostnames") or (listener.get("hostname") or "",):
                port = listener.get("port")
                yield _door(listener.get("protocol"), host, address, port, paths)


def _listeners(
    gateway: Mapping[str, Any], parent: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """Return the listeners that a route's ``parent`` names; one that says nothing if unknown."""
    known = (gateway.get("spec") or {}).get("listeners") or ()
    pairs = (("sectionName", "name"), ("port", "port"))
    return [
        listener
        for listener in known
        if all(parent.get(said) in (None, listener.get(own)) for said, own in pairs)
    ] or [{}]


def of_virtual_service(kube: KubeClient, live: Mapping[str, Any]) -> Iterator[Door]:
    """Yield the doors of a virtual service of Istio; one that is for the mesh only has none."""
    spec = live["spec"]
    matches = (m for rule in spec.get("http") or () for m in rule.get("match") or ())
    uris = (match.get("uri") or {} for match in matches)
    paths = plain_paths(u.get("prefix") or u.get("exact") or u.get("regex") for u in uris)
    for name in spec.get("gateways") or (_MESH,):
        if name == _MESH:
            continue
        namespace, _, short = str(name).rpartition("/")
        gateway = _get(kube, live, short, namespace).get("spec") or {}
        address = _served_by(kube, gateway.get("selector") or {})
        ports = [server.get("port") or {} for server in gateway.get("servers") or ()]
        for port in ports or [{}]:
            for host in spec.get("hosts") or ("*",):
                known = "" if host == "*" else host
                yield _door(port.get("protocol"), known, address, port.get("number"), paths)


def of_ingress_route(kube: KubeClient, live: Mapping[str, Any]) -> Iterator[Door]:
    """Yield the doors of a route of Traefik.

    Traefik's own Service says which entry points are open to the outside, by the names of its
    ports; a route of others has no door.
    """
    spec = live["spec"]
    service = next(iter(_services(kube, _TRAEFIK)), None)
    address = next(iter(balancer_addresses(service)), "") if service else ""
    ports = {p.get("name"): p for p in service["spec"].get("ports") or ()} if service else {}
    entries = spec.get("entryPoints") or ports or ("",)
    for route in spec.get("routes") or ():
        rule = str(route.get("match") or "")
        paths = plain_paths(_named(_PATH_RULE, rule))
        for host in _named(_HOST_RULE, rule) or ("",):
            for entry in entries:
                port = (ports.get(entry) or {}).get("port")
                if service and port is None:
                    continue
                protocol = "HTTPS" if "tls" in spec or port in (None, 443) else "HTTP"
                yield _door(protocol, "" if host == "*" else host, address, port, paths)


def _door(
    protocol: object, host: str, address: str, port: int | None, paths: tuple[str, ...]
) -> Door:
    scheme = "http" if str(protocol).upper() in ("HTTP", "HTTP2", "GRPC") else "https"
    return Door(scheme, host, address, own_port(scheme, port), paths, _UNKNOWN)


def _named(rule: re.Pattern[str], text: str) -> list[str]:
    return [name for inner in rule.findall(text) for name in _QUOTED.findall(inner)]


def _get(
    kube: KubeClient, route: Mapping[str, Any], name: str, namespace: str | None
) -> Mapping[str, Any]:
    """Return the Gateway that a route names, of the route's own API; empty if it isn't there."""
    place = namespace or str(route["metadata"].get("namespace") or "")
    ref = ObjectRef(str(route["apiVersion"]), "Gateway", name, place)
    try:
        return kube.get(ref) or {}
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return {}
        raise


def _services(kube: KubeClient, labels: str = "") -> Iterable[Mapping[str, Any]]:
    """Return the Services of type LoadBalancer in all namespaces, none if that is forbidden."""
    try:
        found = kube.list("v1", "Service", labels=labels)
    except KubeError as error:
        if error.status == _FORBIDDEN:
            return ()
        raise
    return [s for s in found if s["spec"].get("type") == "LoadBalancer"]


def _served_by(kube: KubeClient, selector: Mapping[str, str]) -> str:
    """Return the address of the load balancer before the pods of ``selector``."""
    if not selector:
        return ""
    for service in _services(kube):
        if selector.items() <= (service["spec"].get("selector") or {}).items():
            return next(iter(balancer_addresses(service)), "")
    return ""
