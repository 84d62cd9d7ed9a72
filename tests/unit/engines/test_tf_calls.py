"""What the engine does about locks, with a Terraform that says what it is told to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlstacks_dagster.engines.process import Command, OnLine, ProcessRunner, Settled
from mlstacks_dagster.engines.terraform import Event, TerraformEngine
from mlstacks_dagster.engines.tf_recovery import Crashes
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.tools import TerraformTool
from mlstacks_dagster.errors import MlstacksError, StateError, StateLockedError
from mlstacks_dagster.settings import Settings

CREATED = 1_700_000_000.0
LOCKED = {
    "@message": "Error: Error acquiring the state lock",
    "type": "diagnostic",
    "diagnostic": {
        "severity": "error",
        "summary": "Error acquiring the state lock",
        "detail": "Lock Info:\n  ID:        lock-1\n  Operation: OperationTypeApply\n"
        "  Who:       me@here\n  Created:   2023-11-14 22:13:20.5 +0000 UTC\n",
    },
}
Answer = tuple[int, list[object]]


class Script(ProcessRunner):
    """Answers commands by their verb, one prepared answer after the other."""

    def __init__(self, **answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers
        self.seen: list[tuple[str, ...]] = []

    def run(self, command: Command, on_line: OnLine) -> int:
        self.seen.append(command.argv[1:])
        code, lines = self.answers[command.verb.replace("-", "_")].pop(0)
        for line in lines:
            on_line(json.dumps(line))
        return code

    def settle(self, record_path: Path, on_line: OnLine) -> Settled:
        return Settled()


Make = Callable[..., tuple[TerraformEngine, Workspace]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "m").mkdir()

    def build(script: Script, backend: str = "s3", free: int = 1 << 40):
        engine = TerraformEngine(
            TerraformTool(("terraform",), "terraform", (1, 11, 0), "PATH"),
            script,
            Settings(home=tmp_path / "home", stacks_dir=tmp_path),
            who=lambda: "me@here",
            lock_timeout=7,
            free_bytes=lambda _: free,
        )
        settings = {"path": str(tmp_path / "s" / "terraform.tfstate")} if backend == "local" else {}
        request = UnitRequest("u", tmp_path / "m", tmp_path / "work", {backend: settings})
        return engine, engine.stage(request)

    return build


def crashed(workspace: Workspace) -> None:
    Crashes(workspace.root).note(
        Settled(verb="apply", found=True, started=CREATED - 10, at=CREATED + 10)
    )


def test_a_lock_of_our_killed_command_is_released_and_the_command_run_again(make):
    script = Script(plan=[(1, [LOCKED]), (0, [])], force_unlock=[(0, [])])
    engine, workspace = make(script)
    crashed(workspace)
    events: list[Event] = []
    assert not engine.plan(workspace, on_event=events.append).has_changes
    assert [argv[0] for argv in script.seen] == ["plan", "force-unlock", "plan"]
    assert script.seen[1] == ("force-unlock", "-force", "lock-1")
    assert any("releasing the state lock lock-1" in e.text for e in events)
    assert Crashes(workspace.root).spans() == [], "the matter is closed"


def test_somebody_elses_lock_is_awaited_and_never_released(make):
    script = Script(plan=[(1, [LOCKED]), (1, [LOCKED])])
    engine, workspace = make(script)
    events: list[Event] = []
    with pytest.raises(StateLockedError, match="me@here"):
        engine.plan(workspace, on_event=events.append)
    waits = [a for argv in script.seen for a in argv if a.startswith("-lock-timeout")]
    assert waits == ["-lock-timeout=0s", "-lock-timeout=7s"]
    assert any("waiting for the state lock" in e.text for e in events)


def test_a_local_lock_is_never_released_since_its_holder_is_alive(make):
    script = Script(plan=[(1, [LOCKED]), (1, [LOCKED])])
    engine, workspace = make(script, backend="local")
    crashed(workspace)
    with pytest.raises(StateLockedError):
        engine.plan(workspace)


@pytest.mark.parametrize("backend", ["local", "s3"])
def test_with_a_full_disk_nothing_is_started(make, backend):
    script = Script()
    engine, workspace = make(script, backend=backend, free=1 << 20)
    with pytest.raises(MlstacksError, match="nothing was created"):
        engine.plan(workspace)
    assert script.seen == []


def test_a_state_that_could_not_be_saved_is_taken_over_before_all_else(make):
    script = Script(init=[(0, [])], state_push=[(0, [])])
    engine, workspace = make(script)
    workspace.errored_state.write_text("{}")
    engine.init(workspace)
    assert [argv[:2] for argv in script.seen][1] == ("state", "push")
    assert not workspace.errored_state.exists()


def test_a_state_that_cannot_be_taken_over_is_kept_and_named(make):
    script = Script(init=[(0, [])], state_push=[(1, [])])
    engine, workspace = make(script)
    workspace.errored_state.write_text("{}")
    with pytest.raises(StateError, match=r"errored\.tfstate"):
        engine.init(workspace)
    assert workspace.errored_state.exists()


@pytest.mark.parametrize("content", ["", '{"version": 4, "resou'])
def test_a_state_that_a_full_disk_cut_off_is_set_aside(make, content):
    script = Script(init=[(0, [])])
    engine, workspace = make(script)
    workspace.errored_state.write_text(content)
    said: list[Event] = []
    engine.init(workspace, on_event=said.append)
    assert not workspace.errored_state.exists()
    aside = workspace.errored_state.with_name("errored.tfstate.cut-off")
    assert aside.read_text() == content
    assert str(aside) in said[-1].text
