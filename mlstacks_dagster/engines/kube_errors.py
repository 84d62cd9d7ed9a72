"""What a Kubernetes API said, as errors of ours."""

from __future__ import annotations

import json
from typing import Any

from mlstacks_dagster.errors import CommandError, TransientCommandError

__all__ = ["KubeError", "TransientKubeError", "api_error", "unreachable"]

_PASSING = (408, 429, 500, 502, 503, 504)


class KubeError(CommandError):
    """The cluster's API refused a request; ``status`` is the HTTP code, 0 without an answer."""

    def __init__(self, message: str, *, status: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class TransientKubeError(KubeError, TransientCommandError):
    """The same request may succeed later: throttling, a server error, no connection."""


def api_error(what: str, status: int, body: bytes) -> KubeError:
    """Return the error for an answer that isn't a success; ``what`` names the request."""
    try:
        content: Any = json.loads(body)
        said = str(content["message"])
    except (ValueError, KeyError, TypeError):
        said = body[:200].decode(errors="replace").strip()
    message = f"{what}: the cluster's API answered {status}: {said}"
    if status in _PASSING:
        return TransientKubeError(message, status=status, remedy="it may pass: run again")
    return KubeError(message, status=status, remedy=_remedy(status))


def unreachable(what: str, why: object) -> TransientKubeError:
    """Return the error for an API that gave no answer."""
    return TransientKubeError(
        f"{what}: the cluster's API can't be reached: {why}",
        remedy="check that the cluster exists and that this machine may reach it, then run again",
    )


def _remedy(status: int) -> str:
    if status == 401:
        return "log in to the cloud again: the cluster does not take these credentials"
    if status == 403:
        return "ask for the right to do this in the cluster (EKS: an access entry; RBAC)"
    return ""
