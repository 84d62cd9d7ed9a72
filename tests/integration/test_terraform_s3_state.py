"""States in an S3 bucket of the emulator, with Terraform's own lock file in the bucket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import boto3
import pytest

from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.terraform import Event, TerraformEngine
from mlstacks_dagster.engines.tf_stage import UnitRequest
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.errors import CommandError, StateLockedError
from tests.integration.terraform_bench import SLOW, eventually

KEY = "s1/unit/terraform.tfstate"


class Bucket:
    """A bucket for states, and how to work on a unit whose state is there."""

    def __init__(self, sandbox, tmp_path: Path) -> None:
        self.settings = sandbox.settings
        self.wiring = load_wiring("sandbox", self.settings.sandbox_dir)
        self.folder = tmp_path
        self.module = tmp_path / "module"
        self.module.mkdir()
        self.events: list[Event] = []
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.wiring.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.wiring.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.wiring.environment["AWS_SECRET_ACCESS_KEY"],
        )
        self.s3.create_bucket(Bucket="states")

    def request(self, work: str = "work", **backend) -> UnitRequest:
        settings = {"bucket": "states", "key": KEY, "region": "us-east-1", "use_lockfile": True}
        environment = {"PATH": os.defpath, **self.wiring.environment}
        return UnitRequest(
            unit="unit",
            module=self.module,
            work_dir=self.folder / work,
            backend={"s3": {**settings, **self.wiring.backend_s3, **backend}},
            wiring=Wiring(),
            environment=environment,
        )

    def engine(self) -> TerraformEngine:
        tool = find_terraform(self.settings, which=lambda _: None)
        return TerraformEngine(tool, ProcessRunner(), self.settings, lock_timeout=1)

    def contents(self) -> set[str]:
        return {o["Key"] for o in self.s3.list_objects_v2(Bucket="states").get("Contents", ())}


@pytest.fixture
def bucket(sandbox, tmp_path: Path) -> Bucket:
    return Bucket(sandbox, tmp_path)


def kill_an_apply(bucket: Bucket) -> None:
    """Let another process apply the slow module, and kill Terraform and it half-way."""
    driver = """
        import json, os, sys
        from pathlib import Path
        from mlstacks_dagster.engines.process import ProcessRunner
        from mlstacks_dagster.engines.terraform import TerraformEngine
        from mlstacks_dagster.engines.tf_stage import UnitRequest
        from mlstacks_dagster.engines.tools import find_terraform
        from mlstacks_dagster.settings import Settings
        given = json.loads(sys.stdin.read())
        settings = Settings(home=Path(given["home"]), stacks_dir=Path("."))
        engine = TerraformEngine(find_terraform(settings, which=lambda _: None), ProcessRunner(),
                                 settings)
        workspace = engine.stage(UnitRequest("unit", Path(given["module"]), Path(given["work"]),
            given["backend"], environment=given["environment"]))
        engine.init(workspace)
        engine.apply(workspace, engine.plan(workspace), lambda e: print(e.text, flush=True))
    """
    (bucket.module / "main.tf").write_text(SLOW.replace("sleep 2", "sleep 60"))
    request = bucket.request()
    given = {
        "home": str(bucket.settings.home),
        "module": str(request.module),
        "work": str(request.work_dir),
        "backend": request.backend,
        "environment": request.environment,
    }
    log = bucket.folder / "starter.log"
    with log.open("wb") as out:
        starter = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(driver)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    assert starter.stdin is not None
    starter.stdin.write(json.dumps(given).encode())
    starter.stdin.close()
    eventually(lambda: "Provisioning with" in log.read_text(), "the apply")
    pid = json.loads((request.work_dir / "child.json").read_text())["pid"]
    starter.kill()
    starter.wait()
    os.kill(pid, signal.SIGKILL)


def test_the_state_lives_in_the_bucket_and_the_lock_is_released(bucket):
    (bucket.module / "main.tf").write_text(SLOW.replace("sleep 2", "true"))
    engine = bucket.engine()
    workspace = engine.stage(bucket.request())
    engine.init(workspace)
    engine.apply(workspace, engine.plan(workspace))
    assert bucket.contents() == {KEY}
    assert len(engine.resources(workspace)) == 3
    assert not engine.plan(workspace).has_changes


def test_the_lock_of_a_killed_apply_is_released_by_the_next_run(bucket):
    kill_an_apply(bucket)
    assert f"{KEY}.tflock" in bucket.contents(), "it outlived its holder"
    (bucket.module / "main.tf").write_text(SLOW.replace("sleep 2", "true"))
    engine = bucket.engine()
    workspace = engine.stage(bucket.request(), on_event=bucket.events.append)
    engine.init(workspace)
    engine.apply(workspace, engine.plan(workspace, on_event=bucket.events.append))
    assert any("releasing the state lock" in e.text for e in bucket.events)
    assert len(engine.resources(workspace)) == 3
    assert bucket.contents() == {KEY}


def test_from_another_work_folder_the_same_lock_is_not_ours_to_release(bucket):
    kill_an_apply(bucket)
    engine = bucket.engine()
    workspace = engine.stage(bucket.request("elsewhere"))
    engine.init(workspace)
    with pytest.raises(StateLockedError, match="force-unlock"):
        engine.plan(workspace)
    assert f"{KEY}.tflock" in bucket.contents()


def test_a_bucket_that_is_not_there_is_named(bucket):
    (bucket.module / "main.tf").write_text("")
    engine = bucket.engine()
    workspace = engine.stage(bucket.request(bucket="no-such-states"))
    with pytest.raises(CommandError, match="no-such-states"):
        engine.init(workspace)
