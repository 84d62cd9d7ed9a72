"""Helm's words as errors: what may pass, what does not, and what to do."""

import pytest

from mlstacks_dagster.engines.helm_errors import (
    error_text,
    helm_failed,
    is_not_found,
    is_not_ready,
    is_transient,
)
from mlstacks_dagster.errors import CommandError, TransientCommandError

PASSING = [
    "Error: UPGRADE FAILED: Too many requests, please try again later.",
    "Error: INSTALLATION FAILED: Internal error occurred: etcdserver: request timed out",
    "Error: UPGRADE FAILED: the server is currently unable to handle the request",
    "Error: kubernetes cluster unreachable: dial tcp 10.0.0.1:443: connect: connection refused",
    "Error: UPGRADE FAILED: net/http: TLS handshake timeout",
    "Error: UPGRADE FAILED: failed to create resource: Internal error occurred: failed calling "
    'webhook "webhook.cert-manager.io": no endpoints available for service',
    "Error: UPGRADE FAILED: Operation cannot be fulfilled: the object has been modified; please "
    "apply your changes to the latest version and try again",
    "Error: read tcp 10.0.0.2:5->10.0.0.1:443: read: connection reset by peer",
]
FINAL = [
    "Error: UPGRADE FAILED: values don't meet the specifications of the schema(s)",
    "Error: INSTALLATION FAILED: 1 error occurred: namespaces is forbidden: User cannot create",
    "Error: UPGRADE FAILED: resource Deployment/demo/web not ready. status: InProgress\n"
    "context deadline exceeded",
    "Error: timed out waiting for the condition",
    'Error: no matches for kind "ClusterIssuer" in version "cert-manager.io/v1"',
]


@pytest.mark.parametrize("text", PASSING)
def test_what_may_pass_is_an_error_that_can_be_retried(text):
    assert is_transient(text)
    error = helm_failed("helm upgrade", 1, text.splitlines())
    assert isinstance(error, TransientCommandError)
    assert "run the same command again" in error.remedy


@pytest.mark.parametrize("text", FINAL)
def test_what_does_not_pass_is_not_retried(text):
    error = helm_failed("helm upgrade", 1, text.splitlines())
    assert type(error) is CommandError
    assert "helm upgrade failed" in error.message


def test_a_known_reason_makes_an_error_final():
    error = helm_failed("helm upgrade", 1, PASSING[:1], extra="pod web-1: ImagePullBackOff")
    assert type(error) is CommandError
    assert "ImagePullBackOff" in error.message


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Error: invalid ownership metadata; label validation error", "somebody else"),
        ("Error: Unauthorized", "log in"),
        ("Error: pods is forbidden: User", "ask for the right"),
        ('Error: no matches for kind "Thing"', "deploy the unit that brings it"),
        ("Error: values don't meet the specifications of the schema(s)", "metadata.config"),
        ("Error: failed to download https://x", "MLSTACKS_CHART_MIRROR"),
        ("Error: Secret is invalid: data: Too long: may not be more than 1048576", "split"),
    ],
)
def test_the_remedy_fits_the_cause(text, remedy):
    assert remedy in helm_failed("helm upgrade", 1, [text]).remedy


def test_an_unknown_cause_names_the_log(tmp_path):
    assert str(tmp_path) in helm_failed("helm upgrade", 1, ["Error: odd"], log=tmp_path).remedy
    assert helm_failed("helm upgrade", 1, ["Error: odd"]).remedy == ""


def test_a_signal_is_named_and_the_next_run_takes_up():
    error = helm_failed("helm rollback", -15, ["half a line"])
    assert error.message == "helm rollback was ended by SIGTERM"
    assert error.returncode == -15
    assert "takes up" in error.remedy
    assert "signal 99" in helm_failed("helm", -99, []).message


def test_warnings_before_the_error_do_not_decide():
    lines = [
        'level=WARN msg="connection refused"',
        "Error: UPGRADE FAILED: resource Deployment/demo/web not ready. status: InProgress",
        "context deadline exceeded",
    ]
    assert error_text(lines).startswith("Error: UPGRADE")
    assert is_not_ready(error_text(lines))
    assert type(helm_failed("helm upgrade", 1, lines)) is CommandError
    assert "WARN" not in helm_failed("helm upgrade", 1, lines).message


def test_not_ready_is_told_from_not_accepted():
    assert is_not_ready("Error: UPGRADE FAILED: context deadline exceeded")
    assert is_not_ready("Error: UPGRADE FAILED: post-upgrade hooks failed: job migrate failed")
    assert not is_not_ready("Error: UPGRADE FAILED: pods is forbidden")
    assert not is_not_ready(PASSING[0])


def test_no_release_is_recognised():
    assert is_not_found("Error: release: not found")
    assert not is_not_found("Error: repo not found")
