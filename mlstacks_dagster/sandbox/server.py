"""The sandbox's server: ``python -m mlstacks_dagster.sandbox.server --dir DIR --instance ID``.

One process that emulates AWS with moto, and the Kubernetes API of its EKS clusters, on the
loopback interface and free ports. It never
reaches out: connections and name look-ups that leave this machine are refused in the process.
A lock file that it holds for life makes it the only one of its folder.

Importing moto's EC2 takes longer than everything else, so the server listens first; requests
wait until the emulator and its rules are loaded.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil
from werkzeug.serving import BaseWSGIServer, make_server

from .provider import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from .state import HOST, IDENTITY_PATH, LOCK_NAME, SandboxState, write_state

__all__ = ["ALREADY_RUNNING", "Gate", "main"]

ALREADY_RUNNING = 3

_LOCK_ATTEMPTS = 10
_LOCK_PAUSE_SECONDS = 0.05
_ACCESS_LOG_BYTES = 5_000_000

_Environ = dict[str, Any]
_App = Callable[[_Environ, Callable[..., Any]], Iterable[bytes]]


class Gate:
    """Answers who this is, turns web pages away, and holds requests until moto is loaded."""

    def __init__(self, instance_id: str) -> None:
        self._identity = {"instance_id": instance_id, "pid": os.getpid()}
        self._loaded = threading.Event()
        self._app: _App | None = None

    def open(self, app: _App) -> None:
        """Let requests through to ``app``."""
        self._app = app
        self._loaded.set()

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request (WSGI)."""
        if _from_a_web_page(environ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"The sandbox doesn't serve web pages.\n"]
        if environ.get("PATH_INFO") == IDENTITY_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._identity).encode()]
        self._loaded.wait()
        if self._app is None:
            raise RuntimeError("the gate was opened without an application")
        return self._app(environ, start_response)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns :data:`ALREADY_RUNNING` when the folder has a server."""
    parser = argparse.ArgumentParser(prog="mlstacks_dagster.sandbox.server")
    parser.add_argument("--dir", type=Path, required=True, help="the sandbox's folder")
    parser.add_argument("--instance", required=True, help="id of this start")
    options = parser.parse_args(argv)
    os.umask(0o077)
    lock = _lock(options.dir / LOCK_NAME)
    if lock is None:
        return ALREADY_RUNNING
    with lock:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.addaudithook(_stay_local)
        _log_access(options.dir / "access.log")
        gate = Gate(options.instance)
        server = make_server(HOST, 0, gate, threaded=True, request_handler=_handler())
        kube = socket.create_server((HOST, 0))
        (options.dir / "kube.json").unlink(missing_ok=True)
        threading.Thread(target=_load, args=(gate, kube, options.dir), daemon=True).start()
        write_state(options.dir, _state(options.instance, server, kube))
        server.serve_forever()
    return 0


def _lock(path: Path) -> IO[bytes] | None:
    """Take the folder's lock; a starter that only looks at it holds it for an instant."""
    handle = path.open("ab")
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return handle
    handle.close()
    return None


def _leave(*_: object) -> None:
    # Nothing is worth saving, and worker threads must not delay the end.
    os._exit(0)


def _state(instance_id: str, server: BaseWSGIServer, kube: socket.socket) -> SandboxState:
    return SandboxState(
        instance_id=instance_id,
        pid=os.getpid(),
        created=psutil.Process().create_time(),
        port=server.port,
        kube_port=kube.getsockname()[1],
        started_at=datetime.now(UTC),
    )


def _load(gate: Gate, kube: socket.socket, folder: Path) -> None:
    """Load moto, tie the emulated Kubernetes to it and open the gate.

    A server that can't serve ends.
    """
    try:
        from moto.core.config import default_user_config  # noqa: PLC0415 - after listening

        default_user_config["iam"]["load_aws_managed_policies"] = True
        from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
            DomainDispatcherApplication,
            create_backend_app,
        )

        from .caching import keep_lookups  # noqa: PLC0415
        from .corrections import correct  # noqa: PLC0415
        from .ec2_rules import enforce  # noqa: PLC0415
        from .sagemaker_rules import enforce as enforce_sagemaker  # noqa: PLC0415

        keep_lookups()
        correct()
        enforce()
        enforce_sagemaker()
        from .kube.sandbox_server import SandboxKube  # noqa: PLC0415

        SandboxKube(kube, {ACCESS_KEY_ID: SECRET_ACCESS_KEY}).install(folder)
        gate.open(DomainDispatcherApplication(create_backend_app))
    except BaseException:  # noqa: BLE001 - a thread's end would leave a server that hangs
        traceback.print_exc()
        os._exit(1)


def _handler() -> Any:
    from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: PLC0415

    return MotoRequestHandler


def _from_a_web_page(environ: _Environ) -> bool:
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    return "HTTP_ORIGIN" in environ or site != "none"


def _stay_local(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = args[1]
        host = address[0] if isinstance(address, tuple) else HOST
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if host not in (HOST, "localhost", "::1", None, ""):
        raise ConnectionRefusedError(f"the sandbox doesn't talk to {host!r}")


def _log_access(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_ACCESS_LOG_BYTES, backupCount=1)
    errors = logging.StreamHandler()
    errors.setLevel(logging.ERROR)
    logger = logging.getLogger("werkzeug")
    logger.addHandler(handler)
    logger.addHandler(errors)
    logger.setLevel(logging.INFO)
    logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
