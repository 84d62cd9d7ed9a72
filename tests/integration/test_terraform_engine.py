"""The engine with a real Terraform, on modules that need no provider from outside."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from mlstacks_dagster.engines.process import Command, OnLine, ProcessRunner
from mlstacks_dagster.engines.terraform import TerraformEngine
from mlstacks_dagster.engines.tf_init import cache_lock
from mlstacks_dagster.engines.tools import TerraformTool
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import CommandError, StateError
from tests.integration.terraform_bench import (
    QUICK,
    SECRET,
    SLOW,
    WAIT_SECONDS,
)


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


def test_a_program_that_is_gone_is_a_clear_error(bench, tmp_path):
    gone = TerraformTool((str(tmp_path / "gone"),), "terraform", (1, 11, 0), "PATH")
    engine = TerraformEngine(gone, ProcessRunner(), bench.settings)
    (bench.module / "main.tf").write_text(QUICK)
    workspace = engine.stage(bench.request())
    with pytest.raises(Exception, match="can't be started"):
        engine.init(workspace)
