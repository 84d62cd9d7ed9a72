"""The HTTP server of emulated clusters: an event loop in a thread, TLS on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .calls import Call, Reply, Request
from .cluster import Cluster
from .errors import ApiError
from .faults import Fault
from .tls import Identity
from .watch import Watch

__all__ = ["Found", "LoopScheduler", "Server"]

# As in a real cluster; what is larger is refused before it is read.
_OBJECT_LIMIT = 3 * 1024 * 1024
_LOG = logging.getLogger(__name__)

# From request headers and path: the cluster, and the path below it. Raises ApiError.
Found = Callable[[Request], tuple[Cluster, Request]]


class LoopScheduler:
    """Does things later, on an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def later(self, seconds: float, task: Callable[[], None]) -> None:
        """Call ``task`` after ``seconds``; what it raises is logged."""

        def run() -> None:
            try:
                task()
            except Exception:  # noqa: BLE001 - one failure must not end the others
                _LOG.exception("a controller of the emulated Kubernetes failed")

        self._loop.call_later(seconds, run)


class Server:
    """Serves the clusters that ``find`` finds, on ``listener``, until it is stopped."""

    def __init__(self, listener: socket.socket, identity: Identity | None) -> None:
        self._listener = listener
        self._identity = identity
        self.loop = asyncio.new_event_loop()
        self.scheduler = LoopScheduler(self.loop)
        self._find: Found | None = None
        self._thread = threading.Thread(target=self._run, name="kube-emulator", daemon=True)
        self._started = threading.Event()

    def start(self, find: Found) -> None:
        """Serve in a thread; returns once requests are taken."""
        self._find = find
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End the thread; open watches are cut."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` on the server's thread and return what it returns."""
        return asyncio.run_coroutine_threadsafe(_as_coroutine(function), self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        runner = self.loop.run_until_complete(self._listen())
        self._started.set()
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(runner.cleanup())
            self.loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application(client_max_size=_OBJECT_LIMIT)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        context = self._identity.server_context() if self._identity else None
        await web.SockSite(runner, self._listener, ssl_context=context).start()
        return runner

    async def _handle(self, raw: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(raw)
        except ApiError as error:
            return _response(Reply(error.status, code=error.code, headers=error.headers))
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception as error:  # noqa: BLE001 - a server answers whatever happens
            _LOG.error("%s %s: %s", raw.method, raw.path, traceback.format_exc())
            failure = ApiError(500, "InternalError", f"{type(error).__name__}: {error}")
            return _response(Reply(failure.status, code=500))

    async def _answer(self, raw: web.Request) -> web.StreamResponse:
        if "origin" in raw.headers:
            raise ApiError(403, "Forbidden", "the emulator doesn't serve web pages")
        if (raw.content_length or 0) > _OBJECT_LIMIT:
            raise ApiError(413, "RequestEntityTooLarge", f"limit is {_OBJECT_LIMIT}")
        if self._find is None:
            raise ApiError(503, "ServiceUnavailable", "not started")
        request = Request(
            raw.method,
            raw.path,
            dict(raw.query),
            {name.lower(): value for name, value in raw.headers.items()},
            await raw.read(),
        )
        cluster, request = self._find(request)
        fault = cluster.faults.next_for(request)
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            if not fault.after:
                _fail(raw, fault)
        call = cluster.handler.find(request)
        if call is not None and call.watch:
            return await self._watch(raw, cluster, call)
        reply = cluster.handler.serve(request, call)
        if fault is not None:
            _fail(raw, fault)
        return _response(reply)

    async def _watch(self, raw: web.Request, cluster: Cluster, call: Call) -> web.StreamResponse:
        def is_open() -> bool:
            gone = raw.transport is None or raw.transport.is_closing()
            return not gone and not cluster.context.closed

        watch = Watch(call, cluster.store)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(raw)
        with contextlib.suppress(ConnectionResetError):
            async for line in watch.lines(is_open):
                await response.write(line)
        return response


def _fail(raw: web.Request, fault: Fault) -> None:
    if fault.reset:
        if raw.transport is not None:
            raw.transport.abort()
        raise ConnectionResetError("this fault was injected")
    if fault.status:
        raise fault.error()


def _response(reply: Reply) -> web.Response:
    headers = {**reply.headers, "Content-Type": reply.content_type}
    return web.Response(body=reply.body(), status=reply.code, headers=headers)


async def _as_coroutine(function: Callable[[], Any]) -> Any:
    return function()
