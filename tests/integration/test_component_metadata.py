"""What a component file says under ``metadata`` reaches the cloud and the tool's process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.account import Account
from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack
from tests.integration.terraform_wrappers import Recorder

pytestmark = pytest.mark.slow

SMALL = (("artifact_store", "s3"), ("container_registry", "aws"))
HOME_REGION, AWAY_REGION = "eu-north-1", "us-west-2"


def _amend(stack: Path, component: str, **metadata: Any) -> None:
    """Add to a component's ``metadata``."""
    file = stack.parent / f"{component}.yaml"
    content = yaml.safe_load(file.read_text())
    content["metadata"].update(metadata)
    file.write_text(yaml.safe_dump(content))


def test_a_components_region_is_where_it_is_made(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "spread", SMALL, default_region=HOME_REGION)
    _amend(file, "artifact_store", region=AWAY_REGION)
    away = Account(sandbox.endpoint, AWAY_REGION)
    before, before_away = sandbox.account.everything(), away.everything()
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox")

    outputs = json.loads(sandbox.cli.run("output", "spread", "--json").stdout)
    bucket = outputs["artifact_store_s3.bucket_name"]
    location = sandbox.account.client("s3").get_bucket_location(Bucket=bucket)
    assert location["LocationConstraint"] == AWAY_REGION
    assert sandbox.account.kinds()["repository"] == 1, "the registry stays in the stack's region"
    assert away.kinds()["repository"] == 0

    sandbox.cli.run("destroy", "spread", "-y")
    assert sandbox.account.everything() == before
    assert away.everything() == before_away


def test_environment_variables_reach_their_units_process_only(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    recorder = Recorder(sandbox.settings, tmp_path)
    file = write_stack(sandbox.stacks / "s", "env", SMALL)
    given = {"TEAM_COLOUR": "mauve", "AWS_SECRET_ACCESS_KEY": "mine"}
    _amend(file, "artifact_store", environment_variables=given)
    env = {"MLSTACKS_TERRAFORM": str(recorder.program), "OF_THE_SHELL": "not for tools"}
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox", **env)
    sandbox.cli.run("destroy", "env", "-y", **env)

    bucket, registry = recorder.seen("artifact_store_s3"), recorder.seen("container_registry_ecr")
    assert {"init", "plan", "apply"} <= {verb for verb, _ in bucket}
    assert [verb for verb, _ in bucket].count("apply") == 2, "one to deploy, one to destroy"
    assert {found["TEAM_COLOUR"] for _, found in bucket} == {"mauve"}
    assert registry
    assert not [verb for verb, found in registry if "TEAM_COLOUR" in found]
    for verb, found in bucket + registry:
        assert not {"OF_THE_SHELL", "MLSTACKS_HOME"} & set(found), verb
        # The sandbox has credentials and endpoints of its own.
        assert found["AWS_SECRET_ACCESS_KEY"] != "mine", verb
        assert found["AWS_ENDPOINT_URL"] == sandbox.endpoint, verb
