"""Calls to Google's APIs: one kind of error, a token bucket for each service, retries."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mlstacks_dagster.errors import MlstacksError

__all__ = ["ApiError", "Caller", "TokenBucket", "error_of_body", "translate"]

T = TypeVar("T")

_THROTTLED = {
    "ratelimitexceeded", "userratelimitexceeded", "quotaexceeded", "rate_limit_exceeded",
    "resource_exhausted", "concurrentlimitexceeded", "servinglimitexceeded",
}  # fmt: skip
_DISABLED = {"accessnotconfigured", "service_disabled", "servicedisabled"}


class ApiError(MlstacksError):
    """A call that Google's APIs refused or that didn't get through.

    ``status`` is the HTTP status, 0 when there was no answer; ``reason`` is Google's word for it.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"HTTP {status or '-'} {reason}: {message}".strip())
        self.status = status
        self.reason = reason

    @property
    def throttled(self) -> bool:
        """Too many calls; the same call may pass later."""
        return self.status == 429 or self.reason.lower() in _THROTTLED

    @property
    def transient(self) -> bool:
        """The same call may pass later."""
        return self.throttled or self.status == 0 or self.status >= 500 or self.status == 408

    @property
    def disabled(self) -> bool:
        """The service's API is switched off in the project."""
        return self.status == 403 and self.reason.lower() in _DISABLED

    @property
    def denied(self) -> bool:
        """We may not do that."""
        return self.status in (401, 403) and not self.throttled


def error_of_body(status: int, body: str) -> ApiError:
    """Read an answer's error: Google has an old form (``errors``) and a new one (``details``)."""
    try:
        error = json.loads(body).get("error", {})
    except (ValueError, AttributeError):
        return ApiError(status, "", body[:300])
    if not isinstance(error, Mapping):
        return ApiError(status, str(error), "")
    reason = _reason(error.get("errors") or (), error.get("details") or ())
    return ApiError(status, reason or str(error.get("status", "")), str(error.get("message", "")))


def _reason(errors: Sequence[Any], details: Sequence[Any]) -> str:
    for entry in (*details, *errors):
        if isinstance(entry, Mapping) and entry.get("reason"):
            return str(entry["reason"])
    return ""


def translate(exc: Exception) -> ApiError | None:
    """Return the one kind of error for what the clients raise; None for a bug of ours."""
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415
    from google.protobuf.json_format import ParseError  # noqa: PLC0415

    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, GoogleAPICallError):
        old = exc.errors if isinstance(exc.errors, list | tuple) else ()
        reason = str(exc.reason or _reason(old, ()))
        return ApiError(int(exc.code or 0), reason, str(exc.message))
    if isinstance(exc, TransportError):
        return ApiError(0, "transport", str(exc))
    if isinstance(exc, GoogleAuthError):
        return ApiError(401, "credentials", str(exc))
    if isinstance(exc, ParseError | json.JSONDecodeError):
        return ApiError(0, "unreadable", str(exc)[:300])
    # requests' errors are OSErrors
    return ApiError(0, type(exc).__name__, str(exc)[:300]) if isinstance(exc, OSError) else None


class TokenBucket:
    """Lets ``rate`` calls a second through, ``burst`` at once; safe between threads."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token and return for how many seconds to wait before using it."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            return max(0.0, -self._tokens / self._rate)


class Caller:
    """Makes calls with a bucket for each service and retries what is transient.

    ``attempts`` is the number of tries; between them it sleeps ``pause * 2**n`` seconds, at most
    30, more or less at random. ``calls`` counts what was sent.
    """

    def __init__(
        self,
        *,
        rate: float = 15.0,
        burst: float = 60.0,
        attempts: int = 7,
        pause: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clock, self.sleep = clock, sleep
        self._attempts, self._pause = attempts, pause
        self._buckets = defaultdict[str, TokenBucket](lambda: TokenBucket(rate, burst, clock))
        self._lock = threading.Lock()
        self.calls = 0

    def __call__(self, service: str, call: Callable[[], T]) -> T:
        """Return what ``call`` returns; raise :class:`ApiError` when it can't be had."""
        for attempt in range(self._attempts):
            self._wait(service)
            try:
                return call()
            except Exception as exc:
                error = translate(exc)
                if error is None:
                    raise
                if not error.transient or attempt + 1 == self._attempts:
                    raise error from exc
            self.sleep(min(30.0, self._pause * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
        raise AssertionError("unreachable")

    def _wait(self, service: str) -> None:
        with self._lock:
            self.calls += 1
            bucket = self._buckets[service]
        if wait := bucket.take():
            self.sleep(wait)
