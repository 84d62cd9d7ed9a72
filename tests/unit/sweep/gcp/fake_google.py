"""A stand-in for Google's APIs on loopback: one store of objects, real paths, real rules.

Objects live under the path of their API, such as ``compute/v1/projects/p/zones/z/disks/d`` or
``v1/projects/p/locations/l/clusters/c``. What another object links to can't be deleted. Faults
are planted as functions that look at a request and may answer in its place.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Body = dict[str, Any]
Answer = tuple[int, Body]
Fault = Callable[["Request"], Answer | None]

LIST_KEYS = {
    "serviceAccounts": "accounts", "b": "items", "o": "items", "httpHealthChecks": "items",
    "regions": "items",
}  # fmt: skip
LINKING = re.compile(r'"(?:https?://[^"]*?/compute/v1/)?(projects/[^"]+)"')


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    query: dict[str, str]
    body: Body


@dataclass
class World:
    """The state of the stand-in; ``page`` is how many objects go into one page at most."""

    page: int = 500
    polls: int = 1
    objects: dict[str, Body] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    regions: tuple[str, ...] = ("europe-west1", "us-central1")
    multi_regions: tuple[str, ...] = ("europe",)
    unreachable: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    operations: dict[str, int] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, path: str, asset: str = "", **data: Any) -> str:
        """Plant an object under its API's path; returns its name without the API's prefix."""
        name = path.rpartition("/")[2]
        compute = path.startswith("compute/v1/")
        whole = "/locations/" in path and "/clusters/" not in path  # as these APIs say it
        own: Body = {"name": path.partition("/")[2] if whole else name, **data}
        if compute:
            link = f"https://www.googleapis.com/{path}"
            own = {"selfLink": link, "creationTimestamp": "2026-01-01T00:00:00.000-08:00", **own}
        self.objects[path] = own
        if asset:
            self.assets[path] = asset
        return re.sub(r"^(compute/v1|v1|v2|sql/v1beta4|dns/v1|storage/v1/b)/", "", path)

    def names(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.objects}

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if (told := fault(request)) is not None:
                    return told
            if any(request.path.startswith(prefix) for prefix in self.off):
                return error(
                    403, "accessNotConfigured", "the API is switched off", "SERVICE_DISABLED"
                )
            from tests.unit.sweep.gcp.google_routes import ROUTES

            for pattern, handler in ROUTES:
                if found := re.fullmatch(pattern, request.path):
                    return handler(self, request, *found.groups())
            return {"GET": self.get, "DELETE": self.delete}[request.verb](request)

    def get(self, request: Request) -> Answer:
        if request.path in self.objects:
            return 200, self.objects[request.path]
        key = LIST_KEYS.get(request.path.rpartition("/")[2], "")
        default = "items" if re.match(r"(compute|sql)/", request.path) else ""
        listed = [data for path, data in self.objects.items() if inside(path, request.path)]
        if not listed and not _is_list(request.path):
            return error(404, "notFound", request.path)
        key = key or default or request.path.rpartition("/")[2]
        return 200, self.paged(request, key, filtered(listed, request))

    def paged(self, request: Request, key: str, things: list[Any]) -> Body:
        start = int(request.query.get("pageToken") or 0)
        wanted = request.query.get("maxResults") or request.query.get("pageSize") or self.page
        end = start + min(int(wanted), self.page)
        more = {"nextPageToken": str(end)} if end < len(things) else {}
        return {key: things[start:end], **more}

    def delete(self, request: Request) -> Answer:
        path = request.path
        if path not in self.objects:
            return error(404, "notFound", path)
        if user := self.user_of(path):
            text = f"The resource '{path}' is already being used by '{user}'"
            return error(400, "resourceInUseByAnotherResource", text)
        if path.startswith("storage/v1/b/") and any(
            inside(one, f"{path}/o") for one in self.objects
        ):
            return error(409, "conflict", "The bucket you tried to delete is not empty.")
        if self.objects[path].get("deployedModels"):
            return error(400, "FAILED_PRECONDITION", "Endpoint has deployed models")
        if self.objects[path].get("state") == "JOB_STATE_RUNNING":
            return error(400, "FAILED_PRECONDITION", "The job is running")
        if path not in self.failing:
            del self.objects[path]
            self.assets.pop(path, None)
        return 200, self.operation(path)

    def calls(self, verb: str, word: str = "") -> list[str]:
        return [r.path for r in self.requests if r.verb == verb and word in r.path]

    def user_of(self, path: str) -> str:
        """Return who links to an object of compute, or has its address, or nothing."""
        own = path.removeprefix("compute/v1/")
        if own == path:
            return ""
        data = self.objects[path]
        for user in data.get("users") or ():
            if "compute/v1/" + LINKING.findall(f'"{user}"')[0] in self.objects:
                return str(user)
        for other, theirs in self.objects.items():
            said = {key: value for key, value in theirs.items() if key not in ("selfLink", "users")}
            if other != path and own in LINKING.findall(json.dumps(said)):
                return other
            if "address" in data and theirs.get("IPAddress") == data["address"]:
                return other
        return ""

    def operation(self, path: str) -> Body:
        """Begin an operation in the form of the API that owns ``path``."""
        name = f"operation-{len(self.operations) + 1}"
        self.operations[name] = 0
        if path in self.failing:
            self.failing[name] = self.failing[path]
        if path.startswith(("compute/", "sql/")) or "/clusters/" in path:
            return self.state(name)
        if "/locations/" in path:
            place = re.sub(r"^v\d/(.*/locations/[^/]+)/.*$", r"\1", path)
            return {"name": f"{place}/operations/{name}", "done": False}
        return {}

    def state(self, name: str) -> Body:
        done = self.operations[name] >= self.polls
        self.operations[name] += 1
        told: Body = {"name": name, "status": "DONE" if done else "RUNNING"}
        if done and name in self.failing:
            told["error"] = {"errors": [{"code": self.failing[name], "message": "it failed"}]}
        return told


def error(status: int, reason: str, message: str, detail: str = "") -> Answer:
    body: Body = {"code": status, "message": message, "errors": [{"reason": reason}]}
    if detail:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        body["details"] = [{"@type": kind, "reason": detail, "domain": "googleapis.com"}]
    return status, {"error": body}


def inside(path: str, collection: str) -> bool:
    """Tell whether an object is in a collection; ``locations/-`` stands for all."""
    parent = path.rpartition("/")[0]
    return parent == collection or (
        "/-/" in collection
        and re.fullmatch(re.escape(collection).replace(r"/\-/", "/[^/]+/"), parent) is not None
    )


def _is_list(path: str) -> bool:
    """A path whose last word is a collection: plural, or storage's b and o."""
    last = path.rpartition("/")[2]
    return last in ("b", "o") or re.fullmatch(r"[a-zA-Z]+s", last) is not None


def filtered(things: list[Body], request: Request) -> list[Body]:
    names = re.findall(r'name = "([^"]+)"', request.query.get("filter", ""))
    return [one for one in things if not names or one["name"] in names]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: World

    def log_message(self, *_args: Any) -> None: ...

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        parts = urlsplit(self.path)
        query: dict[str, str] = {}
        for key, value in parse_qsl(parts.query):
            query[key] = f"{query[key]},{value}" if key in query else value
        request = Request(self.command, unquote(parts.path.strip("/")), query, body)
        status, told = self.world.answer(request)
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serve a world and yield its address; ended with the block."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # else a burst of new connections waits a second

    handler = type("Handler", (_Handler,), {"world": world})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
