"""What went wrong with Helm, from what it printed, as an error of ours with a remedy.

Helm's exit code is 1 for everything, so its words decide; this is the only place that reads them.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from mlstacks_dagster.errors import CommandError, TransientCommandError

__all__ = ["error_text", "helm_failed", "is_not_found", "is_not_ready", "is_transient"]

_TRANSIENT = re.compile(
    r"TooManyRequests|[Tt]oo many requests|Internal error occurred"
    r"|Timeout: request did not complete|asked us to try again later"
    r"|the server is currently unable to handle the request"
    r"|an error on the server|InternalError|[Ii]nternal server error|ServiceUnavailable"
    r"|unable to return a response in the time allotted|etcdserver: |etcd.*timed? ?out"
    r"|status(?: code)?:? (?:429|50[0234])\b|: (?:429|50[0234]) [A-Z]"
    r"|connection re(?:set by peer|fused)|broken pipe|i/o timeout|TLS handshake timeout"
    r"|Client\.Timeout|client rate limiter|unexpected EOF|: EOF\b|no such host|no route to host"
    r"|network is unreachable|http2: (?:client|server)|the object has been modified"
    r"|leader changed|apiserver not ready|try again"
    r"|failed calling webhook|cluster unreachable|Kubernetes cluster unreachable"
)
_NOT_READY = re.compile(
    r"not ready\b|context deadline exceeded|timed out waiting for the condition"
    r"|resource .* stalled|ProgressDeadlineExceeded|BackoffLimitExceeded|job .* failed|Job failed"
    r"|failed (?:pre|post)-\w+|hook.* failed"
)
_NOT_FOUND = re.compile(r"release: not found|release .* not found|no release provided")
_CREDENTIALS = re.compile(
    r"Unauthorized|getting credentials|provide credentials|ExpiredToken|must be logged in"
)
_FORBIDDEN = re.compile(r"is forbidden|Forbidden")
_OWNED = re.compile(r"invalid ownership metadata|exists and cannot be imported")
_UNKNOWN_KIND = re.compile(r"no matches for kind|ensure CRDs are installed first")
_VALUES = re.compile(r"values don't meet the specifications|execution error at")
_TOO_LARGE = re.compile(r"Too long: (?:may not|must have)|exceeds? .*1048576")
_NO_CHART = re.compile(
    r"failed to (?:download|fetch)|chart .* not found|looks like .* is not a valid"
)

_NOISE = re.compile(r"^(WARNING|level=WARN|I\d{4} |W\d{4} )|^\s*$")
_TAIL = 12


def error_text(lines: Sequence[str]) -> str:
    """Return the error that Helm ended with; all of its output when it named none."""
    starts = [number for number, line in enumerate(lines) if line.startswith("Error:")]
    return "\n".join(lines[starts[-1] if starts else 0 :])


def is_not_found(text: str) -> bool:
    """Tell whether Helm says that there is no such release."""
    return bool(_NOT_FOUND.search(text))


def is_transient(text: str) -> bool:
    """Tell whether the same call may succeed later."""
    return bool(_TRANSIENT.search(text))


def is_not_ready(text: str) -> bool:
    """Tell whether what was deployed did not become ready, as opposed to: was not accepted."""
    return bool(_NOT_READY.search(text)) and not is_transient(text)


def helm_failed(
    what: str, returncode: int, lines: Sequence[str], *, log: Path | None = None, extra: str = ""
) -> CommandError:
    """Return the error for a Helm call that failed.

    ``what`` names it; ``lines`` is its output and ``extra`` what else is known, both redacted.
    """
    text, error = "\n".join(lines), error_text(lines)
    if returncode < 0:
        message = f"{what} was ended by {_signal(returncode)}"
        return CommandError(
            message, returncode=returncode, remedy="run again: it takes up what was left half done"
        )
    said = "\n".join(line for line in lines if not _NOISE.search(line)) or text
    shown = "\n".join(said.splitlines()[-_TAIL:])
    message = "\n".join(part for part in (f"{what} failed", extra, shown) if part)
    if is_transient(error) and not extra:
        return TransientCommandError(
            message, returncode=returncode, remedy="it may pass: run the same command again"
        )
    return CommandError(message, returncode=returncode, remedy=_remedy(error, log))


def _signal(returncode: int) -> str:
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


_REMEDIES = (
    (_OWNED, "something with that name exists and belongs to somebody else; remove or rename it"),
    (
        _CREDENTIALS,
        "the cluster refuses the credentials: log in to the cloud again, then run again",
    ),
    (_FORBIDDEN, "these credentials may not do that in the cluster: ask for the right, run again"),
    (_UNKNOWN_KIND, "a definition (CRD) is missing in the cluster: deploy the unit that brings it"),
    (_VALUES, "a value is not what the chart takes; see the component's metadata.config"),
    (_TOO_LARGE, "the release is larger than Kubernetes takes in one Secret: split the chart"),
    (
        _NO_CHART,
        "the chart can't be fetched: check the network, or name a folder with the charts in "
        "MLSTACKS_CHART_MIRROR",
    ),
)


def _remedy(text: str, log: Path | None) -> str:
    for pattern, remedy in _REMEDIES:
        if pattern.search(text):
            return remedy
    return f"the full output is in {log}" if log else ""
