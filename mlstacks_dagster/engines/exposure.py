"""What of a release can be reached from outside of its cluster, and does it ask who is there?

An endpoint that answers a request without credentials with a success shows its data to the world.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef

__all__ = ["Probe", "Reachable", "Verdict", "ask", "judge", "reachable"]

_TLS_PORTS = frozenset({443, 8443})
_SECONDS = 5.0
_MAX_REDIRECTS = 3

Probe = Callable[[str], tuple[int, str]]
"""Ask a URL without credentials; returns the status and where it redirects to, if it does."""


@dataclass(frozen=True)
class Reachable:
    """A way into the cluster: the object that opens it, and a URL of it."""

    ref: ObjectRef
    url: str


@dataclass(frozen=True)
class Verdict:
    """What an endpoint answered; ``open`` when it gave an answer without being told who asks."""

    url: str
    answer: str
    open: bool


def reachable(
    kube: KubeClient, refs: Iterable[ObjectRef], paths: Mapping[str, str]
) -> tuple[Reachable, ...]:
    """Return the ways in that the Services and Ingresses among ``refs`` open.

    ``paths`` has the path to ask for, by the object's name; default ``/``.
    """
    found: list[Reachable] = []
    for ref in refs:
        if ref.kind not in ("Service", "Ingress"):
            continue
        live = kube.get(ref)
        if live is None:
            continue
        origins = _of_service(live) if ref.kind == "Service" else _of_ingress(live)
        path = paths.get(ref.name, "/")
        found += [Reachable(ref, urljoin(origin, path)) for origin in origins]
    return tuple(found)


def judge(url: str, probe: Probe | None = None) -> Verdict:
    """Ask ``url`` without credentials and judge the answer.

    Redirects on the same host are followed (from http to https); one to another page, such as a
    login, is an answer that asks who is there.
    """
    asked, target = url, url
    for _ in range(_MAX_REDIRECTS):
        try:
            status, location = (probe or ask)(target)
        except OSError as error:
            return Verdict(asked, f"doesn't answer from here ({type(error).__name__})", open=False)
        following = urljoin(target, location) if location else ""
        if not 300 <= status < 400 or not _same_page(target, following):
            return Verdict(asked, str(status), open=200 <= status < 300)
        target = following
    return Verdict(asked, "redirects without end", open=False)


def ask(url: str) -> tuple[int, str]:
    """Send a GET without credentials; certificates aren't checked. Raises :class:`OSError`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323 - nothing is sent
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", parts.path or "/", headers={"Accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.getheader("Location") or ""
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def _same_page(url: str, following: str) -> bool:
    old, new = urlsplit(url), urlsplit(following)
    return (old.hostname, old.path.rstrip("/")) == (new.hostname, new.path.rstrip("/"))


def _of_service(live: Mapping[str, Any]) -> Iterator[str]:
    spec = live["spec"]
    if spec.get("type") != "LoadBalancer":
        return
    for entry in (live.get("status") or {}).get("loadBalancer", {}).get("ingress") or ():
        host = entry.get("hostname") or entry.get("ip")
        for port in spec.get("ports") or () if host else ():
            number = int(port["port"])
            if port.get("protocol", "TCP") == "TCP":
                scheme = "https" if number in _TLS_PORTS else "http"
                yield f"{scheme}://{host}:{number}/"


def _of_ingress(live: Mapping[str, Any]) -> Iterator[str]:
    spec = live["spec"]
    secured = {host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()}
    for rule in spec.get("rules") or ():
        host = rule.get("host")
        if host:
            yield f"{'https' if host in secured else 'http'}://{host}/"
