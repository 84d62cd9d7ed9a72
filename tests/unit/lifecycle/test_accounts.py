"""Which accounts the schedule sweeps, and which it can't reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.lifecycle.accounts import known_accounts, unswept_accounts
from mlstacks_dagster.lifecycle.sealing import seal
from tests.unit.ledger.helpers import make_plan, make_unit
from tests.unit.lifecycle.sweep_world import SweepWorld, sweep_world
from tests.unit.lifecycle.world import World


@pytest.fixture
def sweeps(world: World) -> Iterator[SweepWorld]:
    with sweep_world(world.settings) as made:
        yield made


def plan_with(name: str, provider: str = "aws", **unit: Any) -> Plan:
    made = make_unit("one", **unit)
    definition = made.definition.model_copy(update={"provider": provider})
    units = (made.model_copy(update={"definition": definition}),)
    return make_plan(name, provider=provider).model_copy(update={"units": units})


def known(sweeps: SweepWorld) -> tuple[str, ...]:
    return known_accounts(sweeps.ledger, sweeps.settings)


def test_every_project_and_profile_that_stacks_used_is_swept(sweeps: SweepWorld) -> None:
    assert known(sweeps) == ()
    sweeps.deployed(plan=plan_with("plain"))
    profile = plan_with("profile", environment={"AWS_PROFILE": "lab"})
    stack_id = sweeps.deployed(plan=seal(profile, sweeps.settings))
    sweeps.destroyed(plan=plan_with("past", "gcp", variables={"project_id": "old"}))
    sweeps.deployed(plan=plan_with("other", "gcp", variables={"project_id": "new"}))
    sweeps.deployed(plan=plan_with("local", "k3d"))
    assert known(sweeps) == ("aws", "aws:lab", "gcp:new", "gcp:old")
    sweeps.destroy(stack_id)
    assert known(sweeps) == ("aws", "gcp:new", "gcp:old"), "its profile was forgotten with it"


def test_the_setting_wins_and_the_sandbox_is_another_place(sweeps: SweepWorld) -> None:
    sweeps.deployed()
    named = replace(sweeps.settings, sweep_accounts=("gcp:x",))
    assert known_accounts(sweeps.ledger, named) == ("gcp:x",)
    assert known_accounts(sweeps.ledger, replace(sweeps.settings, sandbox=True)) == ()


def test_an_account_that_no_sweep_has_seen_lately_is_named(sweeps: SweepWorld) -> None:
    sweeps.deployed(account="111")
    sweeps.destroyed(plan=plan_with("past"), account="222")
    sweeps.deployed(plan=plan_with("nowhere"))

    def unswept(since: float) -> tuple[str, ...]:
        return unswept_accounts(sweeps.ledger, sweeps.settings, since)

    assert unswept(sweeps.clock()) == ("aws 111", "aws 222")
    sweeps.ledger.sweeps.record_plan("aws", "222", "h", "clean", "{}")
    assert unswept(sweeps.clock() - 1) == ("aws 111",)
    assert unswept(sweeps.clock() + 60) == ("aws 111", "aws 222")
    emulated = replace(sweeps.settings, sandbox=True)
    assert unswept_accounts(sweeps.ledger, emulated, 0.0) == ()
