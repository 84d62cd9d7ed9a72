"""A run that is stopped in the middle: nothing keeps running, nothing stays locked or is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlstacks_dagster.lifecycle.locks import is_held
from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack
from tests.integration.ui import PATIENCE_SECONDS, Ui, alive, serving, stop, wait_for, wait_for_end

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

# Part of a full stack: making a VPC takes long enough to be caught at it.
UNITS = ("artifact_store_s3", "network", "container_registry_ecr")
ONLY = tuple(word for unit in UNITS for word in ("--only", unit))
SMALL = (("artifact_store", "s3"), ("container_registry", "aws"))
SMALL_UNITS = ("artifact_store_s3", "container_registry_ecr")


def test_a_run_terminated_in_the_ui_leaves_nothing_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    file = write_stack(sandbox.stacks / "s", "halted")
    empty = sandbox.account.everything()
    with serving(sandbox.cli, tmp_path) as ui:
        services = ui.processes()
        run = ui.launch("deploy", [["halted", unit] for unit in UNITS])
        terraform = _in_the_middle(sandbox)
        started = ui.processes() - services
        assert terraform in started
        tools = {terraform, *_children(terraform)}
        assert len(tools) > 1, "Terraform has no provider plugin?"
        ui.terminate(run)
        assert ui.ended(run) == "CANCELED"
        assert not alive(tools), "the run was called cancelled while Terraform was at work"
        # Python's resource tracker is the code server's: it lives as long, for all runs.
        wait_for_end(started - {p for p in started if _is_tracker(p)})
        _nothing_is_left(sandbox, "halted")
    wait_for_end(started)
    _goes_on(sandbox, file, "halted", empty)


def test_ctrl_c_on_a_deploy_leaves_nothing_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    file = write_stack(sandbox.stacks / "s", "halted")
    empty = sandbox.account.everything()
    log = tmp_path / "log"
    with log.open("wb") as out:
        # A group of its own, as a shell gives it: Ctrl-C goes to every process of the group.
        command = subprocess.Popen(
            sandbox.cli.argv("deploy", "-f", str(file), "--sandbox"),
            env=sandbox.cli.env,
            stdout=out,
            stderr=out,
            process_group=0,
        )
    try:
        terraform = _in_the_middle(sandbox)
        started = set(psutil.Process(command.pid).children(recursive=True))
        assert terraform in started
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(PATIENCE_SECONDS) == 1, log.read_text()
    finally:
        stop(command)
    assert re.search(r"run \S+ cancelled; run the same command again to go on", log.read_text())
    assert "Traceback" not in log.read_text()
    wait_for_end(started)
    _nothing_is_left(sandbox, "halted")
    _goes_on(sandbox, file, "halted", empty)


def test_a_deploy_in_the_ui_waits_for_one_of_the_command_line(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    file = write_stack(sandbox.stacks / "s", "shared", SMALL)
    write_stack(sandbox.stacks / "o", "other", SMALL[:1])
    log = tmp_path / "log"
    with serving(sandbox.cli, tmp_path) as ui:
        command = sandbox.cli.start("deploy", "-f", str(file), "--sandbox", "--json", log=log)
        try:
            with _suspended(sandbox.home):
                keys = [["shared", unit] for unit in SMALL_UNITS]
                given_up, second = ui.launch("deploy", keys), ui.launch("deploy", keys)
                # Once a run that was queued later has ended, the queue has looked at the others.
                assert ui.ended(ui.launch("deploy", [["other", SMALL_UNITS[0]]])) == "SUCCESS"
                assert ui.run(second)["status"] == ui.run(given_up)["status"] == "QUEUED"
                ui.terminate(given_up)
                assert ui.ended(given_up) == "CANCELED"
                assert command.poll() is None
            assert command.wait(PATIENCE_SECONDS) == 0, log.read_text()
        finally:
            stop(command)
        assert ui.ended(second) == "SUCCESS"
        assert not ui.run(given_up)["stepStats"]
        found = re.search(r'"run_id": "(\S+)"', log.read_text())
        assert found
        _one_after_the_other(ui, found.group(1), second)


def test_a_deploy_of_the_command_line_waits_for_one_in_the_ui(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    file = write_stack(sandbox.stacks / "s", "shared", SMALL)
    log = tmp_path / "log"
    with serving(sandbox.cli, tmp_path) as ui:
        first = ui.launch("deploy", [["shared", unit] for unit in SMALL_UNITS])
        with _suspended(sandbox.home):
            command = sandbox.cli.start("deploy", "-f", str(file), "--sandbox", "--json", log=log)
            said = re.compile(rf"waiting for run {first} .*that works on stack shared")
            try:
                wait_for(lambda: said.search(log.read_text()), "word of the wait")
                assert command.poll() is None
            except BaseException:
                command.kill()
                raise
        try:
            assert command.wait(PATIENCE_SECONDS) == 0, log.read_text()
        finally:
            stop(command)
        assert ui.ended(first) == "SUCCESS"
        found = re.search(r'"run_id": "(\S+)"', log.read_text())
        assert found
        _one_after_the_other(ui, first, found.group(1))


@contextmanager
def _suspended(home: Path) -> Iterator[None]:
    """Hold a Terraform of the stack that is being deployed still while the block runs."""

    def suspend() -> psutil.Process | None:
        terraform = _terraform(home, "*", ("init", "plan", "apply"))
        if terraform is not None:
            with suppress(psutil.NoSuchProcess):
                terraform.suspend()
                # One that has just ended takes the signal too, until its parent knows.
                known = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
                wait_for(lambda: terraform.status() in known, "Terraform to halt")
                return terraform if terraform.status() == psutil.STATUS_STOPPED else None
        return None

    terraform = wait_for(suspend, "a Terraform to hold still")
    try:
        yield
    finally:
        terraform.resume()


def _one_after_the_other(ui: Ui, first: str, second: str) -> None:
    done, later = ui.run(first)["stepStats"], ui.run(second)["stepStats"]
    assert len(done) == len(later) == len(SMALL_UNITS)
    assert max(step["endTime"] for step in done) <= min(step["startTime"] for step in later)


def _in_the_middle(sandbox: Sandbox) -> psutil.Process:
    """Wait until Terraform has made some of the network; return the process."""
    vpcs = len(sandbox.account.client("ec2").describe_vpcs()["Vpcs"])

    def found() -> psutil.Process | None:
        if len(sandbox.account.client("ec2").describe_vpcs()["Vpcs"]) == vpcs:
            return None
        return _terraform(sandbox.home, "network", ("apply",))

    return wait_for(found, "Terraform at work on the network")


def _terraform(home: Path, unit: str, verbs: tuple[str, ...]) -> psutil.Process | None:
    """Return the Terraform that works on ``unit`` now, if it does one of ``verbs``."""
    for record in home.glob(f"work/*/{unit}/child.json"):
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            found = json.loads(record.read_text())
            if found["verb"] in verbs and found["pid"]:
                return psutil.Process(found["pid"])
    return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    return list(process.children(recursive=True))


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _nothing_is_left(sandbox: Sandbox, stack: str) -> None:
    """No process works for the stack, no lock is held, and its states know all that was made."""
    home = sandbox.home
    assert not _working_in(home / "work")
    assert not list(home.rglob("*.lock.info")), "a state is still locked"
    locks = {path.name: is_held(path) for path in (home / "locks").glob("*.lock")}
    assert f"{stack}.lock" in locks
    assert any(name.endswith(".network.lock") for name in locks)
    assert not any(locks.values()), locks
    assert not list(home.glob("work/*/*/child.json")), "a command's end wasn't seen"

    [found] = json.loads(sandbox.cli.run("status", stack, "--json").stdout)
    assert not [u for u in found["units"] if u["unit"] == "network" and u["status"] == "applied"]
    known = {_plain(i) for file in home.glob("state/*/*/terraform.tfstate") for i in _ids(file)}
    made = {_plain(i.split(":[")[0]) for i in sandbox.account.of_stack(found["stack_id"])}
    assert any("/vpc/" in item for item in made)
    unknown = {m for m in made if not any(m == k or m.endswith(f"/{k}") for k in known)}
    assert not unknown, f"made, but in no state: {unknown}; known: {known}"


def _plain(identifier: str) -> str:
    return identifier.replace(":", "/")


def _ids(state: Path) -> list[str]:
    document: Any = json.loads(state.read_text())
    managed = [r for r in document["resources"] if r["mode"] == "managed"]
    return [str(i["attributes"]["id"]) for r in managed for i in r["instances"]]


def _working_in(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(str(folder)):
                found.append(f"{process.pid}: {process.cmdline()}")
    return found


def _goes_on(sandbox: Sandbox, file: Path, stack: str, empty: set[str]) -> None:
    """Deploy again: it finishes, and nothing exists twice. Destroy: nothing is left."""
    done = sandbox.cli.run("deploy", "-f", str(file), "--sandbox", "--json", *ONLY)
    outcomes = {n: u["outcome"] for n, u in json.loads(done.stdout)["units"].items()}
    assert set(outcomes) == set(UNITS)
    assert set(outcomes.values()) <= {"applied", "unchanged"}
    before = {item.split(":", 1)[0] for item in empty}
    kinds = sandbox.account.kinds()
    for kind in ("bucket", "repository", "igw", "nat"):
        assert kinds[kind] == 1, (kind, kinds)
    assert kinds["vpc"] == 1 + ("vpc" in before)
    sandbox.cli.run("destroy", stack, "-y")
    assert sandbox.account.everything() == empty
