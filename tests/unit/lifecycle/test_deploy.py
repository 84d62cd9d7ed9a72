"""Deploying one unit, with a real ledger and an engine in miniature."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlstacks_dagster.engines.terraform import OutputValue
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import (
    CommandCancelledError,
    CommandError,
    MarksError,
    MlstacksError,
    RefusedError,
)
from mlstacks_dagster.lifecycle import api
from mlstacks_dagster.lifecycle.models import UnitJob
from tests.unit.lifecycle.fake_engine import Wish
from tests.unit.lifecycle.world import Heard, World, applied, write_module


def failing(verb: str, error: BaseException) -> Callable[[str], None]:
    def before(asked: str) -> None:
        if asked == verb:
            raise error

    return before


def test_a_first_deploy_applies_once_and_records_what_it_made(world: World) -> None:
    done = world.deploy("network")
    assert (done.action, done.add, done.tool, done.tool_seconds) == ("applied", 1, "fake 1.0", 1.5)
    assert applied(world.calls()) == ["network"]
    record = world.record("network")
    assert (record.status, record.resource_count) == ("applied", 1)
    assert done.resources[0].id == f"ml-{done.stack_id}/net"
    assert done.state == str(world.state_file("network"))


def test_a_second_deploy_of_the_same_inputs_asks_no_tool(world: World) -> None:
    first = world.deploy("network")
    world.calls()
    second = world.deploy("network")
    assert second.action == "unchanged"
    assert world.calls() == []
    assert (second.outputs, second.resources) == (first.outputs, first.resources)
    assert world.heard.progresses[-1].state == "unchanged"


def test_a_sensitive_output_is_named_but_never_kept(world: World) -> None:
    done = world.deploy("network")
    assert done.sensitive == ("password",)
    assert done.outputs == {"vpc_id": "vpc-1"}
    assert "hidden" not in done.model_dump_json()
    assert b"hidden" not in (world.settings.home / "ledger.db").read_bytes()


def test_replan_plans_although_the_inputs_are_the_same(world: World) -> None:
    world.deploy("network")
    world.calls()
    done = world.deploy("network", replan=True)
    assert done.action == "unchanged"
    assert "plan network" in (calls := world.calls())
    assert applied(calls) == []


def test_a_changed_variable_plans_again(world: World) -> None:
    world.deploy("network")
    world.calls()
    world.set("network", size="large")
    world.deploy("network")
    assert "plan network" in world.calls()
    assert world.variables()["size"] == "large"


def test_a_changed_module_plans_again(world: World) -> None:
    own = write_module(world.folder / "module")
    definition = world.units[0].definition.model_copy(update={"path": own})
    world.units[0] = world.units[0].model_copy(update={"definition": definition})
    world.deploy("network")
    assert world.deploy("network").action == "unchanged"
    world.calls()
    (own / "more.tf").write_text("# more\n")
    world.deploy("network")
    assert "plan network" in world.calls()


def test_a_unit_whose_requirement_is_missing_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match="cluster needs network, which is not deployed"):
        world.deploy("cluster")
    assert world.calls() == []
    assert world.cloud.things == {}


def test_a_unit_whose_requirement_failed_is_refused(world: World) -> None:
    world.engine.before = failing("apply", CommandError("no quota"))
    with pytest.raises(CommandError):
        world.deploy("network")
    with pytest.raises(RefusedError, match="which is failed"):
        world.deploy("cluster")


def test_what_a_unit_comes_after_need_not_be_there(world: World) -> None:
    assert world.deploy("bucket").action == "applied"


def test_bound_outputs_reach_the_variables(world: World) -> None:
    world.deploy("network", "cluster")
    assert world.variables()["vpc"] == "vpc-1"


def test_a_changed_output_of_another_unit_plans_again(world: World) -> None:
    world.deploy("network", "cluster")
    world.engine.outputs_of["network"] = {"vpc_id": OutputValue("vpc-2")}
    world.deploy("network", replan=True)
    world.calls()
    world.deploy("cluster")
    assert world.variables()["vpc"] == "vpc-2"


def test_an_output_of_a_destroyed_unit_is_not_set(world: World) -> None:
    binding = world.units[1].bindings
    world.units[2] = world.units[2].model_copy(update={"bindings": binding})
    world.deploy("network", "bucket")
    assert world.variables()["vpc"] == "vpc-1"
    world.destroy("network")
    world.deploy("bucket")
    assert "vpc" not in world.variables()


def test_a_value_that_the_module_does_not_declare_is_left_out(world: World) -> None:
    world.set("network", unheard_of=1)
    world.deploy("network")
    assert "unheard_of" not in world.variables()


def test_a_drifted_unit_is_planned_again_and_then_no_longer_drifted(world: World) -> None:
    world.deploy("network")
    world.cloud.things.clear()
    assert world.drift("network").status == "drifted"
    assert world.record("network").drifted
    world.calls()
    assert world.deploy("network").action == "applied"
    assert not world.record("network").drifted
    assert world.cloud.names() == {f"ml-{world.stack().stack_id}/net"}


def test_drift_names_what_changed_and_clears_when_it_is_gone(world: World) -> None:
    world.deploy("network")
    (key,) = world.cloud.things
    thing = world.cloud.things.pop(key)
    assert world.drift("network").changes == ("create aws_ecr_repository.one",)
    world.cloud.things[key] = thing
    assert world.drift("network").status == "in_sync"
    assert not world.record("network").drifted


def test_drift_of_what_is_not_deployed_asks_no_tool(world: World) -> None:
    assert world.drift("network").status == "not_deployed"
    world.deploy("network")
    world.calls()
    assert world.drift("bucket").status == "not_deployed"
    assert world.calls() == []


def test_a_missing_state_file_plans_again_and_takes_back_what_exists(world: World) -> None:
    world.deploy("network")
    world.state_file("network").unlink()
    world.calls()
    done = world.deploy("network")
    assert done.recovered == ("aws_ecr_repository.one",)
    assert (done.action, done.add) == ("applied", 0)
    assert world.engine.imported == ["aws_ecr_repository.one"]
    assert len(done.resources) == 1


def test_resources_without_marks_are_refused_and_nothing_is_applied(world: World) -> None:
    world.engine.wishes["network"] = [Wish("aws_ecr_repository.bare", {"name": "x"}, marked=False)]
    with pytest.raises(MarksError, match=r"aws_ecr_repository\.bare: lacks mlstacks-install"):
        world.deploy("network")
    assert applied(world.calls()) == []
    assert world.cloud.things == {}
    assert world.record("network").status == "failed"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CommandError("no quota"), "failed"),
        (RuntimeError("a bug"), "failed"),
        (CommandCancelledError("cancelled"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(1), "interrupted"),
    ],
)
@pytest.mark.parametrize("verb", ["stage", "apply"])
def test_an_operation_is_closed_as_it_ended(
    world: World, verb: str, error: BaseException, outcome: str
) -> None:
    world.engine.before = failing(verb, error)
    with pytest.raises(type(error)):
        world.deploy("network")
    assert world.last_outcome("network") == outcome
    assert world.record("network").status == "failed"
    assert world.heard.progresses[-1].state == "failed"


def test_a_deploy_after_a_failed_one_goes_on(world: World) -> None:
    world.engine.before = failing("outputs", MlstacksError("cut off"))
    with pytest.raises(MlstacksError):
        world.deploy("network")
    world.engine.before = lambda _: None
    assert world.deploy("network").action == "unchanged"
    assert world.record("network").status == "applied"


def test_the_tags_hold_the_marks_and_the_users_own(world: World) -> None:
    tags = {"team": "ml", "mlstacks-stack": "mine"}
    world.units[0] = world.units[0].model_copy(update={"tags": tags})
    world.deploy("network")
    found = world.variables()["tags"]
    assert found["team"] == "ml"
    assert found["mlstacks-stack"] == world.stack().stack_id
    assert (found["mlstacks-component"], found["mlstacks-data"]) == ("network", "none")
    world.deploy("bucket")
    assert world.variables()["tags"]["mlstacks-data"] == "delete"


def test_secrets_of_the_environment_are_masked_in_what_the_tool_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-our-shell")
    monkeypatch.setenv("https_proxy", "http://u:through-it@proxy:1")
    own = {"MY_TOKEN": "letmein", "DB_PASS": "hunter22", "AWS_REGION": "eu-north-1"}
    world.units[0] = world.units[0].model_copy(update={"environment": own})
    world.deploy("network")
    request = world.engine.requests[-1]
    assert own.items() <= request.environment.items()
    for secret in ("letmein", "hunter22", "of-our-shell", "through-it"):
        assert secret not in request.redactor(f"it says {secret}")
        assert secret not in repr(request)
    assert request.redactor("in eu-north-1") == "in eu-north-1"


def test_an_emulators_own_keys_are_no_secret_and_what_they_replace_is_said(world: World) -> None:
    world.settings.sandbox_dir.mkdir(parents=True)
    keys = {"AWS_SECRET_ACCESS_KEY": "only-for-the-emulator"}
    wiring = Wiring(target="sandbox", endpoint_url="http://127.0.0.1:1", environment=keys)
    (world.settings.sandbox_dir / "wiring.json").write_text(wiring.model_dump_json())
    own = {"AWS_SECRET_ACCESS_KEY": "hunter22", "MY_FLAG": "hunter33"}
    world.units[0] = world.units[0].model_copy(update={"environment": own})
    job = world.job("network", target="sandbox")
    api.deploy_unit(job, world.settings, world.heard, world.tools)
    request = world.engine.requests[-1]
    assert request.environment["AWS_SECRET_ACCESS_KEY"] == "only-for-the-emulator"
    assert request.environment["MY_FLAG"] == "hunter33"
    shown = request.redactor("only-for-the-emulator hunter22 hunter33")
    assert shown == "only-for-the-emulator *** ***"
    said = [m for m in world.heard.milestones if "not passed on" in m]
    assert len(said) == 1
    assert said[0].startswith("network: not passed on to the tools: AWS_SECRET_ACCESS_KEY (")


def test_progress_counts_resources_while_applying_only(world: World) -> None:
    world.deploy("network", "cluster")
    counted = [p for p in world.heard.progresses if p.total]
    assert {p.phase for p in counted} == {"apply"}
    assert [(p.done, p.total) for p in counted if p.unit == "cluster"] == [(1, 2), (2, 2)]
    assert world.heard.progresses[-1].state == "done"


def test_the_generation_counts_runs_not_units(world: World) -> None:
    jobs = [UnitJob(plan=world.plan(), unit=u, run_id="one") for u in ("network", "cluster")]
    for job in jobs:
        api.deploy_unit(job, world.settings, Heard(), world.tools)
    assert world.stack().generation == 1
    world.deploy("network")
    assert world.stack().generation == 2
