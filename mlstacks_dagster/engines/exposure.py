"""What of a release can be reached from outside of its cluster, and does it ask who is there?

An endpoint that answers a request without credentials with a success shows its data to the world.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from mlstacks_dagster.engines.exposure_ways import Reachable, reachable

__all__ = ["Probe", "Reachable", "Verdict", "ask", "judge", "judge_all", "reachable"]

_SECONDS = 5.0
_MAX_REDIRECTS = 3
_AT_ONCE = 8
_BAD_REQUEST = 400
_OTHER_SCHEME = {"http": "https", "https": "http"}
_PORTS = {"http": 80, "https": 443}

Probe = Callable[[str, str], tuple[int, str]]
"""Ask a URL without credentials, at an address (empty: where DNS says).

Returns the status and where it redirects to, if it does.
"""


@dataclass(frozen=True)
class Verdict:
    """What a way in answered; ``open`` when it gave an answer without being told who asks.

    ``answered`` is False when nobody could be asked: then nothing is known of it.
    """

    answer: str
    open: bool = False
    answered: bool = True


def judge_all(ways: Sequence[Reachable], probe: Probe) -> tuple[Verdict, ...]:
    """Ask all ``ways``, several at once, and judge each answer."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda way: judge(way, probe), ways))


def judge(way: Reachable, probe: Probe) -> Verdict:
    """Ask a way in without credentials and judge the answer.

    What doesn't answer, or not to plain HTTP, is asked by the other of http and https too.
    """
    if not way.url:
        return Verdict(way.why, answered=False)
    first, status = _follow(way.url, way.address, probe)
    if first.answered and status != _BAD_REQUEST:
        return first
    scheme, _, rest = way.url.partition("://")
    second, _ = _follow(f"{_OTHER_SCHEME[scheme]}://{rest}", way.address, probe)
    return second if second.answered else first


def _follow(url: str, address: str, probe: Probe) -> tuple[Verdict, int]:
    """Return the verdict on ``url`` and the last status.

    Redirects on the same host are followed (from http to https); one to another page, such as a
    login, is an answer that asks who is there.
    """
    target, status = url, 0
    for _ in range(_MAX_REDIRECTS):
        try:
            status, location = probe(target, address)
        except OSError as error:
            text = f"doesn't answer from here ({type(error).__name__})"
            return Verdict(text, answered=False), 0
        following = urljoin(target, location) if location else ""
        if not 300 <= status < 400 or not _same_page(target, following):
            return Verdict(str(status), open=200 <= status < 300), status
        target = following
    return Verdict("redirects without end"), status


def ask(url: str, address: str = "") -> tuple[int, str]:
    """Send a GET without credentials to ``address``, for the URL's host.

    Certificates aren't checked, redirects not followed. Raises :class:`OSError`.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.sock = _connected(parts, address or host, port)
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        headers = {"Host": _host_header(parts), "Accept": "application/json"}
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheader("Location") or ""
    except (http.client.HTTPException, UnicodeError) as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def _connected(parts: SplitResult, address: str, port: int) -> socket.socket:
    plain = socket.create_connection((address, port), timeout=_SECONDS)
    if parts.scheme != "https":
        return plain
    context = ssl._create_unverified_context()  # noqa: S323 - nothing is sent
    try:
        return context.wrap_socket(plain, server_hostname=parts.hostname)
    except BaseException:
        plain.close()
        raise


def _host_header(parts: SplitResult) -> str:
    """Return what a browser would send: without the port if it is the scheme's own."""
    return parts.netloc.removesuffix(f":{_PORTS[parts.scheme]}")


def _same_page(url: str, following: str) -> bool:
    old, new = urlsplit(url), urlsplit(following)
    return (old.hostname, old.path.rstrip("/")) == (new.hostname, new.path.rstrip("/"))
