"""A guard in front of Dagster's web server, as plain ASGI.

Dagster's server runs mutations over GET and asks neither for the Host nor for the Origin of a
request, so any page that the user visits could launch a teardown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["ALLOWED_HOSTS", "OriginGuard", "refusal"]

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class OriginGuard:
    """Refuses requests from other sites, and GraphQL in a URL."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with 403 (a WebSocket: by closing it)."""
        why = refusal(scope) if scope["type"] in ("http", "websocket") else None
        if why is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": why})
        else:
            await PlainTextResponse(f"forbidden: {why}\n", 403)(scope, receive, send)


def refusal(scope: Scope) -> str | None:
    """Return why a request is refused, or None."""
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
    graphql = scope["path"].rstrip("/").endswith("/graphql")
    changing = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
    if (graphql or changing) and _is_foreign(headers):
        return "the request comes from another site"
    if graphql and not changing and b"query=" in scope.get("query_string", b""):
        return "GraphQL is served over POST only"
    return None


def _is_foreign(headers: dict[str, Any]) -> bool:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return True
    return headers.get("sec-fetch-site") in ("cross-site", "same-site")
