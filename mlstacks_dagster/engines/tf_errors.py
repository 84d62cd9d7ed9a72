"""What went wrong, from Terraform's own diagnostics, as an error of ours with a remedy."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from mlstacks_dagster.engines.tf_events import Diagnostic
from mlstacks_dagster.engines.tf_state import parse_lock
from mlstacks_dagster.errors import (
    CommandError,
    MlstacksError,
    StateError,
    StateLockedError,
    TransientCommandError,
)

__all__ = ["command_failed", "is_transient"]

_TRANSIENT = re.compile(
    r"Throttl|RequestLimitExceeded|TooManyRequests|Rate exceeded|rate limit|SlowDown"
    r"|PriorRequestNotComplete|ServiceUnavailable|Service Unavailable|InternalFailure"
    r"|InternalServerError|StatusCode: (429|5\d\d)|status code:? (429|5\d\d)"
    r"|[Ee]rror (429|5\d\d)\b|connection reset by peer|broken pipe|i/o timeout"
    r"|TLS handshake timeout|context deadline exceeded|Client\.Timeout|unexpected EOF"
    r"|timeout while waiting for state|OperationAborted|ConcurrentModification"
)
_CREDENTIALS = re.compile(
    r"InvalidClientTokenId|ExpiredToken|NoCredentialProviders|[Nn]o valid credential sources"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|UnrecognizedClientException|AuthFailure"
    r"|security token included in the request is (invalid|expired)|could not find default cred"
    r"|[Ff]ailed to refresh cached credentials|invalid_grant|[Ee]rror 401\b"
    r"|error validating provider credentials|no EC2 IMDS role found"
)
_NO_PROVIDER = re.compile(
    r"Failed to query available provider packages|Failed to install provider"
    r"|Failed to resolve provider packages|Could not retrieve the list of available versions"
    r"|Required plugins are not installed|Missing required provider"
)
_STATE_DAMAGED = re.compile(
    r"state file could not be parsed|Unsupported state file format|Invalid state file"
    r"|state data in S3 does not have the expected content|does not support state version"
)
_LOCKED = re.compile(r"acquiring the state lock", re.IGNORECASE)
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_STALE_PLAN = re.compile(r"Saved plan is stale")

_FREE_SPACE = "free some space on that disk and run the same command again: nothing is lost"
_SHOWN_ERRORS = 5


def is_transient(errors: Sequence[Diagnostic]) -> bool:
    """Tell whether the same call may succeed later: every error must be of a passing kind."""
    return bool(errors) and all(_TRANSIENT.search(error.text) for error in errors)


def command_failed(
    what: str,
    returncode: int,
    errors: Sequence[Diagnostic],
    *,
    tail: Sequence[str] = (),
    state_file: Path | None = None,
    log: Path | None = None,
    full: Path | None = None,
) -> MlstacksError:
    """Return the error for a command that failed.

    ``what`` names it (``terraform apply of s3``); ``errors`` and ``tail``, its last plain
    lines, are redacted already; ``full`` is a folder that it writes to whose disk is full, on
    which Terraform's own words are lost.
    """
    text = "\n".join(error.text for error in errors)
    shown = "\n".join(f"Error: {error}" for error in errors[:_SHOWN_ERRORS])
    if len(errors) > _SHOWN_ERRORS:
        shown += f"\n... and {len(errors) - _SHOWN_ERRORS} more"
    message = f"{what} failed\n{shown}" if shown else _without_diagnostics(what, returncode, tail)
    if full is not None:
        message += f"\nno space is left on the disk of {full}"
        return CommandError(message, returncode=returncode, remedy=_FREE_SPACE)
    if special := _state_problem(what, message, text, state_file):
        return special
    if returncode >= 0 and is_transient(errors):
        remedy = "it may pass: run the same command again"
        return TransientCommandError(message, returncode=returncode, remedy=remedy)
    return CommandError(message, returncode=returncode, remedy=_remedy(text, returncode, log))


def _state_problem(
    what: str, message: str, text: str, state_file: Path | None
) -> MlstacksError | None:
    if _STATE_DAMAGED.search(text):
        where = str(state_file) if state_file else "in the bucket"
        return StateError(
            f"the Terraform state {where} is damaged; {message}",
            remedy="restore it from its backup (the file beside it, or an older object version); "
            "nothing was changed",
        )
    lock = parse_lock(text) if _LOCKED.search(text) else None
    if lock is None:
        return None
    return StateLockedError(
        f"{what}: the state is locked by {lock}, lock id {lock.id}",
        lock=lock,
        remedy="wait for it to end; when you are sure that nobody works on it any more, release "
        f"the lock: terraform force-unlock {lock.id}",
    )


def _without_diagnostics(what: str, returncode: int, tail: Sequence[str]) -> str:
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return f"{what} was ended by {name}"
    said = "\n".join(line for line in tail if line.strip())
    return f"{what} failed with exit code {returncode}" + (f"\n{said}" if said else "")


def _remedy(text: str, returncode: int, log: Path | None) -> str:
    if _FULL.search(text):
        return _FREE_SPACE
    if _CREDENTIALS.search(text):
        return (
            "the cloud refuses the credentials: log in again or check AWS_PROFILE, "
            "AWS_ACCESS_KEY_ID or GOOGLE_APPLICATION_CREDENTIALS; then run again"
        )
    if _NO_PROVIDER.search(text):
        return (
            "Terraform can't get its provider: check the network and proxy, or name a provider "
            "mirror in Terraform's CLI configuration (TF_CLI_CONFIG_FILE)"
        )
    if _STALE_PLAN.search(text):
        return "the state changed after the plan was made: run the same command again"
    if returncode < 0:
        return "run the same command again: it takes up what was created meanwhile"
    return f"the full output is in {log}" if log else ""
