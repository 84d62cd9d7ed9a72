"""What a deploy would do to each unit, told without asking the cloud."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.lifecycle import api
from mlstacks_dagster.lifecycle.preview import preview
from mlstacks_dagster.spec.models import StackOptions
from tests.unit.lifecycle.fake_engine import FakeEngine
from tests.unit.lifecycle.world import World

UNITS = ("network", "cluster", "bucket")


def seen(world: World, plan: Plan | None = None) -> dict[str, str]:
    world.calls()
    with world.ledger() as ledger:
        found = preview(plan or world.plan(), ledger, world.settings)
    assert world.calls() == []
    return dict(found)


def test_what_was_never_deployed_is_created(world: World) -> None:
    assert seen(world) == dict.fromkeys(UNITS, "create")
    world.deploy("network")
    assert seen(world) == {"network": "unchanged", "cluster": "create", "bucket": "create"}


def test_what_is_there_already_is_unchanged_and_the_deploy_agrees(world: World) -> None:
    world.deploy(*UNITS)
    assert seen(world) == dict.fromkeys(UNITS, "unchanged")
    assert {world.deploy(unit).action for unit in UNITS} == {"unchanged"}


def test_a_change_is_one_and_what_takes_its_outputs_may_be(world: World) -> None:
    world.deploy(*UNITS)
    world.set("network", size="large")
    assert seen(world) == {"network": "change", "cluster": "perhaps", "bucket": "unchanged"}
    world.set("network", size="small")
    world.set("bucket", bucket_name="other")
    assert seen(world) == {"network": "unchanged", "cluster": "unchanged", "bucket": "change"}


def lose_state(world: World) -> None:
    world.state_file("bucket").unlink()


def drift(world: World) -> None:
    world.cloud.things.clear()
    world.drift("bucket")


def destroy(world: World) -> None:
    world.destroy("bucket")


def fail(world: World) -> None:
    world.set("bucket", bucket_name="new")
    engine = world.engine
    world.engine = Failing(engine)  # type: ignore[assignment]
    with pytest.raises(RuntimeError):
        world.deploy("bucket")
    world.engine = engine
    world.set("bucket", bucket_name="my-data")


class Failing:
    """An engine that fails at its first work."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine

    def stage(self, *_: object, **__: object) -> None:
        raise RuntimeError("no disk")

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


@pytest.mark.parametrize(
    ("happens", "action"),
    [(lose_state, "change"), (drift, "change"), (destroy, "create"), (fail, "change")],
)
def test_what_the_ledger_or_the_state_knows_counts(
    world: World, happens: Callable[[World], None], action: str
) -> None:
    world.deploy(*UNITS)
    happens(world)
    assert seen(world)["bucket"] == action


def test_an_end_that_moves_changes_the_marks_of_all(world: World) -> None:
    world.deploy(*UNITS)
    world.options = StackOptions(ttl_seconds=86_400)
    assert seen(world) == dict.fromkeys(UNITS, "change")
    world.deploy(*UNITS)
    assert seen(world) == dict.fromkeys(UNITS, "unchanged")


def test_what_lived_in_a_sandbox_that_is_gone_is_created(world: World) -> None:
    folder = world.settings.sandbox_dir
    folder.mkdir(parents=True)
    wiring = Wiring(target="sandbox", instance_id="one")
    (folder / "wiring.json").write_text(wiring.model_dump_json())
    api.deploy_unit(
        world.job("network", target="sandbox"), world.settings, world.heard, world.tools
    )
    assert seen(world)["network"] == "unchanged"
    wiring = wiring.model_copy(update={"instance_id": "two"})
    (folder / "wiring.json").write_text(wiring.model_dump_json())
    assert seen(world)["network"] == "create"
    (folder / "wiring.json").unlink()
    assert seen(world)["network"] == "create"
