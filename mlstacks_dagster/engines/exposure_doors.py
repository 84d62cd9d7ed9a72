"""What a way into a cluster consists of, and what all kinds of them have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Door", "balancer_addresses", "own_port", "plain_paths", "scheme_of_port"]

_TLS_PORTS = frozenset({443, 8443})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SPECIAL = re.compile(r"[^\w\-./~%:@]")


@dataclass(frozen=True)
class Door:
    """A host, and the address that serves it; one of both may be unknown.

    ``why`` says why a door with neither can't be asked. ``port`` is None for the scheme's own.
    """

    scheme: str = "http"
    host: str = ""
    address: str = ""
    port: int | None = None
    paths: tuple[str, ...] = ("/",)
    why: str = ""

    @property
    def origin(self) -> str:
        """The beginning of the door's URLs; any host stands for a wildcard's."""
        host = self.host.replace("*", "any") or self.address
        if not host:
            return ""
        shown = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{shown}" + (f":{self.port}" if self.port else "")


def balancer_addresses(live: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the load balancer of a Service or an Ingress."""
    entries = ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [str(e.get("hostname") or e.get("ip")) for e in entries if len(e)]


def scheme_of_port(port: Mapping[str, Any]) -> str:
    """Return what a Service's port most likely speaks, by what it is called and its number."""
    said = str(port.get("appProtocol") or port.get("name") or "").lower()
    return "https" if said.startswith("https") or int(port["port"]) in _TLS_PORTS else "http"


def own_port(scheme: str, port: int | None) -> int | None:
    """Return ``port``, None when it is the scheme's own."""
    return None if port == _DEFAULT_PORTS.get(scheme) else port


def plain_paths(paths: Iterable[object]) -> tuple[str, ...]:
    """Return paths that can be asked for; of a pattern its beginning; ``/`` when there are none."""
    beginnings = (_SPECIAL.split(str(path or "/"), maxsplit=1)[0] for path in paths)
    return tuple(dict.fromkeys(b.rstrip(".") or "/" for b in beginnings)) or ("/",)
