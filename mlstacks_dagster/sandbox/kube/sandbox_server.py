"""The emulated Kubernetes inside the sandbox's process: its port, its authority, its start.

The port is taken and the authority made when the sandbox starts; the server itself, and all that
it needs, is loaded when the first client connects.
"""

from __future__ import annotations

import base64
import json
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.files import write_private

from .tls import Identity, make_identity

if TYPE_CHECKING:
    from .hosting import SandboxClusters
    from .serving import Server

__all__ = ["SandboxKube", "local_kubeconfig"]

_FILE = "kube.json"
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05


class SandboxKube:
    """Serves the clusters of the sandbox on ``listener``."""

    def __init__(self, listener: socket.socket, access_keys: dict[str, str]) -> None:
        self._listener = listener
        self._access_keys = access_keys
        self._local_token = secrets.token_urlsafe(24)
        self._identity: Identity = make_identity()
        self._server: Server | None = None
        self._clusters: SandboxClusters | None = None

    @property
    def endpoint(self) -> str:
        """The URL that the clusters' URLs begin with."""
        host, port = self._listener.getsockname()[:2]
        return f"https://{host}:{port}"

    def install(self, folder: Path) -> None:
        """Tie moto's EKS to this, write down how local clusters are reached, await clients."""
        from .eks import serve_clusters  # noqa: PLC0415 - after listening

        serve_clusters(self.endpoint, self._identity.ca, self._forget)
        said = {
            "endpoint": self.endpoint,
            "ca": base64.b64encode(self._identity.ca).decode(),
            "token": self._local_token,
        }
        write_private(folder / _FILE, json.dumps(said).encode())
        threading.Thread(target=self._await_client, name="kube-first", daemon=True).start()

    def _await_client(self) -> None:
        select.select([self._listener], [], [])
        from .hosting import SandboxClusters  # noqa: PLC0415 - only once it is needed
        from .serving import Server  # noqa: PLC0415

        server = Server(self._listener, self._identity)
        clusters = SandboxClusters(
            server.scheduler, local_token=self._local_token, access_keys=self._access_keys
        )
        server.start(clusters.find)
        self._server, self._clusters = server, clusters

    def _forget(self, region: str, name: str) -> None:
        server, clusters = self._server, self._clusters
        if server is not None and clusters is not None:
            server.call(lambda: clusters.drop(region, name))


def local_kubeconfig(
    folder: Path,
    name: str = "local",
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return a kubeconfig for the local cluster ``name`` of the sandbox in ``folder``.

    The cluster comes into being with its first request. Raises :class:`SandboxError` when the
    sandbox isn't running.
    """
    from .kubeconfig import kubeconfig_document  # noqa: PLC0415

    deadline = clock() + _WAIT_SECONDS
    while True:
        try:
            said = json.loads((folder / _FILE).read_bytes())
            break
        except (OSError, ValueError) as error:
            if clock() > deadline or not (folder / "state.json").exists():
                raise SandboxError(
                    "the sandbox is not running", remedy="start it: mlstacks-dagster sandbox start"
                ) from error
        sleep(_POLL_SECONDS)
    endpoint = f"{said['endpoint']}/clusters/local/{name}"
    return kubeconfig_document(name, endpoint, base64.b64decode(said["ca"]), said["token"])
