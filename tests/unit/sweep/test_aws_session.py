"""Whose credentials a client uses, and where it goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws_session import aws_calls, aws_client
from tests.unit.sweep.fake_aws import Answer, FakeAws, Request

REGION = "eu-central-1"


def buckets(_: Request) -> Answer:
    return 200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", {}


def profile_file(folder: Path, name: str, key: str) -> str:
    path = folder / "credentials"
    path.write_text(f"[{name}]\naws_access_key_id={key}\naws_secret_access_key=secret\n")
    return str(path)


def test_no_real_credential_reaches_an_emulator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the process's, nor the unit's, nor a profile's, nor by way of a proxy."""
    real = {
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real-token",
        "AWS_PROFILE": "company",
        "AWS_SHARED_CREDENTIALS_FILE": profile_file(tmp_path, "default", "AKIAFILE"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    with FakeAws(buckets) as aws:
        wiring = Wiring(target="sandbox", endpoint_url=aws.url)
        aws_client("s3", REGION, wiring, real).list_buckets()
        named = wiring.model_copy(update={"environment": {"AWS_ACCESS_KEY_ID": "testing"}})
        aws_client("s3", REGION, named, real).list_buckets()
        assert [r.key for r in aws.requests] == ["sandbox", "testing"]
        for request in aws.requests:
            assert "x-amz-security-token" not in request.headers
            assert "real" not in str(request.headers).lower()


def test_the_units_keys_win_over_the_processes_and_the_process_is_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "PROCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "process")
    before = dict(os.environ)
    with FakeAws(buckets) as aws:
        environment = {
            "AWS_ACCESS_KEY_ID": "UNIT",
            "AWS_SECRET_ACCESS_KEY": "unit",
            "AWS_SESSION_TOKEN": "token",
            "AWS_ENDPOINT_URL": aws.url,
        }
        aws_client("s3", REGION, CLOUD, environment).list_buckets()
        assert aws.requests[0].key == "UNIT"
        assert aws.requests[0].headers["x-amz-security-token"] == "token"
        assert f"/{REGION}/s3/" in aws.requests[0].headers["authorization"]
    assert dict(os.environ) == before


def test_keys_that_terraform_does_not_get_are_not_used_by_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "PROCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "process")
    nothing = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }
    client = aws_client("s3", REGION, CLOUD, nothing)
    with pytest.raises(MlstacksError, match="credentials") as caught, aws_calls("listing", REGION):
        client.list_buckets()
    assert "AWS_PROFILE" in caught.value.remedy


def test_a_profile_and_its_file_come_from_the_units_environment(tmp_path: Path) -> None:
    with FakeAws(buckets) as aws:
        environment = {
            "AWS_PROFILE": "team",
            "AWS_SHARED_CREDENTIALS_FILE": profile_file(tmp_path, "team", "AKIATEAM"),
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_ENDPOINT_URL_S3": aws.url,
        }
        aws_client("s3", REGION, CLOUD, environment).list_buckets()
        assert aws.requests[0].key == "AKIATEAM"


def test_a_profile_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    environment = {"AWS_PROFILE": "absent", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with pytest.raises(MlstacksError, match="absent"):
        aws_client("s3", REGION, CLOUD, environment)


def test_importing_the_room_loads_no_cloud_sdk() -> None:
    code = (
        "import sys, mlstacks_dagster.sweep.find, mlstacks_dagster.sweep.aws_empty;"
        "print([m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
