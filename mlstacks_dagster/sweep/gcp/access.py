"""The way to Google's APIs: credentials, clients of the real libraries, plain REST for the rest.

The libraries are imported when first used: they are an extra (``gcp``) and slow to load.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mlstacks_dagster.errors import ToolNotFoundError
from mlstacks_dagster.sweep.gcp.calls import ApiError, Caller, error_of_body

__all__ = ["GcpAccess", "as_dict"]

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT = 60.0


class GcpAccess:
    """Makes clients and calls for one identity.

    ``credentials`` are google-auth credentials; None takes the environment's own, unless
    ``endpoint`` (such as ``http://127.0.0.1:8080``, a stand-in for all services) is given.
    """

    def __init__(
        self, credentials: Any = None, *, endpoint: str = "", caller: Caller | None = None
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.caller = caller or Caller()
        self._credentials = credentials
        self._lock = threading.Lock()
        self._local = threading.local()

    def credentials(self) -> Any:
        """Return the google-auth credentials; raises ApiError when there are none."""
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        with self._lock:
            if self._credentials is None:
                try:
                    self._credentials = self._find_credentials()
                except GoogleAuthError as exc:
                    raise ApiError(401, "credentials", str(exc)) from exc
            return self._credentials

    def _find_credentials(self) -> Any:
        import google.auth  # noqa: PLC0415
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

        if self.endpoint:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return google.auth.default(scopes=_SCOPES)[0]

    def compute(self, name: str) -> Any:
        """Return this thread's client of google-cloud-compute, such as ``DisksClient``."""
        return self._client("google.cloud.compute_v1", name)

    def asset(self) -> Any:
        """Return this thread's client of Cloud Asset Inventory."""
        return self._client("google.cloud.asset_v1", "AssetServiceClient")

    def clusters(self) -> Any:
        """Return this thread's client of Kubernetes Engine."""
        return self._client("google.cloud.container_v1", "ClusterManagerClient")

    def projects(self) -> Any:
        """Return this thread's client of Resource Manager's projects."""
        return self._client("google.cloud.resourcemanager_v3", "ProjectsClient")

    def has(self, name: str) -> bool:
        """Tell whether google-cloud-compute has a client of that name."""
        return hasattr(_import("google.cloud.compute_v1"), name)

    def _client(self, module: str, name: str) -> Any:
        key = f"{module}.{name}"
        known = self._local.__dict__.setdefault("clients", {})
        if key not in known:
            options = {"api_endpoint": self.endpoint} if self.endpoint else None
            known[key] = getattr(_import(module), name)(
                credentials=self.credentials(), transport="rest", client_options=options
            )
        return known[key]

    def ask(self, service: str, method: Callable[..., Any], request: Mapping[str, Any]) -> Any:
        """Call a client's method once (with our retries, not its own) and return its answer."""
        return self.caller(
            service, lambda: method(request=dict(request), retry=None, timeout=_TIMEOUT)
        )

    def page(self, service: str, method: Callable[..., Any], request: Mapping[str, Any]) -> Any:
        """Call a client's listing method for one page and return that page as a dict."""
        pager = self.ask(service, method, request)
        return as_dict(next(iter(pager.pages)))

    def rest(
        self,
        verb: str,
        host: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call ``https://HOST.googleapis.com/PATH`` and return the answer's JSON.

        Raises ApiError for every status of 400 and above and when there is no answer.
        """
        base = self.endpoint or f"https://{host}.googleapis.com"
        url = f"{base}/{quote(path.lstrip('/'), safe='/:@%-_.~$')}"
        return self.caller(host, lambda: self._send(verb, url, params, body))

    def _send(
        self,
        verb: str,
        url: str,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        answer = self._session().request(verb, url, params=params, json=body, timeout=_TIMEOUT)
        if answer.status_code >= 400:
            raise error_of_body(answer.status_code, answer.text)
        data = json.loads(answer.text) if answer.text.strip() else {}
        if not isinstance(data, dict):
            raise json.JSONDecodeError("the answer is no object", answer.text[:80], 0)
        return data

    def pages(
        self, host: str, path: str, key: str, params: Mapping[str, Any] | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the entries under ``key`` page by page; each page is one call.

        Raises ApiError, also for places that the answer names as unreachable.
        """
        token = ""
        while True:
            ask = {**(params or {}), **({"pageToken": token} if token else {})}
            data = self.rest("GET", host, path, ask)
            if missing := data.get("unreachable") or data.get("warnings"):
                raise error_of_body(503, json.dumps({"error": {"message": f"{missing}"}}))
            yield data.get(key) or []
            token = str(data.get("nextPageToken") or "")
            if not token:
                return

    def _session(self) -> Any:
        if "session" not in self._local.__dict__:
            from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

            self._local.session = AuthorizedSession(self.credentials())  # type: ignore[no-untyped-call]
        return self._local.session


def as_dict(message: Any) -> dict[str, Any]:
    """Return a client's message as the JSON that the API speaks."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

    data: dict[str, Any] = MessageToDict(type(message).pb(message))
    return data


def _import(module: str) -> Any:
    import importlib  # noqa: PLC0415

    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ToolNotFoundError(
            f"{module} is not installed; sweeps on Google Cloud need it",
            remedy="pip install 'mlstacks-dagster[gcp]'",
        ) from exc
