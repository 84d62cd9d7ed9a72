"""Registering stacks: where they live, until when, and what goes with a sandbox."""

from __future__ import annotations

import itertools

import pytest

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import InputError, SandboxError, StackBusyError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import api, locks
from mlstacks_dagster.lifecycle.inputs import name_prefix
from mlstacks_dagster.spec.models import StackOptions
from tests.unit.lifecycle.world import Heard, World


def start_sandbox(world: World, instance_id: str) -> None:
    folder = world.settings.sandbox_dir
    folder.mkdir(parents=True, exist_ok=True)
    wiring = Wiring(target="sandbox", instance_id=instance_id)
    (folder / "wiring.json").write_text(wiring.model_dump_json())


def deploy_to_sandbox(world: World, unit: str) -> api.DeployOutcome:
    job = world.job(unit, target="sandbox")
    return api.deploy_unit(job, world.settings, world.heard, world.tools)


def test_a_deployed_stack_stays_where_it_is_whatever_target_a_job_names(world: World) -> None:
    world.deploy("network")
    assert deploy_to_sandbox(world, "bucket").target == "cloud"
    assert (world.stack().target, world.destroy("bucket").target) == ("cloud", "cloud")


def test_a_sandbox_that_was_never_started_is_an_error(world: World) -> None:
    with pytest.raises(SandboxError, match="the sandbox is not running"):
        deploy_to_sandbox(world, "network")
    with world.ledger() as ledger:
        assert ledger.stacks() == []


def test_a_stack_of_a_sandbox_that_was_restarted_is_closed_and_begins_anew(world: World) -> None:
    start_sandbox(world, "one")
    first = deploy_to_sandbox(world, "network")
    start_sandbox(world, "two")
    world.cloud.things.clear()
    second = deploy_to_sandbox(world, "network")
    assert (second.action, second.target) == ("applied", "sandbox")
    assert second.stack_id != first.stack_id
    with world.ledger() as ledger:
        closed = ledger.stack(first.stack_id)
    assert closed is not None
    assert (closed.status, closed.close_reason) == ("destroyed", "the sandbox was stopped")


def test_destroy_and_drift_close_the_stack_of_a_sandbox_that_is_gone(world: World) -> None:
    start_sandbox(world, "one")
    deploy_to_sandbox(world, "network")
    start_sandbox(world, "two")
    world.calls()
    assert world.drift("network").status == "not_deployed"
    assert world.destroy("network").action == "never_deployed"
    assert world.calls() == []


def test_the_stack_of_the_running_sandbox_is_left_alone(world: World) -> None:
    start_sandbox(world, "one")
    deploy_to_sandbox(world, "network")
    assert world.drift("network").status == "in_sync"


def test_an_end_by_ttl_counts_from_the_creation_in_the_ledger(world: World) -> None:
    world.options = StackOptions(ttl_seconds=3600)
    times = itertools.count(1_000, 100)
    with Ledger.open(world.settings.ledger_url, clock=lambda: next(times)) as ledger:
        ends = {
            (stack.created_at, stack.expires_at)
            for stack in (
                api.register(world.plan(), "cloud", ledger, world.settings, now=lambda: 1_000)
                for _ in range(3)
            )
        }
        stored = ledger.live_stack("demo")
    ((created, expires),) = ends
    assert expires == created + 3600
    assert stored is not None
    assert stored.expires_at == expires


def test_a_deploy_after_the_ttl_is_over_is_refused_and_changes_nothing(world: World) -> None:
    world.options = StackOptions(ttl_seconds=3600)
    with Ledger.open(world.settings.ledger_url, clock=lambda: 1_000) as ledger:

        def register(now: float) -> StackRecord:
            return api.register(world.plan(), "cloud", ledger, world.settings, now=lambda: now)

        first = register(1_000)
        assert register(4_599).expires_at == 4_600
        with pytest.raises(InputError, match="over 1970-01-01 01:16 UTC") as caught:
            register(4_600)
        assert "it counts from the first deploy" in str(caught.value)
        world.options = StackOptions(ttl_seconds=3600, protect=True)
        with pytest.raises(InputError):
            register(4_600)
        assert ledger.live_stack("demo") == first
        world.options = StackOptions(ttl_seconds=7200)
        assert register(4_600).expires_at == 8_200
        world.options = StackOptions()
        assert register(9_000).expires_at is None


def test_a_ttl_that_is_removed_ends_the_end(world: World) -> None:
    world.options = StackOptions(ttl_seconds=3600)
    world.deploy("network")
    assert world.variables()["tags"]["mlstacks-expires"] == str(world.stack().created_at + 3600)
    world.options = StackOptions()
    world.deploy("network")
    assert world.stack().expires_at is None
    assert world.variables()["tags"]["mlstacks-expires"] == "never"


def test_an_end_that_is_named_is_kept(world: World) -> None:
    world.options = StackOptions(expires_at=4_000_000_000)
    world.deploy("network")
    assert world.stack().expires_at == 4_000_000_000


def test_a_unit_that_is_in_use_is_awaited_and_then_given_up(world: World) -> None:
    stack_id = world.deploy("network").stack_id
    world.with_settings(lock_timeout=0.0)
    path = world.settings.locks_dir / f"{stack_id}.network.lock"
    heard = Heard()
    calls = (api.deploy_unit, api.destroy_unit, api.drift_unit)
    with locks.hold(path, {"run": "other"}, timeout=0):
        for call in calls:
            with pytest.raises(StackBusyError, match="run other"):
                call(world.job("network"), world.settings, heard, world.tools)
    assert heard.milestones == ["network: waiting for run other to leave this unit"] * len(calls)


def test_everything_a_stack_makes_has_its_id_in_its_name(world: World) -> None:
    world.deploy("network")
    assert world.variables()["name"] == name_prefix(world.stack().stack_id)
