"""Both forms of the provider's wiring: 3.39 from the wheel, and the current one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.sandbox.provider import (
    ACCESS_KEY_ID,
    CURRENT_ENDPOINTS,
    LEGACY_ENDPOINTS,
    SECRET_ACCESS_KEY,
    aws_wiring,
)

ENDPOINT = "http://127.0.0.1:4242"
MIRROR = Path("/somewhere/mirror")
USED_BY_OUR_MODULES = {"ec2", "ecr", "eks", "elb", "iam", "kms", "s3", "sagemaker", "sts"}


def legacy() -> Wiring:
    return aws_wiring(ENDPOINT, MIRROR, legacy=True)


def current() -> Wiring:
    return aws_wiring(ENDPOINT, None, legacy=False)


def provider_block(wiring: Wiring) -> dict[str, Any]:
    block: dict[str, Any] = wiring.providers["aws"].override["provider"]["aws"]
    return block


def test_the_old_provider_is_pinned_and_spared_what_it_cant_read() -> None:
    override = legacy().providers["aws"]
    assert override.override["terraform"]["required_providers"]["aws"] == {
        "source": "hashicorp/aws",
        "version": "3.39.0",
    }
    assert override.exclude_files == ("current_provider.tf", "current_provider_override.tf")
    assert legacy().provider_mirror == MIRROR


def test_the_current_provider_keeps_the_modules_version_and_files() -> None:
    override = current().providers["aws"]
    assert "terraform" not in override.override
    assert override.exclude_files == ()
    assert current().provider_mirror is None


def test_each_provider_gets_its_own_name_for_path_style() -> None:
    assert provider_block(legacy())["s3_force_path_style"] is True
    assert "s3_use_path_style" not in provider_block(legacy())
    assert provider_block(current())["s3_use_path_style"] is True
    assert "s3_force_path_style" not in provider_block(current())
    assert "skip_get_ec2_platforms" not in provider_block(current())


def test_each_provider_gets_its_own_name_of_the_log_service() -> None:
    assert "cloudwatchlogs" in LEGACY_ENDPOINTS
    assert "logs" not in LEGACY_ENDPOINTS
    assert "logs" in CURRENT_ENDPOINTS


@pytest.mark.parametrize("wiring", [legacy(), current()], ids=["legacy", "current"])
def test_every_service_is_at_the_emulator(wiring: Wiring) -> None:
    endpoints = provider_block(wiring)["endpoints"]
    assert set(endpoints) >= USED_BY_OUR_MODULES
    assert set(endpoints.values()) == {ENDPOINT}
    assert wiring.endpoint_url == wiring.environment["AWS_ENDPOINT_URL"] == ENDPOINT
    assert wiring.target == "sandbox"


@pytest.mark.parametrize("wiring", [legacy(), current()], ids=["legacy", "current"])
def test_overrides_carry_neither_credentials_nor_default_tags(wiring: Wiring) -> None:
    text = json.dumps([wiring.providers["aws"].model_dump(), wiring.backend_s3])
    assert ACCESS_KEY_ID not in text
    assert SECRET_ACCESS_KEY not in text
    assert not {"access_key", "secret_key", "default_tags"} & set(provider_block(wiring))


@pytest.mark.parametrize("wiring", [legacy(), current()], ids=["legacy", "current"])
def test_the_account_is_asked_for_since_arns_are_made_of_it(wiring: Wiring) -> None:
    assert "skip_requesting_account_id" not in provider_block(wiring)


def test_the_state_backend_talks_to_the_emulator_only() -> None:
    backend = legacy().backend_s3
    assert set(backend["endpoints"].values()) == {ENDPOINT}
    assert {"s3", "sts", "iam"} <= set(backend["endpoints"])
    assert backend["use_path_style"] is True
    assert backend["skip_requesting_account_id"] is True


def test_the_region_is_left_to_the_stack_and_the_users_profile_has_no_say() -> None:
    environment = legacy().environment
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} & set(environment)
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"]


def test_a_wiring_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "wiring.json").write_text(legacy().model_dump_json())
    assert load_wiring("sandbox", tmp_path) == legacy()
