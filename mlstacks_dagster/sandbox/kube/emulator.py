"""A cluster of one's own for tests: ``with KubeEmulator() as kube: kube.kubeconfig(path)``."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from mlstacks_dagster.files import write_private

from .calls import Request
from .cluster import Cluster
from .context import Options
from .errors import unauthorized
from .faults import Fault
from .kubeconfig import kubeconfig_document
from .objects import Obj
from .schemas import DEFAULT_VERSION
from .serving import Server
from .tls import make_identity

__all__ = ["KubeEmulator"]


class KubeEmulator:
    """An emulated Kubernetes API on a free loopback port, in a thread of this process.

    ``version`` is a Kubernetes version such as ``1.34``; ``token`` is the bearer token that
    clients must send (None: a random one, see :attr:`token`); ``tls=False`` serves plain HTTP.
    """

    def __init__(
        self,
        name: str = "emulated",
        *,
        version: str = DEFAULT_VERSION,
        token: str | None = None,
        options: Options | None = None,
        tls: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self.token = secrets.token_urlsafe(24) if token is None else token
        self._identity = make_identity() if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = Server(self._listener, self._identity)
        self._cluster = Cluster(
            name, version, scheduler=self._server.scheduler, clock=clock, options=options
        )

    @property
    def endpoint(self) -> str:
        """The URL of the API."""
        scheme = "https" if self._identity else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def ca(self) -> bytes:
        """The certificate (PEM) that the server's is signed with; empty without TLS."""
        return self._identity.ca if self._identity else b""

    def start(self) -> Self:
        """Begin to serve."""
        self._server.start(self._find)
        return self

    def stop(self) -> None:
        """Stop serving; open watches are cut."""
        self._cluster.close()
        self._server.stop()
        self._listener.close()

    def __enter__(self) -> Self:
        """Begin to serve."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.stop()

    def kubeconfig(self, path: Path) -> str:
        """Write a kubeconfig (0600) for this cluster to ``path``; return its context's name."""
        document = kubeconfig_document(self.name, self.endpoint, self.ca, self.token)
        write_private(path, json.dumps(document).encode())
        return self.name

    def inject(self, fault: Fault) -> Callable[[], int]:
        """Let requests fail; the returned function says how many have."""
        hits = self._server.call(lambda: self._cluster.faults.add(fault))
        return lambda: int(self._server.call(hits))

    def clear_faults(self) -> None:
        """Let requests go well again."""
        self._server.call(self._cluster.faults.clear)

    def objects(self, plural: str, group: str = "", namespace: str | None = None) -> list[Obj]:
        """Return the objects of a collection, as they are now."""
        found = self._server.call(lambda: self._cluster.store.all((group, plural), namespace))
        return list(found)

    def everything(self) -> list[tuple[str, str | None, str]]:
        """Return plural with group, namespace and name of every object."""

        def collect() -> list[tuple[str, str | None, str]]:
            return sorted(
                (
                    (
                        f"{plural}.{group}".rstrip("."),
                        obj["metadata"].get("namespace"),
                        obj["metadata"]["name"],
                    )
                    for (group, plural), obj in self._cluster.store.everything()
                ),
                key=str,
            )

        return list(self._server.call(collect))

    def _find(self, request: Request) -> tuple[Cluster, Request]:
        given = request.headers.get("authorization", "")
        if self.token and not secrets.compare_digest(given, f"Bearer {self.token}"):
            raise unauthorized()
        return self._cluster, request
