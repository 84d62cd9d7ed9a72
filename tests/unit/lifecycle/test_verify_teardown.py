"""Verifying that a destroyed stack has left nothing, with the ledger and its accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import (
    InputError,
    LeftoversError,
    RefusedError,
    StackBusyError,
    StateError,
)
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.sealing import references, remove_sealed, seal
from mlstacks_dagster.lifecycle.verifying import verify_stack
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verify import TeardownReport
from tests.unit.ledger.helpers import begin, make_plan, make_unit
from tests.unit.lifecycle.sweep_world import SweepWorld, sandbox, sweep_world
from tests.unit.lifecycle.world import Heard, World
from tests.unit.sweep.inventory.fake_cloud import FakeCloud


@pytest.fixture
def sweeps(world: World) -> Iterator[SweepWorld]:
    with sweep_world(world.settings) as made:
        yield made


def verify(sweeps: SweepWorld, stack_id: str) -> TeardownReport:
    (report,) = sweeps.sweeper.verify(stack_id)
    return report


def plan_of(*environments: dict[str, str], **more: Any) -> Plan:
    units = [
        make_unit(f"unit{number}", region="r1", environment=environment, **more)
        for number, environment in enumerate(environments)
    ]
    return make_plan("demo", region="r1").model_copy(update={"units": tuple(units)})


def test_a_stack_that_left_nothing_is_looked_at_twice(sweeps: SweepWorld) -> None:
    report = verify(sweeps, sweeps.destroyed())
    assert (report.result, report.sweeps, report.deleted) == ("complete", 2, ())


def test_leftovers_are_deleted_at_once_and_proven_gone(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    marks = sweeps.marks(stack_id)
    role = sweeps.add("iam:role", "role", marks, created=-60)
    sweeps.add("ec2:instance", "vm", marks, uses=(role,), created=-60)
    sweeps.add("elb:balancer", "lb", {}, clusters=(f"ml-{stack_id}",), created=-60)
    sweeps.clock.sleep(1)
    report = verify(sweeps, stack_id)
    assert report.result == "complete"
    assert {row.id for row in report.deleted} == {"role", "vm", "lb"}
    assert sweeps.there() == set()


def test_data_is_kept_and_listed_unless_the_stack_gives_it_up(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    sweeps.add("ec2:volume", "data", sweeps.marks(stack_id))
    sweeps.add("ec2:volume", "scratch", sweeps.marks(stack_id, **{"mlstacks-data": "delete"}))
    report = verify(sweeps, stack_id)
    assert report.result == "complete"
    assert [row.id for row in report.kept] == ["data"]
    assert [row.id for row in report.deleted] == ["scratch"]


def test_what_is_of_others_is_left_alone(sweeps: SweepWorld) -> None:
    other, stack_id = sweeps.destroyed(), sweeps.destroyed()
    live = sweeps.deployed()
    for name, tags in (
        ("tombstone's", sweeps.marks(other)),
        ("live", sweeps.marks(live)),
        ("neighbour's", {**sweeps.marks(stack_id), "mlstacks-install": "you"}),
        ("nobody's", {}),
    ):
        sweeps.add("iam:role", name, tags)
    assert verify(sweeps, stack_id).result == "complete"
    assert sweeps.cloud.deleted == []


def test_what_can_not_be_deleted_is_left_with_the_reason(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    role = sweeps.add("iam:role", "role", sweeps.marks(stack_id))
    sweeps.cloud.denied = {role}
    report = verify(sweeps, stack_id)
    assert (report.result, [row.id for row in report.left]) == ("left", ["role"])


@pytest.mark.parametrize("status", ["denied", "failed"])
def test_with_a_list_that_fails_it_is_never_complete(sweeps: SweepWorld, status: str) -> None:
    sweeps.cloud.bad_lists = {("ec2:volume", "r2"): status}
    report = verify(sweeps, sweeps.destroyed())
    assert report.result == "left"
    assert [(c.type, c.region, c.status) for c in report.unverified] == [
        ("ec2:volume", "r2", status)
    ]


def test_a_cluster_that_still_runs_keeps_what_it_holds(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    sweeps.add("elb:balancer", "lb", {}, clusters=(f"ml-{stack_id}",))
    sweeps.cloud.clusters[("r1", f"ml-{stack_id}")] = True
    report = verify(sweeps, stack_id)
    assert (report.result, sweeps.cloud.deleted) == ("left", [])
    assert "still runs" in report.left[0].what


def test_a_live_stack_is_refused_with_what_exists(sweeps: SweepWorld) -> None:
    stack_id = sweeps.deployed()
    with pytest.raises(RefusedError, match="stack demo is not destroyed: network"):
        sweeps.sweeper.verify(stack_id)
    assert sweeps.opened == []


def test_a_stack_that_nobody_knows_is_bad_input(sweeps: SweepWorld) -> None:
    with pytest.raises(InputError, match="knows no stack"):
        sweeps.sweeper.verify("s" + "z" * 12)


def test_another_delete_in_the_account_is_not_disturbed(
    sweeps: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlstacks_dagster.lifecycle.sweeping._LOCK_SECONDS", 0.0)
    stack_id = sweeps.destroyed()
    sweeps.add("iam:role", "role", sweeps.marks(stack_id))
    path = sweeps.settings.locks_dir / "sweep.aws.111.lock"
    with locks.hold(path, {"pid": "1"}, timeout=1), pytest.raises(StackBusyError):
        sweeps.sweeper.verify(stack_id)
    assert sweeps.cloud.deleted == []


def test_a_sandbox_that_is_stopped_or_another_one_gives_no_report(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed(target="sandbox", sandbox_id="one")
    assert sweeps.sweeper.verify(stack_id) == ()
    sandbox(sweeps.settings.sandbox_dir, "two")
    assert sweeps.sweeper.verify(stack_id) == ()
    assert sweeps.opened == []


def test_in_its_sandbox_only_the_stacks_own_regions_are_looked_at(sweeps: SweepWorld) -> None:
    sandbox(sweeps.settings.sandbox_dir, "one")
    plan = plan_of({"AWS_PROFILE": "prod"})
    stack_id = sweeps.destroyed(target="sandbox", sandbox_id="one", plan=plan)
    assert verify(sweeps, stack_id).result == "complete"
    (opened,) = sweeps.opened
    assert (opened.wiring.target, opened.regions) == ("sandbox", ("r1",))
    assert "AWS_PROFILE" not in opened.environment


def test_a_stack_in_the_cloud_is_looked_for_there_whatever_the_sweeper_is_for(
    sweeps: SweepWorld,
) -> None:
    sandbox(sweeps.settings.sandbox_dir, "one")
    stack_id = sweeps.destroyed()
    sweeps.target = "sandbox"
    verify(sweeps, stack_id)
    assert sweeps.opened[0].wiring.target == "cloud"
    assert sweeps.opened[0].regions == ()
    assert sweeps.opened[0].home_region == "r1"


def test_each_account_of_its_units_is_looked_at_once(sweeps: SweepWorld) -> None:
    other = FakeCloud()
    other.scope = Scope(provider="aws", account="222", regions=("r1",))
    sweeps.clouds["other"] = other
    plan = plan_of({}, {"AWS_PROFILE": "other"}, {}, {"AWS_PROFILE": "lab"})
    stack_id = sweeps.destroyed(plan=plan)
    reports = sweeps.sweeper.verify(stack_id)
    assert [report.account for report in reports] == ["aws 111", "aws 222"]
    assert [opened.environment.get("AWS_PROFILE") for opened in sweeps.opened] == [
        None,
        "other",
        "lab",
    ]


def test_a_unit_that_left_the_stack_file_is_looked_for_too(sweeps: SweepWorld) -> None:
    sweeps.deployed(plan=plan_of({}, {"AWS_PROFILE": "other"}))
    stack_id = sweeps.deployed(plan=plan_of({}))
    sweeps.destroy(stack_id)
    sweeps.sweeper.verify(stack_id)
    assert {opened.environment.get("AWS_PROFILE") for opened in sweeps.opened} == {None, "other"}


def test_forgotten_credentials_are_not_replaced_by_others(sweeps: SweepWorld) -> None:
    plan = seal(plan_of({"AWS_PROFILE": "other"}), sweeps.settings)
    stack_id = sweeps.destroyed(plan=plan)
    verify(sweeps, stack_id)
    assert sweeps.opened[0].environment["AWS_PROFILE"] == "other"
    remove_sealed(set(references(plan.model_dump(mode="json"))), sweeps.settings)
    with pytest.raises(StateError, match="forgotten when it was destroyed"):
        sweeps.sweeper.verify(stack_id)
    assert len(sweeps.opened) == 1


def test_a_stack_that_made_nothing_in_a_cloud_needs_no_account(sweeps: SweepWorld) -> None:
    plan = plan_of({})
    (unit,) = plan.units
    release = unit.definition.model_copy(update={"engine": "helm"})
    plan = plan.model_copy(update={"units": (unit.model_copy(update={"definition": release}),)})
    assert sweeps.sweeper.verify(sweeps.destroyed(plan=plan)) == ()
    assert sweeps.opened == []


def test_a_tombstone_that_becomes_live_during_the_look_is_left_alone(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    sweeps.add("iam:role", "role", sweeps.marks(stack_id))
    snapshot = sweeps.cloud.snapshot

    def revive(*args: Any, **more: Any) -> Any:
        found = snapshot(*args, **more)
        sweeps.set(stack_id, "status = 'live'")
        begin(sweeps.ledger, stack_id)
        sweeps.cloud.snapshot = snapshot  # type: ignore[method-assign]
        return found

    sweeps.cloud.snapshot = revive  # type: ignore[method-assign]
    sweeps.sweeper.verify(stack_id)
    assert sweeps.cloud.deleted == []


def test_another_account_says_nothing_about_a_stack(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed(account="333")
    sweeps.add("iam:role", "role", sweeps.marks(stack_id))
    with pytest.raises(RefusedError, match="was in the account 333; these credentials are of 111"):
        sweeps.sweeper.verify(stack_id)
    assert sweeps.cloud.deleted == []


def test_every_account_of_a_stack_must_be_looked_at(sweeps: SweepWorld) -> None:
    stack_id = sweeps.deployed(account="111")
    begin(sweeps.ledger, stack_id, "gone", account="444")
    sweeps.destroy(stack_id)
    with pytest.raises(RefusedError, match="was in the account 444; these credentials are of 111"):
        sweeps.sweeper.verify(stack_id)


def test_the_account_that_a_stack_was_in_proves_it(sweeps: SweepWorld) -> None:
    assert verify(sweeps, sweeps.destroyed(account="111")).result == "complete"


def test_a_teardown_with_leftovers_fails_with_a_table_of_them(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    marks = sweeps.marks(stack_id)
    user = sweeps.add("ec2:instance", "somebody's", {})
    sweeps.add("iam:role", "role", marks, used_by=(user,))
    sweeps.cloud.bad_lists = {("ec2:volume", "r2"): "denied"}
    heard = Heard()
    with pytest.raises(LeftoversError) as caught:
        verify_stack(
            "demo",
            None,
            sweeps.settings,
            heard,
            open_cloud=sweeps.open_cloud,
            clock=sweeps.clock,
            sleep=sweeps.clock.sleep,
        )
    error = caught.value
    assert f"demo ({stack_id}) is not complete" in error.message
    assert "ec2:volume in r2: denied" in error.message
    header, _, row = error.table.splitlines()[:3]
    for column in ("Type", "Id", "Region", "Why it is ours", "Used by", "Age"):
        assert column in header
    for cell in ("iam:role", "role", "global", f"mlstacks-stack={stack_id}", "somebody's", "30 d"):
        assert cell in row, cell
    assert heard.milestones == [f"demo: looking for what is left of {stack_id}"]
