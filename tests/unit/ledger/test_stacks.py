"""Stacks: registered once, kept for ever, never moved by accident."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from mlstacks_dagster.errors import LedgerError, RefusedError
from mlstacks_dagster.ledger import Ledger, ResourceItem, StackRecord
from mlstacks_dagster.ledger.database import connect_engine, parse_url
from tests.unit.ledger.helpers import PROCESSES, Clock, begin, in_processes, make_plan

S3 = {"kind": "s3", "bucket": "states", "prefix": "team/", "region": "eu-west-1"}


def register(ledger: Ledger, name: str = "demo", **plan: object) -> StackRecord:
    return ledger.register_stack(make_plan(name, **plan), target="cloud", expires_at=None)


def destroy(ledger: Ledger, stack_id: str, *units: str) -> None:
    for unit in units:
        ledger.finish(begin(ledger, stack_id, unit, "destroy").id, "ok", summary={})


def test_a_new_stack_gets_an_id_of_s_and_twelve_base32_characters(
    ledger: Ledger, clock: Clock
) -> None:
    plan = make_plan("demo", options={"protect": True, "on_failure": "destroy", "state": S3})
    stack = ledger.register_stack(plan, target="cloud", expires_at=1_900_000_000)
    assert re.fullmatch(r"s[a-z2-7]{12}", stack.stack_id)
    assert stack.plan == plan
    assert (stack.name, stack.provider, stack.region) == ("demo", "aws", "eu-central-1")
    assert (stack.status, stack.live, stack.generation) == ("live", True, 0)
    assert (stack.created_at, stack.destroyed_at) == (int(clock.now), None)
    assert (stack.expires_at, stack.protect, stack.on_failure) == (1_900_000_000, True, "destroy")
    assert stack.state == plan.options.state
    assert stack.source == "/stacks/demo.yaml"
    assert ledger.stack(stack.stack_id) == ledger.live_stack("demo") == stack


def test_registering_again_keeps_the_id_and_takes_the_new_plan_and_options(
    ledger: Ledger, clock: Clock
) -> None:
    first = register(ledger)
    clock.tick()
    plan = make_plan("demo", "bucket", options={"protect": True}, source=None)
    second = ledger.register_stack(plan, target="cloud", expires_at=5)
    assert (second.stack_id, second.created_at) == (first.stack_id, first.created_at)
    assert second.plan == plan
    assert (second.protect, second.expires_at, second.source) == (True, 5, None)
    assert ledger.stacks() == [second]


def test_a_stack_that_was_never_registered_is_none(ledger: Ledger) -> None:
    assert ledger.live_stack("nobody") is None
    assert ledger.stack("s" + "a" * 12) is None
    assert ledger.history("nobody") == []


def test_a_stack_in_the_cloud_is_not_deployed_to_the_sandbox_as_well(ledger: Ledger) -> None:
    register(ledger)
    with pytest.raises(RefusedError, match="in the cloud") as caught:
        ledger.register_stack(make_plan(), target="sandbox", sandbox_id="box", expires_at=None)
    assert "destroy it first" in caught.value.remedy


def test_a_stack_in_the_sandbox_is_not_deployed_to_the_cloud_as_well(ledger: Ledger) -> None:
    ledger.register_stack(make_plan(), target="sandbox", sandbox_id="box", expires_at=None)
    with pytest.raises(RefusedError, match="in the sandbox"):
        register(ledger)


def test_a_stack_of_one_sandbox_is_not_taken_for_one_of_another(ledger: Ledger) -> None:
    ledger.register_stack(make_plan(), target="sandbox", sandbox_id="old", expires_at=None)
    with pytest.raises(RefusedError, match="sandbox old"):
        ledger.register_stack(make_plan(), target="sandbox", sandbox_id="new", expires_at=None)


def test_a_stack_does_not_move_to_another_provider(ledger: Ledger) -> None:
    register(ledger)
    with pytest.raises(RefusedError, match=r"deployed on aws.*says gcp"):
        register(ledger, provider="gcp")


@pytest.mark.parametrize("other", [{}, {**S3, "bucket": "b"}, {**S3, "prefix": ""}])
def test_a_stack_does_not_move_to_another_state_location(
    ledger: Ledger, other: dict[str, str]
) -> None:
    """Terraform would see an empty state and build everything a second time."""
    first = register(ledger, options={"state": S3})
    with pytest.raises(RefusedError, match=r"s3://states/team/ \(eu-west-1\)"):
        register(ledger, options={"state": other})
    assert ledger.live_stack("demo") == first


def test_a_refused_plan_changes_nothing_of_the_record(ledger: Ledger) -> None:
    first = register(ledger)
    with pytest.raises(RefusedError):
        register(ledger, provider="gcp", options={"protect": True})
    assert ledger.live_stack("demo") == first


def test_a_deployed_unit_does_not_move_to_another_region(ledger: Ledger) -> None:
    stack = register(ledger)
    begin(ledger, stack.stack_id, "network")
    with pytest.raises(RefusedError, match=r"network.*eu-central-1.*us-east-1") as caught:
        register(ledger, region="us-east-1")
    assert "destroy network first" in caught.value.remedy


def test_a_stack_of_which_nothing_is_deployed_may_change_its_region(ledger: Ledger) -> None:
    stack = register(ledger)
    begin(ledger, stack.stack_id, "network")
    destroy(ledger, stack.stack_id, "network")
    assert register(ledger, region="us-east-1").region == "us-east-1"


def test_a_run_is_counted_once_however_often_it_says_so(ledger: Ledger) -> None:
    stack_id = register(ledger).stack_id
    runs = ["a", "a", "b", "a", "b", "c"]
    assert [ledger.bump_generation(stack_id, run) for run in runs] == [1, 1, 2, 1, 2, 3]
    stack = ledger.stack(stack_id)
    assert stack is not None
    assert stack.generation == 3


def test_counting_a_run_of_an_unknown_stack_is_an_error_with_a_remedy(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="knows no stack") as caught:
        ledger.bump_generation("s" + "a" * 12, "run")
    assert caught.value.remedy


def test_a_stack_is_closed_only_when_every_unit_is_destroyed(ledger: Ledger, clock: Clock) -> None:
    stack_id = register(ledger).stack_id
    begin(ledger, stack_id, "network")
    begin(ledger, stack_id, "cluster")
    destroy(ledger, stack_id, "cluster")
    assert ledger.destroy_finished(stack_id) is False
    assert ledger.live_stack("demo") is not None
    destroy(ledger, stack_id, "network")
    now = clock.tick()
    assert ledger.destroy_finished(stack_id) is True
    assert ledger.live_stack("demo") is None
    tombstone = ledger.stack(stack_id)
    assert tombstone is not None
    assert (tombstone.status, tombstone.destroyed_at) == ("destroyed", now)
    clock.tick()
    assert ledger.destroy_finished(stack_id) is True
    assert ledger.stack(stack_id) == tombstone


def test_a_name_used_again_is_another_stack_and_the_old_one_stays(
    ledger: Ledger, clock: Clock
) -> None:
    first = register(ledger)
    ledger.destroy_finished(first.stack_id)
    clock.tick()
    second = register(ledger, provider="gcp")
    assert second.stack_id != first.stack_id
    assert [s.stack_id for s in ledger.history("demo")] == [second.stack_id, first.stack_id]
    assert [s.stack_id for s in ledger.stacks()] == [second.stack_id]
    assert len(ledger.stacks(include_destroyed=True)) == 2


def test_stacks_are_listed_newest_first(ledger: Ledger, clock: Clock) -> None:
    for name in ("one", "two", "three"):
        register(ledger, name)
        clock.tick()
    assert [s.name for s in ledger.stacks()] == ["three", "two", "one"]


def test_stacks_of_a_sandbox_that_is_gone_are_closed_with_all_they_had(
    ledger: Ledger, clock: Clock
) -> None:
    gone = ledger.register_stack(
        make_plan("gone"), target="sandbox", sandbox_id="a", expires_at=None
    )
    stays = ledger.register_stack(
        make_plan("stays"), target="sandbox", sandbox_id="b", expires_at=None
    )
    cloud = register(ledger, "cloud")
    done = begin(ledger, gone.stack_id, "network")
    ledger.finish(
        done.id, "ok", summary={}, outputs={"id": 1}, resources=[ResourceItem("a.b", "a", "i-1")]
    )
    begin(ledger, gone.stack_id, "cluster")
    now = clock.tick()

    closed = ledger.abandon_sandbox("a", "the sandbox was stopped")

    assert [s.name for s in closed] == ["gone"]
    assert closed[0] == ledger.stack(gone.stack_id)
    assert (closed[0].status, closed[0].destroyed_at) == ("destroyed", now)
    assert closed[0].close_reason == "the sandbox was stopped"
    units = ledger.units(gone.stack_id)
    assert {(u.status, u.destroyed_at, u.resource_count) for u in units} == {("destroyed", now, 0)}
    assert ledger.resources(gone.stack_id) == []
    assert ledger.resources(gone.stack_id, present_only=False)[0].gone_at == now
    left_open = ledger.last_operation(gone.stack_id, "cluster")
    assert left_open is not None
    assert (left_open.outcome, left_open.error) == ("abandoned", "the sandbox was stopped")
    assert ledger.live_stack("stays") == stays
    assert ledger.live_stack("cloud") == cloud
    assert ledger.abandon_sandbox("a", "again") == []


def test_a_stored_plan_of_another_version_can_still_be_listed(
    ledger: Ledger, ledger_url: str
) -> None:
    register(ledger)
    engine = connect_engine(parse_url(ledger_url)).execution_options(ledger_write=True)
    with engine.begin() as connection:
        connection.execute(text("""UPDATE mlstacks_stacks SET plan = '{"new": true}'"""))
    engine.dispose()
    stack = ledger.stacks()[0]
    assert stack.name == "demo"
    with pytest.raises(LedgerError, match=r"demo.*another version") as caught:
        _ = stack.plan
    assert caught.value.remedy


def test_the_database_itself_allows_one_live_stack_of_a_name(
    ledger: Ledger, ledger_url: str
) -> None:
    first = register(ledger)
    copy = text(
        "INSERT INTO mlstacks_stacks SELECT :new, name, provider, region, target, sandbox_id, "
        ":status, generation, created_at, destroyed_at, expires_at, protect, on_failure, state, "
        "plan, source, close_reason FROM mlstacks_stacks WHERE stack_id = :old"
    )
    engine = connect_engine(parse_url(ledger_url)).execution_options(ledger_write=True)
    with engine.begin() as connection:
        values = {"old": first.stack_id, "new": "s" + "2" * 12, "status": "destroyed"}
        connection.execute(copy, values)
    values = {"old": first.stack_id, "new": "s" + "3" * 12, "status": "live"}
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(copy, values)
    engine.dispose()


def _register(url: str, number: int) -> str:
    with Ledger.open(url) as ledger:
        found = {register(ledger, options={"protect": bool(number % 2)}).stack_id}
        for _ in range(4):
            found.add(register(ledger).stack_id)
        return ",".join(found)


def test_eight_processes_that_register_one_stack_at_once_get_the_same_row(ledger_url: str) -> None:
    """Also on a ledger that doesn't exist yet: all of them try to migrate it first."""
    found = in_processes(_register, ledger_url)
    with Ledger.open(ledger_url) as ledger:
        assert set(found) == {stack.stack_id for stack in ledger.history("demo")}
    assert len(set(found)) == 1, found


def _register_many(url: str, _number: int) -> list[str]:
    with Ledger.open(url) as ledger:
        return [register(ledger, f"stack{n}").stack_id for n in range(10)]


def test_eight_processes_that_register_ten_stacks_each_make_ten_rows(
    ledger: Ledger, ledger_url: str
) -> None:
    found = in_processes(_register_many, ledger_url)
    assert [ids for ids in found if not isinstance(ids, list)] == []
    assert len({tuple(ids) for ids in found}) == 1
    assert len(ledger.stacks(include_destroyed=True)) == 10


def _bump(url: str, stack_id: str, number: int) -> list[int]:
    with Ledger.open(url) as ledger:
        own = ledger.bump_generation(stack_id, f"run-{number}")
        return [own, ledger.bump_generation(stack_id, "shared")]


def test_eight_processes_that_count_runs_at_once_lose_none(ledger: Ledger, ledger_url: str) -> None:
    stack_id = register(ledger).stack_id
    found = in_processes(_bump, ledger_url, stack_id)
    stack = ledger.stack(stack_id)
    assert stack is not None
    assert stack.generation == PROCESSES + 1
    assert len({own for own, _ in found}) == PROCESSES
    assert len({shared for _, shared in found}) == 1
