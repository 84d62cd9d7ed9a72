"""A stack that keeps its states in the user's own S3 bucket, from the command line.

The bucket is versioned, as a bucket of states should be. Its versions are the witness: they tell
what was written and removed meanwhile, lock files too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack
from tests.integration.ui import PATIENCE_SECONDS, stop, wait_for

pytestmark = pytest.mark.slow

SMALL = (("artifact_store", "s3"), ("container_registry", "aws"))
UNITS = ("artifact_store_s3", "container_registry_ecr")
STATES, PREFIX = "team-states", "infra/mlstacks"
SOMEBODY = "alice@laptop"


class States:
    """The bucket, made by a user before there is any stack."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.s3 = sandbox.account.client("s3")
        self.s3.create_bucket(
            Bucket=STATES, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"}
        )
        self.s3.put_bucket_versioning(Bucket=STATES, VersioningConfiguration={"Status": "Enabled"})

    def contents(self) -> set[str]:
        """Return the objects that are there now."""
        return {o["Key"] for o in self.s3.list_objects_v2(Bucket=STATES).get("Contents", ())}

    def read(self, key: str) -> Any:
        """Return an object's JSON."""
        return json.load(self.s3.get_object(Bucket=STATES, Key=key)["Body"])

    def history(self, key: str) -> tuple[int, int]:
        """Return how often an object was written and how often it was removed."""
        found = self.s3.list_object_versions(Bucket=STATES, Prefix=key)
        written, removed = found.get("Versions", ()), found.get("DeleteMarkers", ())
        return sum(v["Key"] == key for v in written), sum(m["Key"] == key for m in removed)

    def lock(self, key: str) -> str:
        """Lock a state as somebody else's Terraform does; return the lock's key."""
        info = {
            "ID": "7c4a1f1e-0000-4000-8000-5e1f00000001",
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": SOMEBODY,
            "Version": "1.12.0",
            "Created": "2026-01-02T03:04:05.678901Z",
            "Path": f"{STATES}/{key}",
        }
        body = json.dumps(info).encode()
        self.s3.put_object(Bucket=STATES, Key=f"{key}.tflock", Body=body)
        return f"{key}.tflock"


@pytest.fixture
def states(sandbox: Sandbox) -> States:
    return States(sandbox)


def _write(sandbox: Sandbox, name: str, components: Any = SMALL, **config: Any) -> Path:
    place = f"s3://{STATES}/{PREFIX}"
    folder = sandbox.stacks / name
    return write_stack(folder, name, components, config=config, state=place)


def _state_key(sandbox: Sandbox, name: str, unit: str) -> str:
    [found] = json.loads(sandbox.cli.run("status", name, "--json").stdout)
    return f"{PREFIX}/{found['stack_id']}/{unit}/terraform.tfstate"


def test_states_live_in_the_bucket_and_end_there_empty(sandbox: Sandbox, states: States) -> None:
    file = _write(sandbox, "remote")
    before = sandbox.account.everything()
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox")
    keys = {_state_key(sandbox, "remote", unit) for unit in UNITS}
    assert states.contents() == keys
    kinds = {r["type"] for key in keys for r in states.read(key)["resources"]}
    assert {"aws_s3_bucket", "aws_ecr_repository"} <= kinds
    assert not list(sandbox.home.glob("state/**/*.tfstate*")), "a state is on this machine too"
    for key in keys:
        locked, released = states.history(f"{key}.tflock")
        assert locked == released > 0, f"{key}: locked {locked} times, released {released} times"

    again = json.loads(sandbox.cli.run("deploy", "-f", str(file), "--sandbox", "--json").stdout)
    assert {unit["outcome"] for unit in again["units"].values()} == {"unchanged"}

    sandbox.cli.run("destroy", "remote", "-y")
    assert sandbox.account.everything() == before
    # What Terraform leaves: one object a unit that knows of nothing any more, and no lock.
    assert states.contents() == keys
    for key in keys:
        left = states.read(key)
        assert (left["resources"], left["outputs"]) == ([], {})


def test_somebody_elses_lock_is_named_awaited_and_left_alone(
    sandbox: Sandbox, states: States, tmp_path: Path
) -> None:
    file = _write(sandbox, "locked", SMALL[:1])
    deploy = ("deploy", "-f", str(file), "--sandbox")
    sandbox.cli.run(*deploy)
    key = _state_key(sandbox, "locked", UNITS[0])
    lock, content = states.lock(key), states.read(key)

    said = sandbox.cli.run("destroy", "locked", "-y", code=1, MLSTACKS_LOCK_TIMEOUT="1").stderr
    assert f"the state is locked by {SOMEBODY}" in said
    assert "force-unlock" in said
    assert "Traceback" not in said
    assert lock in states.contents(), "a lock that isn't ours was released"
    assert states.read(key) == content
    assert sandbox.account.kinds()["bucket"] == 2

    log = tmp_path / "log"
    command = sandbox.cli.start(*deploy, "--replan", log=log)
    try:
        waits = re.compile(f"waiting for the state lock of {SOMEBODY}")
        wait_for(lambda: _logged(sandbox.home, waits), "word of the wait")
        assert command.poll() is None
        states.s3.delete_object(Bucket=STATES, Key=lock)
        assert command.wait(PATIENCE_SECONDS) == 0, log.read_text()
    finally:
        stop(command)
    assert states.contents() == {key}


def _logged(home: Path, words: re.Pattern[str]) -> bool:
    """Tell whether a step has printed ``words``."""
    return any(words.search(log.read_text()) for log in home.glob("dagster/**/*.out"))
