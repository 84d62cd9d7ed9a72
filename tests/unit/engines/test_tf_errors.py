"""A failed command becomes the right error, with Terraform's words and a remedy."""

from pathlib import Path

import pytest

from mlstacks_dagster.engines.tf_errors import command_failed, is_transient
from mlstacks_dagster.engines.tf_events import Diagnostic
from mlstacks_dagster.engines.tf_state import LockInfo
from mlstacks_dagster.errors import (
    CommandError,
    StateError,
    StateLockedError,
    TransientCommandError,
)

LOCKED = """Error message: operation error S3: PutObject, StatusCode: 412
Lock Info:
  ID:        6917905c-b70a-769b-0449-7fa2e4eb542b
  Path:      bucket/key/terraform.tfstate
  Operation: OperationTypeApply
  Who:       me@laptop
  Version:   1.15.5
  Created:   2026-11-23 19:57:18.619986332 +0000 UTC
  Info:

Terraform acquires a state lock to protect the state
"""


def failed(*texts: str, code: int = 1, **more):
    return command_failed("s3: terraform apply", code, [Diagnostic(t) for t in texts], **more)


@pytest.mark.parametrize(
    "text",
    [
        "creating EC2 VPC: operation error EC2: CreateVpc, StatusCode: 503, RequestLimitExceeded",
        "ThrottlingException: Rate exceeded",
        "SlowDown: Please reduce your request rate.",
        "read tcp 10.0.0.1:1->2: read: connection reset by peer",
        "googleapi: Error 429: Quota exceeded for quota metric",
        "googleapi: Error 503: The service is currently unavailable",
        "net/http: TLS handshake timeout",
        "dial tcp: i/o timeout",
    ],
)
def test_throttling_and_lost_connections_may_pass(text):
    error = failed(text)
    assert type(error) is TransientCommandError
    assert text in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "BucketAlreadyExists: 409",
        "StatusCode: 400, InvalidParameterValue",
        "googleapi: Error 403: Permission denied",
        "instance type 5000x unknown",
    ],
)
def test_other_errors_do_not(text):
    error = failed(text)
    assert type(error) is CommandError
    assert not is_transient([])


def test_one_lasting_error_among_passing_ones_makes_all_lasting():
    assert type(failed("ThrottlingException", "BucketAlreadyExists")) is CommandError


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("InvalidClientTokenId: The security token included in the request is invalid", "log in"),
        ("ExpiredToken: The provided token has expired", "log in"),
        ("No valid credential sources found", "log in"),
        ("google: could not find default credentials", "log in"),
        ("Failed to query available provider packages", "provider mirror"),
        ("write /x: no space left on device", "free some space"),
        ("Saved plan is stale", "run the same command again"),
    ],
)
def test_the_remedy_fits_the_cause(text, remedy):
    error = failed(text)
    assert isinstance(error, CommandError)
    assert remedy in error.remedy


def test_a_locked_state_says_who_holds_it_since_when():
    error = command_failed(
        "s3: terraform plan", 1, [Diagnostic("Error acquiring the state lock", LOCKED)]
    )
    assert isinstance(error, StateLockedError)
    assert isinstance(error.lock, LockInfo)
    assert error.lock.id == "6917905c-b70a-769b-0449-7fa2e4eb542b"
    for word in ("me@laptop", "apply", "2026-11-23 19:57:18", "force-unlock"):
        assert word in str(error)


def test_a_damaged_state_is_a_state_error_even_where_terraform_calls_it_a_lock():
    error = command_failed(
        "s3: terraform plan",
        1,
        [
            Diagnostic(
                "Error acquiring the state lock",
                "Unsupported state file format: The state file could not be parsed as JSON",
            )
        ],
        state_file=Path("/state/terraform.tfstate"),
    )
    assert isinstance(error, StateError)
    assert "/state/terraform.tfstate" in str(error)


def test_killed_by_a_signal_is_said_by_name_and_can_be_run_again():
    error = failed(code=-9)
    assert "SIGKILL" in str(error)
    assert "run the same command again" in str(error)
    assert isinstance(error, CommandError)
    assert error.returncode == -9


def test_without_a_diagnostic_the_last_lines_are_shown():
    error = failed(tail=["panic: runtime error", "", "goroutine 1"], log=Path("/w/apply.log"))
    for word in ("exit code 1", "panic: runtime error", "/w/apply.log"):
        assert word in str(error)


def test_of_many_errors_the_first_are_shown_and_the_rest_counted():
    text = str(failed(*[f"error number {i}" for i in range(8)]))
    assert "error number 4" in text
    assert "error number 5" not in text
    assert "3 more" in text


def test_on_a_full_disk_that_is_said_whatever_terraform_could_still_say():
    error = command_failed("terraform apply", 1, (), tail=["rubbish"], full=Path("/small/work"))
    assert "no space is left on the disk of /small/work" in error.message
    assert "free some space on that disk and run the same command again" in error.remedy
    assert not isinstance(error, TransientCommandError)
