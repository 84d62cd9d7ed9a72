"""A loopback server that gives canned answers in AWS's protocols, for what moto lacks."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mlstacks_dagster.engines.wiring import Wiring

Answer = tuple[int, str, dict[str, str]]
"""Status, body, headers."""

_SCOPE = re.compile(r"Credential=([^/]*)/\d+/[^/]*/([^/]*)/")


class Request:
    """What the tests look at: who signed for which service, and what was asked."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: str) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        scope = _SCOPE.search(headers.get("authorization", ""))
        self.key, self.service = (scope[1], scope[2]) if scope else ("", "")


class FakeAws:
    """Serves ``answer(request)`` to every call and remembers the requests.

    ``answer`` may be replaced while it runs.
    """

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {k.lower(): v for k, v in self.headers.items()}
                body = self.rfile.read(size).decode(errors="replace")
                request = Request(self.command, self.path, headers, body)
                outer.requests.append(request)
                status, text, more = outer.answer(request)
                data = text.encode()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeAws:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wiring(self) -> Wiring:
        """Return the wiring that leads here, with one attempt for each call."""
        return Wiring(
            target="sandbox", endpoint_url=self.url, environment={"AWS_MAX_ATTEMPTS": "1"}
        )


def json_answer(body: object, status: int = 200) -> Answer:
    return status, json.dumps(body), {"content-type": "application/json"}


def error_answer(request: Request, code: str, status: int) -> Answer:
    """Return an error in the protocol of the request's service."""
    text = f"{code} on purpose"
    inner = f"<Code>{code}</Code><Message>{text}</Message>"
    xml = {
        "ec2": f"<Response><Errors><Error>{inner}</Error></Errors></Response>",
        "iam": f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>",
        "s3": f"<Error>{inner}</Error>",
    }.get(request.service)
    if xml is not None:
        return status, xml, {"content-type": "text/xml"}
    body = json.dumps({"__type": code, "message": text})
    return status, body, {"content-type": "application/json", "x-amzn-errortype": code}
