"""The engine with a real Terraform, on modules that need no provider from outside."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.process import Command, OnLine, ProcessRunner
from mlstacks_dagster.engines.process_record import read_record
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.terraform import Event, TerraformEngine
from mlstacks_dagster.engines.tf_init import cache_lock
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.tools import TerraformTool, find_terraform
from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import CommandError, StateError, StateLockedError
from mlstacks_dagster.settings import Settings

WAIT_SECONDS = 60.0
SECRET = "planted-secret-5f21"

QUICK = """
variable "size" {
  type    = number
  default = 2
}
variable "password" {
  type      = string
  sensitive = true
  default   = ""
}
variable "careless" {
  type    = string
  default = ""
}
resource "terraform_data" "item" {
  count = var.size
  input = "item ${count.index} ${var.careless}"
}
output "first" {
  value = one(slice(terraform_data.item[*].output, 0, 1))
}
output "password" {
  value     = var.password
  sensitive = true
}
"""
# One resource is done at once, one takes a while, one waits for it.
SLOW = """
resource "terraform_data" "before" {
  input = "x"
}
resource "terraform_data" "slow" {
  input      = "x"
  depends_on = [terraform_data.before]
  provisioner "local-exec" {
    command = "sleep 2"
  }
}
resource "terraform_data" "after" {
  input      = "x"
  depends_on = [terraform_data.slow]
}
"""


class Bench:
    """A home folder, a module and an engine."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", stacks_dir=folder)
        self.module = folder / "module"
        self.module.mkdir()
        self.tool = find_terraform(self.settings, which=lambda _: None)
        self.engine = self.new_engine()
        self.events: list[Event] = []

    def new_engine(self, runner: ProcessRunner | None = None) -> TerraformEngine:
        return TerraformEngine(self.tool, runner or ProcessRunner(), self.settings, lock_timeout=1)

    def request(self, wiring: Wiring = CLOUD, **variables) -> UnitRequest:
        home = self.settings.home
        return UnitRequest(
            unit="unit",
            module=self.module,
            work_dir=home / "work" / "s1" / "unit",
            backend={"local": {"path": str(home / "state" / "s1" / "terraform.tfstate")}},
            variables=variables,
            wiring=wiring,
            environment=tool_environment({"PATH": os.defpath}, {}, wiring),
            redactor=Redactor([SECRET]),
        )

    def stage(self, code: str = "", **variables) -> Workspace:
        if code:
            (self.module / "main.tf").write_text(code)
        workspace = self.engine.stage(self.request(**variables), on_event=self.events.append)
        self.engine.init(workspace, on_event=self.events.append)
        return workspace

    def deploy(self, code: str = "", **variables) -> Workspace:
        workspace = self.stage(code, **variables)
        plan = self.engine.plan(workspace, on_event=self.events.append)
        self.engine.apply(workspace, plan, on_event=self.events.append)
        return workspace

    @property
    def state(self) -> Path:
        return self.settings.home / "state" / "s1" / "terraform.tfstate"

    def addresses(self, workspace: Workspace) -> set[str]:
        return {r.address for r in self.new_engine().resources(workspace)}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench; whatever a failed test left running in it is ended."""
    yield Bench(tmp_path)
    for process in running_in(tmp_path):
        process.kill()


def running_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def test_apply_then_an_empty_plan_then_destroy(bench):
    workspace = bench.deploy(QUICK)
    assert bench.engine.outputs(workspace)["first"].value == "item 0 "
    assert bench.addresses(workspace) == {"terraform_data.item[0]", "terraform_data.item[1]"}
    assert all(r.id for r in bench.engine.resources(workspace))
    progress = [(e.done, e.total) for e in bench.events if e.kind == "progress"]
    assert progress == [(1, 2), (2, 2)]

    second = bench.engine.plan(workspace)
    assert (second.has_changes, second.changes, second.planfile) == (False, (), None)

    plan = bench.engine.plan(workspace, destroy=True)
    assert (plan.add, plan.change, plan.destroy) == (0, 0, 2)
    assert {c.address: c.actions for c in plan.changes} == {
        "terraform_data.item[0]": ("delete",), "terraform_data.item[1]": ("delete",),
    }  # fmt: skip
    assert bench.engine.apply(workspace, plan).destroy == 2
    assert bench.engine.resources(workspace) == []


def test_the_plan_lists_what_it_would_do_and_the_file_goes_once_applied(bench):
    workspace = bench.stage(QUICK, size=1)
    plan = bench.engine.plan(workspace)
    (change,) = plan.changes
    assert (change.address, change.actions, change.index) == (
        "terraform_data.item[0]", ("create",), 0,
    )  # fmt: skip
    assert change.after["input"] == "item 0 "
    assert change.after_unknown["id"] is True
    assert plan.planfile is not None
    assert stat.S_IMODE(plan.planfile.stat().st_mode) == 0o600
    bench.engine.apply(workspace, plan)
    assert not plan.planfile.exists()


def test_a_change_is_planned_and_applied(bench):
    bench.deploy(QUICK)
    workspace = bench.stage(careless="changed")
    plan = bench.engine.plan(workspace)
    assert (plan.add, plan.change, plan.destroy) == (0, 2, 0)
    assert bench.engine.apply(workspace, plan).change == 2


def test_drift_is_told_and_leaves_no_plan_behind(bench):
    workspace = bench.deploy(QUICK)
    assert not bench.engine.drift(workspace).has_changes
    state = json.loads(bench.state.read_text())
    state["resources"][0]["instances"].pop()
    bench.state.write_text(json.dumps(state))
    drift = bench.engine.drift(workspace)
    assert [c.address for c in drift.changes] == ["terraform_data.item[1]"]
    assert drift.planfile is None
    assert not workspace.planfile.exists()


def test_what_exists_is_imported_and_no_longer_planned(bench):
    workspace = bench.stage('resource "terraform_data" "x" {}\n')
    plan = bench.engine.plan(workspace, imports={"terraform_data.x": "abc"})
    assert plan.has_changes, "an import alone is a plan worth applying"
    assert plan.add == 0
    bench.engine.apply(workspace, plan)
    assert [(r.address, r.id) for r in bench.engine.resources(workspace)] == [
        ("terraform_data.x", "abc")
    ]
    assert not bench.engine.plan(workspace).has_changes


def test_imports_reach_into_a_for_each_over_what_is_not_in_the_state_yet(bench):
    workspace = bench.stage(
        'resource "terraform_data" "parent" {\n  for_each = toset(["a", "b$x"])\n}\n'
        'resource "terraform_data" "child" {\n  for_each = terraform_data.parent\n'
        "  input = each.value.id\n}\n"
    )
    imports = {'terraform_data.parent["b$x"]': "one${two}", 'terraform_data.child["a"]': "three"}
    taking = bench.engine.plan(
        workspace, imports={next(iter(imports)): "one${two}"}, only_imports=True
    )
    bench.engine.apply(workspace, taking)
    assert [r.id for r in bench.engine.resources(workspace)] == ["one${two}"]
    bench.engine.apply(workspace, bench.engine.plan(workspace, imports=imports))
    found = {r.address: r.id for r in bench.engine.resources(workspace)}
    assert len(found) == 4
    assert found['terraform_data.parent["b$x"]'] == "one${two}"
    assert found['terraform_data.child["a"]'] == "three"
    assert not bench.engine.plan(workspace).has_changes


def test_an_import_that_fails_says_why(bench):
    workspace = bench.stage(QUICK)
    with pytest.raises(CommandError, match=r"terraform_data\.nope"):
        bench.engine.plan(workspace, imports={"terraform_data.nope": "abc"})


def test_init_runs_once_and_again_only_when_something_changed(bench):
    workspace = bench.stage(QUICK)
    again = bench.engine.stage(bench.request(size=3))
    assert not bench.engine.init(again), "input values need no init"
    bench.module.joinpath("more.tf").write_text("locals {}\n")
    assert bench.engine.init(bench.engine.stage(bench.request()))
    (workspace.module / ".terraform" / "terraform.tfstate").unlink()
    assert bench.engine.init(bench.engine.stage(bench.request()))


def test_init_waits_for_its_turn_at_the_provider_cache(bench):
    (bench.module / "main.tf").write_text(QUICK)
    workspace = bench.engine.stage(bench.request())
    init = threading.Thread(target=bench.engine.init, args=(workspace,))
    with cache_lock(bench.settings.plugin_cache):
        init.start()
        init.join(1.0)
        assert not workspace.log("init").exists(), "two inits at one cache"
    init.join(WAIT_SECONDS)
    assert workspace.log("init").exists()


def test_an_error_in_the_module_names_file_and_line(bench):
    workspace = bench.stage('resource "terraform_data" "x" {\n  inptu = 1\n}\n')
    with pytest.raises(CommandError) as caught:
        bench.engine.plan(workspace)
    assert "main.tf:2" in str(caught.value)
    assert "Unsupported argument" in str(caught.value)


def test_a_failed_apply_keeps_the_plan_and_what_was_made(bench):
    code = SLOW.replace("sleep 2", "exit 7")
    workspace = bench.stage(code)
    plan = bench.engine.plan(workspace)
    with pytest.raises(CommandError, match="exit status 7"):
        bench.engine.apply(workspace, plan)
    assert plan.planfile is not None
    assert plan.planfile.exists()
    assert "terraform_data.before" in bench.addresses(workspace)


def test_an_unreachable_provider_is_a_clear_error(bench, tmp_path):
    (tmp_path / "mirror").mkdir()
    (bench.module / "main.tf").write_text(
        'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n'
        "    }\n  }\n}\n"
    )
    wiring = Wiring(provider_mirror=tmp_path / "mirror")
    workspace = bench.engine.stage(bench.request(wiring))
    with pytest.raises(CommandError) as caught:
        bench.engine.init(workspace)
    assert "hashicorp/aws" in str(caught.value)
    assert "provider mirror" in caught.value.remedy


def test_secrets_stay_out_of_events_and_of_files_that_others_can_read(bench, tmp_path):
    before = os.umask(0o022)
    try:
        workspace = bench.deploy(QUICK, password=SECRET, careless=SECRET)
    finally:
        os.umask(before)
    assert bench.engine.outputs(workspace)["password"].value == SECRET
    with pytest.raises(CommandError):
        bench.engine.plan(workspace, imports={f'terraform_data.item["{SECRET}"]': "x"})
    assert bench.events
    assert SECRET not in "".join(e.text for e in bench.events)
    holding = 0
    for path in (p for p in tmp_path.rglob("*") if p.is_file() and not p.is_symlink()):
        if SECRET.encode() in path.read_bytes():
            holding += 1
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert holding, "the state holds it at least"
    for top in ("work", "state"):
        assert not stat.S_IMODE((bench.settings.home / top).stat().st_mode) & 0o077


def test_no_secret_is_in_any_command_line(bench):
    seen: list[Command] = []

    class Watching(ProcessRunner):
        def run(self, command: Command, on_line: OnLine) -> int:
            seen.append(command)
            return super().run(command, on_line)

    bench.engine = bench.new_engine(Watching())
    bench.deploy(QUICK, password=SECRET)
    assert [c.verb for c in seen] == ["init", "plan", "apply"]
    assert SECRET not in repr([c.argv for c in seen])
    assert SECRET not in repr([dict(c.env) for c in seen])


@pytest.mark.parametrize("rest", ["", '{"version": 4, "ser'])
def test_a_damaged_state_is_named_and_left_as_it_is(bench, rest):
    bench.deploy(QUICK)
    bench.deploy(careless="so that there is a backup")
    bench.state.write_text(rest)
    with pytest.raises(StateError) as caught:
        bench.stage()
    assert str(bench.state) in str(caught.value)
    assert "backup" in str(caught.value)
    assert bench.state.read_text() == rest


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
    (bench.module / "main.tf").write_text(SLOW)
    starter = Starter(bench)
    pid = starter.until("Provisioning with")
    starter.kill()
    assert psutil.pid_exists(pid)
    eventually(lambda: not running_in(tmp_path), "terraform's own end")
    workspace = bench.engine.stage(bench.request(), on_event=bench.events.append)
    assert workspace.settled.found
    assert bench.addresses(workspace) == {
        "terraform_data.before", "terraform_data.slow", "terraform_data.after",
    }  # fmt: skip
    bench.engine.init(workspace)
    assert not bench.engine.plan(workspace).has_changes


def test_a_terraform_without_its_starter_is_stopped_before_the_next_one(bench, tmp_path):
    (bench.module / "main.tf").write_text(SLOW)
    starter = Starter(bench)
    starter.until("Provisioning with")
    starter.kill()
    workspace = bench.deploy(SLOW.replace("sleep 2", "true"))
    assert any("still ran" in e.text for e in bench.events)
    assert running_in(tmp_path) == []
    assert not list(bench.state.parent.glob("*.lock.info"))
    assert len(bench.addresses(workspace)) == 3


def test_a_killed_terraform_leaves_a_readable_state_and_no_process(bench, tmp_path):
    (bench.module / "main.tf").write_text(SLOW)
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


def test_a_program_that_is_gone_is_a_clear_error(bench, tmp_path):
    gone = TerraformTool((str(tmp_path / "gone"),), "terraform", (1, 11, 0), "PATH")
    engine = TerraformEngine(gone, ProcessRunner(), bench.settings)
    (bench.module / "main.tf").write_text(QUICK)
    workspace = engine.stage(bench.request())
    with pytest.raises(Exception, match="can't be started"):
        engine.init(workspace)
