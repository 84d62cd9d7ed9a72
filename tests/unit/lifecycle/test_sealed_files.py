"""Sealed files are removed once nothing refers to them, and no sooner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.sealed_files import forget_sealed
from mlstacks_dagster.lifecycle.sealing import references, seal
from mlstacks_dagster.lifecycle.snapshot import file_plans
from mlstacks_dagster.settings import Settings
from tests.unit.ledger.helpers import begin, make_plan, make_unit

NOW = 2_000_000_000.0
DAY = 86_400.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    return Settings(home=tmp_path / "home", stacks_dir=stacks)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def sealed(settings: Settings, stack: str, token: str, age: float = 0.0) -> Plan:
    """Return a plan whose only unit has a token, sealed ``age`` seconds before now."""
    unit = make_unit("network", environment={"TOKEN": token})
    plan = seal(make_plan(stack).model_copy(update={"units": (unit,)}), settings)
    for reference in references(plan.model_dump(mode="json")):
        os.utime(settings.home / "sealed" / f"{reference}.json", (NOW - age, NOW - age))
    return plan


def reference(plan: Plan) -> str:
    (found,) = references(plan.model_dump(mode="json"))
    return found


def kept(settings: Settings) -> set[str]:
    return {path.stem for path in (settings.home / "sealed").glob("*.json")}


def live(ledger: Ledger, plan: Plan) -> StackRecord:
    return ledger.register_stack(plan, target="cloud", expires_at=None)


def close(ledger: Ledger, stack: StackRecord) -> StackRecord:
    assert ledger.destroy_finished(stack.stack_id)
    return stack


def forget(ledger: Ledger, settings: Settings, *closed: StackRecord, run: str = "") -> None:
    forget_sealed(closed, ledger, settings, run_id=run, clock=lambda: NOW)


def test_a_closed_stacks_values_go_and_a_live_ones_stay(settings: Settings, ledger: Ledger) -> None:
    mine, other = (sealed(settings, name, name, age=DAY) for name in ("mine", "other"))
    live(ledger, other)
    forget(ledger, settings, close(ledger, live(ledger, mine)))
    assert kept(settings) == {reference(other)}
    assert (settings.home / "sealed" / "key").exists()


def test_values_that_a_live_stack_shares_stay(settings: Settings, ledger: Ledger) -> None:
    mine, other = (sealed(settings, name, "same") for name in ("mine", "other"))
    live(ledger, other)
    forget(ledger, settings, close(ledger, live(ledger, mine)))
    assert kept(settings) == {reference(mine)} == {reference(other)}


def test_values_of_an_earlier_deploy_go_when_they_are_old(
    settings: Settings, ledger: Ledger
) -> None:
    old, fresh = sealed(settings, "x", "old", age=DAY), sealed(settings, "x", "fresh", age=60.0)
    forget(ledger, settings)
    assert kept(settings) == {reference(fresh)}, "a command may have sealed it a moment ago"
    assert reference(old) != reference(fresh)


def test_a_unit_that_left_the_plan_but_exists_keeps_its_values(
    settings: Settings, ledger: Ledger
) -> None:
    before, after = (sealed(settings, "x", token, age=DAY) for token in ("before", "after"))
    stack = live(ledger, before)
    begin(ledger, stack.stack_id)
    live(ledger, after)
    forget(ledger, settings)
    assert kept(settings) == {reference(before), reference(after)}


def test_a_run_at_work_keeps_its_values_but_not_against_itself(
    settings: Settings, ledger: Ledger
) -> None:
    plan = sealed(settings, "x", "t", age=DAY)
    settings.runs_dir.mkdir(parents=True)
    (settings.runs_dir / "run-1.pin.json").write_text(plan.model_dump_json())
    (settings.runs_dir / "run-2.pin.json").write_text("{cut off")
    stack = close(ledger, live(ledger, plan))
    forget(ledger, settings, stack, run="run-2")
    assert kept(settings) == {reference(plan)}
    forget(ledger, settings, stack, run="run-1")
    assert kept(settings) == set()


def test_a_stack_file_keeps_its_values(settings: Settings, ledger: Ledger) -> None:
    names = {"spec_version": 1, "provider": "aws"}
    component = {
        **names,
        "spec_type": "component",
        "name": "store",
        "component_type": "artifact_store",
        "component_flavor": "s3",
        "metadata": {"environment_variables": {"TOKEN": "t"}},
    }
    stack = {
        **names,
        "spec_type": "stack",
        "name": "filed",
        "default_region": "eu-north-1",
        "components": ["store.yaml"],
    }
    for file, content in {"store": component, "stack": stack}.items():
        (settings.stacks_dir / f"{file}.yaml").write_text(yaml.safe_dump(content))
    (plan,) = file_plans(settings)
    closed = close(ledger, live(ledger, plan))
    forget(ledger, settings, closed)
    assert kept(settings) == {reference(plan)}
    (settings.stacks_dir / "stack.yaml").unlink()
    forget(ledger, settings, closed)
    assert kept(settings) == set()


def test_sealing_again_makes_values_fresh(settings: Settings) -> None:
    plan = sealed(settings, "x", "t", age=DAY)
    unit = make_unit("network", environment={"TOKEN": "t"})
    again = seal(make_plan("x").model_copy(update={"units": (unit,)}), settings)
    assert reference(again) == reference(plan)
    path = settings.home / "sealed" / f"{reference(plan)}.json"
    assert path.stat().st_mtime != NOW - DAY
