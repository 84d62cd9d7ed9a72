"""One authenticated connection to a cluster's API, from a kubeconfig of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed

import yaml

from mlstacks_dagster.engines.kube_errors import TransientKubeError, api_error, unreachable
from mlstacks_dagster.errors import InputError, MlstacksError
from mlstacks_dagster.files import write_private

__all__ = ["KubeConnection"]

_ATTEMPTS = 4
_TIMEOUT_SECONDS = 30.0
_PLUGIN_SECONDS = 60.0
_RENEW_SECONDS = 60.0
_NO_CHECK = "CERT_NONE"


class KubeConnection:
    """Sends requests through urllib3, which the official client stands on too.

    The official client itself takes 0.8 s to import, most of it models that nobody here uses;
    each step would pay for that. ``environment`` is what a credential plugin sees, and may name
    a proxy. ``clock`` is Unix time, ``sleep`` waits; both count seconds.
    """

    def __init__(
        self,
        kubeconfig: Path,
        context: str,
        environment: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        chosen = _entry(content, "contexts", "context", context, kubeconfig)
        self._cluster = _entry(content, "clusters", "cluster", chosen["cluster"], kubeconfig)
        self._user = _entry(content, "users", "user", chosen["user"], kubeconfig)
        self._folder = kubeconfig.parent
        self._environment = dict(environment or {})
        self._clock = clock
        self._sleep = sleep
        self._pool: Any = None
        self._token: tuple[str, float] | None = None

    @property
    def server(self) -> str:
        """The API's URL."""
        return str(self._cluster["server"]).rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """Send a request and return the decoded JSON answer.

        Answers that may pass are asked for again, up to four times in all, so only requests
        that may be repeated belong here. Raises :class:`KubeError` or
        :class:`TransientKubeError`.
        """
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        what = f"{method} {path}"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(what, method, url, body, content_type)
            except TransientKubeError:
                if attempt == _ATTEMPTS:
                    raise
                self._sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, what: str, method: str, url: str, body: object, content_type: str) -> Any:
        import urllib3  # noqa: PLC0415 - comes with the client

        headers = {"Accept": "application/json", **self._authorization()}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body)
        try:
            answer = self._connect().request(
                method, url, headers=headers, body=data, timeout=_TIMEOUT_SECONDS, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(what, error) from error
        if answer.status == 401:
            self._token = None
        if not 200 <= answer.status < 300:
            raise api_error(what, answer.status, answer.data)
        return json.loads(answer.data)

    def _connect(self) -> Any:
        if self._pool is None:
            import urllib3  # noqa: PLC0415 - only who talks to a cluster needs it

            name = self._cluster.get("tls-server-name")
            given = {
                "cert_reqs": _NO_CHECK if self._is_insecure() else "CERT_REQUIRED",
                "ca_certs": self._file(self._cluster, "certificate-authority-data"),
                "cert_file": self._file(self._user, "client-certificate-data"),
                "key_file": self._file(self._user, "client-key-data"),
                "server_hostname": name,
                "assert_hostname": name,
            }
            options: dict[str, Any] = {key: value for key, value in given.items() if value}
            proxy = self._cluster.get("proxy-url") or _proxy(self.server, self._environment)
            self._pool = (
                urllib3.ProxyManager(str(proxy), **options)
                if proxy
                else urllib3.PoolManager(**options)
            )
        return self._pool

    def _is_insecure(self) -> bool:
        return bool(self._cluster.get("insecure-skip-tls-verify"))

    def _file(self, entry: Mapping[str, Any], key: str) -> str | None:
        data = entry.get(key)
        if not data:
            return None
        content = base64.b64decode(data)
        path = self._folder / f"{key}-{hashlib.sha256(content).hexdigest()[:12]}.pem"
        if not path.exists():
            write_private(path, content)
        return str(path)

    def _authorization(self) -> dict[str, str]:
        user = self._user
        if user.get("exec"):
            if self._token is None or self._clock() > self._token[1] - _RENEW_SECONDS:
                self._token = self._ask_plugin(user["exec"])
            return {"Authorization": f"Bearer {self._token[0]}"}
        if user.get("tokenFile"):
            return {"Authorization": f"Bearer {Path(user['tokenFile']).read_text().strip()}"}
        if user.get("token"):
            return {"Authorization": f"Bearer {user['token']}"}
        if user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _ask_plugin(self, plugin: Mapping[str, Any]) -> tuple[str, float]:
        argv = [str(plugin["command"]), *map(str, plugin.get("args") or ())]
        extra = {str(e["name"]): str(e["value"]) for e in plugin.get("env") or ()}
        try:
            done = subprocess.run(  # noqa: S603 - the kubeconfig's own plugin, never a shell
                argv,
                env={**self._environment, **extra},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PLUGIN_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MlstacksError(
                f"the credential plugin {argv[0]} of the cluster fails: {type(error).__name__}",
                remedy="try it with kubectl, or name another context in the stack file",
            ) from error
        try:
            status = json.loads(done.stdout)["status"]
            return str(status["token"]), _expiry(status, self._clock())
        except (ValueError, KeyError, TypeError):
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise MlstacksError(
                f"the credential plugin {argv[0]} of the cluster gave no token: {said}",
                remedy="log in to the cloud again, then run again",
            ) from None


def _proxy(server: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for a server, as Helm would take it."""
    parts = urlsplit(server)
    known = {name.lower(): value for name, value in environment.items() if value}
    proxy = known.get(f"{parts.scheme}_proxy") or known.get("all_proxy")
    spared = {"no": known.get("no_proxy", "")}
    return None if proxy_bypass_environment(parts.netloc, spared) else proxy


def _expiry(status: Mapping[str, Any], now: float) -> float:
    with suppress(ValueError, KeyError):
        return datetime.fromisoformat(str(status["expirationTimestamp"])).timestamp()
    return now + 300.0


def _entry(content: Any, group: str, kind: str, name: str, path: Path) -> dict[str, Any]:
    for entry in content.get(group) or ():
        if entry.get("name") == name and isinstance(entry.get(kind), dict):
            return dict(entry[kind])
    raise InputError(f"{path} has no {kind} {name!r}", remedy="deploy the unit again")
