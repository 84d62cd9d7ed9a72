"""Terraform interrupted, killed, left without its parent, or held up by a lock: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from mlstacks_dagster.engines.process_record import read_record
from mlstacks_dagster.engines.terraform import Event
from mlstacks_dagster.engines.tf_stage import UnitRequest
from mlstacks_dagster.errors import StateLockedError
from tests.integration.terraform_bench import (
    SLOW,
    WAIT_SECONDS,
    Bench,
    eventually,
    running_in,
)


class Stop(BaseException):
    """What Dagster raises on cancel is no Exception either."""


def test_an_interrupted_apply_leaves_no_process_no_lock_and_a_readable_state(bench, tmp_path):
    workspace = bench.stage(SLOW)
    plan = bench.engine.plan(workspace)

    def stop(event: Event) -> None:
        if "Provisioning with" in event.text:
            raise Stop

    with pytest.raises(Stop):
        bench.engine.apply(workspace, plan, on_event=stop)
    assert running_in(tmp_path) == []
    assert not list(bench.state.parent.glob("*.lock.info"))
    assert bench.addresses(workspace) == {"terraform_data.before", "terraform_data.slow"}
    again = bench.deploy(SLOW.replace("sleep 2", "true"))
    assert "terraform_data.after" in bench.addresses(again)


class Starter:
    """A process of its own that applies the module, to be killed."""

    def __init__(self, bench: Bench) -> None:
        request = bench.request()
        driver = """
            import sys
            from pathlib import Path
            from mlstacks_dagster.engines.process import ProcessRunner
            from mlstacks_dagster.engines.terraform import TerraformEngine
            from mlstacks_dagster.engines.tf_stage import UnitRequest
            from mlstacks_dagster.engines.tools import find_terraform
            from mlstacks_dagster.settings import Settings
            home, module, work, state = map(Path, sys.argv[1:])
            settings = Settings(home=home, stacks_dir=home)
            tool = find_terraform(settings, which=lambda _: None)
            engine = TerraformEngine(tool, ProcessRunner(), settings)
            say = lambda event: print(event.text, flush=True)
            workspace = engine.stage(UnitRequest("unit", module, work,
                {"local": {"path": str(state)}}, environment={"PATH": "/usr/bin:/bin"}))
            engine.init(workspace)
            engine.apply(workspace, engine.plan(workspace), say)
        """
        self.log = bench.settings.home.parent / "starter.log"
        paths = (bench.settings.home, bench.module, request.work_dir, bench.state)
        self.record = request.work_dir / "child.json"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(driver), *map(str, paths)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def until(self, text: str) -> int:
        eventually(lambda: text in self.log.read_text(), f"{text!r} from the starter")
        record = read_record(self.record)
        assert record is not None
        assert record.pid is not None
        return record.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_terraform_survives_its_starter_and_loses_nothing(bench, tmp_path):
    told = tmp_path / "go"
    until_told = f"until [ -e {told} ]; do sleep 0.1; done"
    (bench.module / "main.tf").write_text(SLOW.replace("sleep 2", until_told))
    starter = Starter(bench)
    pid = starter.until("Provisioning with")
    starter.kill()
    assert psutil.pid_exists(pid)
    told.touch()
    eventually(lambda: not running_in(tmp_path), "terraform's own end")
    workspace = bench.engine.stage(bench.request(), on_event=bench.events.append)
    assert workspace.settled.found
    assert bench.addresses(workspace) == {
        "terraform_data.before", "terraform_data.slow", "terraform_data.after",
    }  # fmt: skip
    bench.engine.init(workspace)
    assert not bench.engine.plan(workspace).has_changes


def test_a_terraform_without_its_starter_is_stopped_before_the_next_one(bench, tmp_path):
    (bench.module / "main.tf").write_text(SLOW.replace("sleep 2", "sleep 20"))
    starter = Starter(bench)
    starter.until("Provisioning with")
    starter.kill()
    workspace = bench.deploy(SLOW.replace("sleep 2", "true"))
    assert any("still ran" in e.text for e in bench.events)
    assert running_in(tmp_path) == []
    assert not list(bench.state.parent.glob("*.lock.info"))
    assert len(bench.addresses(workspace)) == 3


def test_a_killed_terraform_leaves_a_readable_state_and_no_process(bench, tmp_path):
    (bench.module / "main.tf").write_text(SLOW.replace("sleep 2", "sleep 20"))
    starter = Starter(bench)
    pid = starter.until("Provisioning with")
    os.kill(pid, signal.SIGKILL)
    assert starter.process.wait(WAIT_SECONDS) != 0
    assert "SIGKILL" in starter.log.read_text()
    assert running_in(tmp_path) == [], "its local-exec went with it"
    workspace = bench.stage(SLOW.replace("sleep 2", "true"))
    assert workspace.settled.found
    assert "terraform_data.before" in bench.addresses(workspace)
    bench.deploy()
    assert len(bench.addresses(workspace)) == 3


def test_a_state_cut_off_by_a_kill_is_taken_from_its_backup(bench):
    (bench.module / "main.tf").write_text(SLOW)
    bench.deploy(SLOW.replace("sleep 2", "true"))
    bench.deploy(SLOW.replace("sleep 2", "true").replace('"x"', '"y"'))
    (bench.module / "main.tf").write_text(SLOW + 'resource "terraform_data" "more" {}\n')
    starter = Starter(bench)
    starter.process.wait(WAIT_SECONDS)
    record = bench.request().work_dir / "child.json"
    record.write_text(
        json.dumps(
            {"program": "x", "verb": "apply", "cwd": "/", "log": "/x", "started": time.time()}
        )
    )
    bench.state.write_bytes(bench.state.read_bytes()[:40])
    workspace = bench.stage()
    assert list(bench.state.parent.glob("*.corrupt-*"))
    assert "terraform_data.before" in bench.addresses(workspace)
    assert any("restored" in e.text for e in bench.events)


def test_a_state_that_somebody_works_on_is_locked_and_the_error_says_by_whom(bench, tmp_path):
    (bench.module / "main.tf").write_text(SLOW.replace("sleep 2", "sleep 30"))
    starter = Starter(bench)
    starter.until("Provisioning with")
    other = UnitRequest(
        **{**vars(bench.request()), "work_dir": tmp_path / "elsewhere"},
    )
    workspace = bench.engine.stage(other)
    bench.engine.init(workspace)
    with pytest.raises(StateLockedError) as caught:
        bench.engine.plan(workspace, on_event=bench.events.append)
    assert "@" in str(caught.value)
    assert "apply" in str(caught.value)
    assert any("waiting for the state lock" in e.text for e in bench.events)
    starter.process.send_signal(signal.SIGINT)
    starter.process.wait(WAIT_SECONDS)
    assert running_in(tmp_path / "home") == []
