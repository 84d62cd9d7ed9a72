"""The sandbox answers as AWS does where moto alone doesn't."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("moto", reason="pip install 'mlstacks-dagster[sandbox]'")

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from mlstacks_dagster.sandbox.corrections import correct

ARN = "arn:aws:s3:::some-bucket"


def _asked(*statements: dict[str, Any]) -> PermissionResult:
    correct()
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()
    bucket: Any = SimpleNamespace(policy=policy)
    return FakeBucket.get_permission(bucket, "s3:PutObject", f"{ARN}/key")


def _deny(condition: dict[str, Any] | None) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [ARN, f"{ARN}/*"],
    }
    return statement if condition is None else {**statement, "Condition": condition}


@pytest.mark.parametrize("value", ["false", ["false"]])
def test_a_policy_against_requests_without_tls_denies_nothing_on_loopback(value: Any) -> None:
    assert _asked(_deny({"Bool": {"aws:SecureTransport": value}})) == PermissionResult.NEUTRAL


def test_other_denials_still_hold() -> None:
    tls = _deny({"Bool": {"aws:SecureTransport": "false"}})
    assert _asked(_deny(None)) == PermissionResult.DENIED
    assert _asked(tls, _deny(None)) == PermissionResult.DENIED
