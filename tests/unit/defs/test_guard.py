from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mlstacks_dagster.defs.guard import OriginGuard

OURS = {"host": "127.0.0.1:3000"}
FOREIGN = {**OURS, "origin": "https://evil.example"}
OWN = {**OURS, "origin": "http://127.0.0.1:3000"}


def ask(
    headers: dict[str, str],
    method: str = "POST",
    path: str = "/graphql",
    query: bytes = b"",
    kind: str = "http",
) -> str:
    """Return ``passed``, ``403`` or ``closed``."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append("passed")

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(str(message["status"]))
        if message["type"] == "websocket.close":
            seen.append("closed")

    scope = {
        "type": kind,
        "path": path,
        "query_string": query,
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    if kind == "http":
        scope["method"] = method
    asyncio.run(OriginGuard(app)(scope, receive, send))
    return seen[0]


@pytest.mark.parametrize(
    ("kwargs", "answer"),
    [
        ({"headers": OWN}, "passed"),
        ({"headers": OURS}, "passed"),
        ({"headers": OURS, "method": "GET", "path": "/"}, "passed"),
        ({"headers": OURS, "method": "GET"}, "passed"),
        ({"headers": FOREIGN, "method": "GET", "path": "/runs/x"}, "passed"),
        ({"headers": OWN, "kind": "websocket"}, "passed"),
        ({"headers": FOREIGN}, "403"),
        ({"headers": FOREIGN, "path": "/report_asset_materialization/x"}, "403"),
        ({"headers": {**OURS, "origin": "null"}}, "403"),
        ({"headers": {**OURS, "sec-fetch-site": "cross-site"}}, "403"),
        ({"headers": {**OURS, "sec-fetch-site": "same-site"}}, "403"),
        ({"headers": OURS, "method": "GET", "query": b"query=mutation{x}"}, "403"),
        ({"headers": OURS, "method": "HEAD", "query": b"query=mutation{x}"}, "403"),
        ({"headers": OURS, "method": "GET", "path": "/graphql/", "query": b"query=x"}, "403"),
        ({"headers": FOREIGN, "kind": "websocket"}, "closed"),
    ],
)
def test_the_guard_serves_its_own_pages_and_nobody_else(
    kwargs: dict[str, Any], answer: str
) -> None:
    assert ask(**kwargs) == answer


def test_the_guard_is_put_in_front_of_dagster_s_server() -> None:
    """Uses a private hook of Dagster: a release without it must not go unnoticed."""
    from dagster_webserver.webserver import DagsterWebserver

    from mlstacks_dagster.defs import web

    before = DagsterWebserver.build_middleware
    try:
        web.install_guard()
        made = DagsterWebserver.build_middleware(object.__new__(DagsterWebserver))
    finally:
        DagsterWebserver.build_middleware = before  # type: ignore[method-assign]
    names = [getattr(m.cls, "__name__", "") for m in made]
    assert names[:2] == ["TrustedHostMiddleware", "OriginGuard"]
    assert len(names) > 2
