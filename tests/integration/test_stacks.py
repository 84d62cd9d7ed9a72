"""The main promises of a deploy and a destroy, on the real Terraform and an emulated account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack

pytestmark = pytest.mark.slow
SMALL = (("artifact_store", "s3"), ("container_registry", "aws"))


def _outcomes(sandbox: Sandbox, *args: str, code: int = 0) -> dict[str, str]:
    done = sandbox.cli.run(*args, "--json", code=code)
    return {name: unit["outcome"] for name, unit in json.loads(done.stdout)["units"].items()}


def _stack_id(sandbox: Sandbox, name: str) -> str:
    found = json.loads(sandbox.cli.run("status", name, "--json").stdout)
    return str(found[0]["stack_id"])


def test_two_stacks_in_one_account_are_independent(sandbox: Sandbox) -> None:
    one = write_stack(sandbox.stacks / "one", "one", SMALL)
    two = write_stack(sandbox.stacks / "two", "two", SMALL)
    empty = sandbox.account.everything()
    sandbox.cli.run("deploy", "-f", str(one), "--sandbox")
    first = sandbox.account.of_stack(_stack_id(sandbox, "one"))
    assert first

    sandbox.cli.run("deploy", "-f", str(two), "--sandbox")
    changed = {"container_registry": {"repo_name": "two-images"}}
    write_stack(sandbox.stacks / "two", "two", SMALL, config=changed)
    sandbox.cli.run("deploy", "-f", str(two), "--sandbox")
    assert sandbox.account.of_stack(_stack_id(sandbox, "one")) == first
    sandbox.cli.run("destroy", "two", "-y")
    assert sandbox.account.of_stack(_stack_id(sandbox, "one")) == first
    sandbox.cli.run("destroy", "one", "-y")
    assert sandbox.account.everything() == empty


@pytest.mark.timeout(1200)
def test_the_life_of_a_full_stack(sandbox: Sandbox) -> None:
    """One stack of all units: marked, deployed again, changed, filled, destroyed."""
    file = write_stack(sandbox.stacks / "s", "full")
    empty = sandbox.account.everything()
    first = _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox")
    assert set(first.values()) == {"applied"}
    _every_taggable_resource_carries_tags_and_marks(sandbox, _stack_id(sandbox, "full"))
    _a_second_deploy_applies_nothing(sandbox, file)
    _a_change_is_applied_to_its_unit_and_those_that_use_it(sandbox, file)
    _fill(sandbox)
    sandbox.cli.run("destroy", "full", "--sandbox", "-y")
    assert sandbox.account.everything() == empty


def _every_taggable_resource_carries_tags_and_marks(sandbox: Sandbox, stack_id: str) -> None:
    ec2, iam = sandbox.account.client("ec2"), sandbox.account.client("iam")
    vpcs = [v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]]
    tagged = {
        **{v["VpcId"]: v.get("Tags", []) for v in vpcs},
        **{n["NatGatewayId"]: n["Tags"] for n in ec2.describe_nat_gateways()["NatGateways"]},
        **{a["AllocationId"]: a.get("Tags", []) for a in ec2.describe_addresses()["Addresses"]},
        **{
            r["RoleName"]: iam.list_role_tags(RoleName=r["RoleName"])["Tags"]
            for r in iam.list_roles(PathPrefix="/mlstacks/")["Roles"]
        },
    }
    assert len(tagged) >= 5
    for name, tags in tagged.items():
        found = {t["Key"]: t["Value"] for t in tags}
        assert found.get("mlstacks-stack") == stack_id, name
        assert found.get("team") == "tests", name


def _a_second_deploy_applies_nothing(sandbox: Sandbox, file: Path) -> None:
    before = sandbox.account.everything()
    export = sandbox.home / "zenml" / "full.yaml"
    exported = export.read_bytes()
    path = yaml.safe_load(exported)["components"]["artifact_store"]["configuration"]["path"]
    assert path.startswith("s3://")
    again = _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox")
    assert set(again.values()) == {"unchanged"}
    replanned = _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox", "--replan")
    assert set(replanned.values()) == {"unchanged"}
    assert sandbox.account.everything() == before
    assert export.read_bytes() == exported


def _a_change_is_applied_to_its_unit_and_those_that_use_it(sandbox: Sandbox, file: Path) -> None:
    changed = {"container_registry": {"repo_name": "full-images"}}
    write_stack(file.parent, "full", config=changed)
    outcomes = _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox")
    applied = {name for name, outcome in outcomes.items() if outcome == "applied"}
    # The registry, and the two units whose rights name its ARN.
    assert applied == {
        "container_registry_ecr",
        "orchestrator_kubernetes",
        "step_operator_sagemaker",
    }


def _fill(sandbox: Sandbox) -> None:
    """Put object versions into the bucket and images into the repository."""
    outputs = json.loads(sandbox.cli.run("output", "full", "--json").stdout)
    bucket = outputs["artifact_store_s3.bucket_name"]
    s3, ecr = sandbox.account.client("s3"), sandbox.account.client("ecr")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(40):
        s3.put_object(Bucket=bucket, Key=f"runs/{number % 10}", Body=b"model")
    s3.delete_object(Bucket=bucket, Key="runs/3")
    s3.create_multipart_upload(Bucket=bucket, Key="half")
    repository = outputs["container_registry_ecr.repository_name"]
    for number in range(3):
        docker = "application/vnd.docker"
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{docker}.distribution.manifest.v2+json",
            "config": {
                "mediaType": f"{docker}.container.image.v1+json",
                "size": 1,
                "digest": f"sha256:{number:064x}",
            },
            "layers": [
                {
                    "mediaType": f"{docker}.image.rootfs.diff.tar.gzip",
                    "size": 1,
                    "digest": f"sha256:{number + 9:064x}",
                }
            ],
        }
        ecr.put_image(
            repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=str(number)
        )


def test_parts_can_be_deployed_and_destroyed_alone(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "parts")
    deploy = ("deploy", "-f", str(file), "--sandbox")
    empty = sandbox.account.everything()
    assert _outcomes(sandbox, *deploy, "--only", "artifact_store") == {
        "artifact_store_s3": "applied"
    }
    assert sandbox.account.kinds()["bucket"] == 1
    assert sandbox.account.kinds()["cluster"] == 0

    refused = sandbox.cli.run(*deploy, "--only", "cluster", code=3)
    assert "cluster needs network, which is not deployed" in refused.stderr

    sandbox.cli.run(*deploy)
    assert _outcomes(sandbox, "destroy", "parts", "-y", "--only", "container_registry") == {
        "container_registry_ecr": "destroyed"
    }
    assert sandbox.account.kinds()["repository"] == 0
    refused = sandbox.cli.run("destroy", "parts", "-y", "--only", "network", code=3)
    assert "network is still needed by cluster" in refused.stderr
    assert sandbox.account.kinds()["cluster"] == 1

    sandbox.cli.run("destroy", "parts", "-y")
    assert sandbox.account.everything() == empty
    assert "not deployed" in sandbox.cli.run("destroy", "parts", "-y").stdout


def test_only_what_failed_is_retried(sandbox: Sandbox) -> None:
    taken = sandbox.account.client("s3")
    taken.create_bucket(
        Bucket="somebody-elses",
        CreateBucketConfiguration={"LocationConstraint": "eu-north-1"},
    )
    config = {"artifact_store": {"bucket_name": "somebody-elses"}}
    file = write_stack(sandbox.stacks / "s", "retry", SMALL, config=config)
    done = sandbox.cli.run("deploy", "-f", str(file), "--sandbox", "--json", code=3)
    units = json.loads(done.stdout)["units"]
    assert units["container_registry_ecr"]["outcome"] == "applied"
    assert units["artifact_store_s3"]["outcome"] == "failed"
    assert "somebody-elses" in units["artifact_store_s3"]["error"]
    assert "isn't retry's" in units["artifact_store_s3"]["error"]

    config["artifact_store"]["bucket_name"] = "retry-artifacts"
    write_stack(sandbox.stacks / "s", "retry", SMALL, config=config)
    assert _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox") == {
        "artifact_store_s3": "applied",
        "container_registry_ecr": "unchanged",
    }
    sandbox.cli.run("destroy", "retry", "-y")
    assert [b["Name"] for b in taken.list_buckets()["Buckets"]] == ["somebody-elses"]


def test_two_deploys_of_one_stack_never_overlap(sandbox: Sandbox, tmp_path: Path) -> None:
    file = write_stack(sandbox.stacks / "s", "pair", SMALL)
    empty = sandbox.account.everything()
    deploy = ("deploy", "-f", str(file), "--sandbox")
    runs = [sandbox.cli.start(*deploy, log=tmp_path / f"log{n}") for n in range(2)]
    assert [run.wait(300) for run in runs] == [0, 0]
    logs = [(tmp_path / f"log{n}").read_text() for n in range(2)]
    assert sorted("waiting for run" in log for log in logs) == [False, True]
    assert sandbox.account.kinds()["bucket"] == 1
    sandbox.cli.run("destroy", "pair", "-y")
    assert sandbox.account.everything() == empty


def test_a_protected_stack_is_not_destroyed(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "held", (("artifact_store", "s3"),), protect=True)
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox")
    refused = sandbox.cli.run("destroy", "held", "-y", code=3)
    assert "protected" in refused.stderr
    assert sandbox.account.kinds()["bucket"] == 1


def test_a_stack_whose_file_is_gone_is_destroyed_by_name(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "gone", SMALL)
    empty = sandbox.account.everything()
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox")
    for path in file.parent.iterdir():
        path.unlink()
    sandbox.cli.run("destroy", "gone", "-y")
    assert sandbox.account.everything() == empty


def test_drift_is_seen_and_repaired_by_the_next_deploy(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "drifting", (("artifact_store", "s3"),))
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox")
    bucket = sandbox.cli.run("output", "drifting", "-k", "bucket_name").stdout.strip()
    s3 = sandbox.account.client("s3")
    s3.delete_public_access_block(Bucket=bucket)
    from mlstacks_dagster.lifecycle.api import drift_unit, read_stacks
    from mlstacks_dagster.lifecycle.models import UnitJob
    from tests.integration.quiet import Quiet

    entry = next(s for s in read_stacks(sandbox.settings).stacks if s.name == "drifting")
    assert entry.plan is not None
    job = UnitJob(plan=entry.plan, unit="artifact_store_s3", run_id="drift-test")
    outcome = drift_unit(job, sandbox.settings, Quiet())
    assert outcome.status == "drifted"
    assert any("public_access_block" in change for change in outcome.changes)
    assert _outcomes(sandbox, "deploy", "-f", str(file), "--sandbox") == {
        "artifact_store_s3": "applied"
    }
    assert s3.get_public_access_block(Bucket=bucket)
    assert drift_unit(job, sandbox.settings, Quiet()).status == "in_sync"
