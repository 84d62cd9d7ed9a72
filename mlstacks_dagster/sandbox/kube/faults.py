"""Faults that tests inject: the API answers wrongly, late, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from .calls import Request
from .errors import ApiError

__all__ = ["Fault", "Faults"]

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Fault(BaseModel):
    """What goes wrong, with which requests, and how often.

    ``methods`` (empty: all) and ``path``, a regular expression, choose the requests; ``skip`` of
    them go well first, then ``times`` fail (None: all). A fault answers with ``status``, after
    ``delay_seconds``; a status of 0 answers as usual after the delay. ``after`` lets the request
    take effect before it fails, like a load balancer that loses the answer; ``reset``
    cuts the connection instead of answering.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int = 500
    methods: tuple[str, ...] = ()
    path: str = ""
    skip: int = 0
    times: int | None = 1
    delay_seconds: float = 0.0
    retry_after_seconds: int | None = None
    after: bool = False
    reset: bool = False
    message: str = "this fault was injected"

    def error(self) -> ApiError:
        """Return what the client gets."""
        headers = {}
        details = {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
            details["retryAfterSeconds"] = self.retry_after_seconds
        reason = _REASONS.get(self.status, "")
        return ApiError(self.status, reason, self.message, details, headers)

    def matches(self, request: Request) -> bool:
        """Say whether the fault is for this request."""
        if self.methods and request.method not in self.methods:
            return False
        return re.search(self.path, request.path) is not None


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0
    hit: int = 0


@dataclass
class Faults:
    """The faults that wait for their requests."""

    _armed: list[_Armed] = field(default_factory=list)

    def add(self, fault: Fault) -> Callable[[], int]:
        """Arm a fault; the returned function says how many requests it has hit."""
        armed = _Armed(fault)
        self._armed.append(armed)
        return lambda: armed.hit

    def clear(self) -> None:
        """Disarm all faults."""
        self._armed.clear()

    def next_for(self, request: Request) -> Fault | None:
        """Return the fault that hits this request, None when it goes well."""
        for armed in list(self._armed):
            if not armed.fault.matches(request):
                continue
            armed.seen += 1
            limit = armed.fault.times
            if armed.seen > armed.fault.skip and (limit is None or armed.hit < limit):
                armed.hit += 1
                return armed.fault
        return None
