"""Operations: the intent first, then the truth, also when a process dies between the two."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from mlstacks_dagster.errors import LedgerError, RefusedError
from mlstacks_dagster.ledger import Ledger, PlannedItem, ResourceItem, UnitRecord
from tests.unit.ledger.helpers import Clock, begin, in_processes, make_plan, make_unit


@pytest.fixture
def stack_id(ledger: Ledger) -> str:
    return ledger.register_stack(make_plan(), target="cloud", expires_at=None).stack_id


def get_unit(ledger: Ledger, stack_id: str, name: str = "network") -> UnitRecord:
    found = ledger.unit(stack_id, name)
    assert found is not None
    return found


def deploy(ledger: Ledger, stack_id: str, outcome: Any = "ok", **ending: Any) -> UnitRecord:
    operation = begin(ledger, stack_id)
    return ledger.finish(operation.id, outcome, **{"summary": {}, **ending})


def test_the_intent_is_recorded_before_anything_else(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    assert ledger.unit(stack_id, "network") is None
    operation = begin(ledger, stack_id)
    unit = get_unit(ledger, stack_id)
    assert (unit.status, unit.engine, unit.run_id) == ("intended", "terraform", "run-1")
    assert (unit.created_at, unit.applied_at, unit.input_hash) == (int(clock.now), None, None)
    assert (operation.started_at, operation.finished_at) == (int(clock.now), None)
    assert (operation.outcome, operation.input_hash, operation.previous) == (None, "hash-1", None)
    assert ledger.unclean(stack_id, "network")


def test_a_unit_becomes_applying_when_it_is_known_what_will_be_created(
    ledger: Ledger, stack_id: str
) -> None:
    operation = begin(ledger, stack_id)
    ledger.planned(operation.id, [PlannedItem("a.b", "a", True)])
    assert get_unit(ledger, stack_id).status == "applying"


def test_a_deploy_that_ended_well_settles_its_unit(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    operation = begin(ledger, stack_id)
    now = clock.tick()
    unit = ledger.finish(
        operation.id,
        "ok",
        summary={"add": 2},
        outputs={"vpc_id": "vpc-1", "subnets": ["a", "b"]},
        resources=[ResourceItem("a.x", "a", "id-x", "arn:x"), ResourceItem("a.y", "a")],
        module_digest="digest",
    )
    assert unit == get_unit(ledger, stack_id)
    assert (unit.status, unit.applied_at, unit.input_hash) == ("applied", now, "hash-1")
    assert (unit.module_digest, unit.resource_count) == ("digest", 2)
    assert unit.outputs == {"vpc_id": "vpc-1", "subnets": ["a", "b"]}
    assert [(r.address, r.resource_id, r.arn) for r in ledger.resources(stack_id)] == [
        ("a.x", "id-x", "arn:x"),
        ("a.y", "", None),
    ]
    last = ledger.last_operation(stack_id, "network")
    assert last is not None
    assert (last.outcome, last.finished_at, last.summary) == ("ok", now, {"add": 2})
    assert last.clean
    assert not ledger.unclean(stack_id, "network")


@pytest.mark.parametrize("outcome", ["failed", "interrupted"])
def test_a_deploy_that_failed_keeps_what_the_last_good_one_left(
    ledger: Ledger, stack_id: str, outcome: str
) -> None:
    good = deploy(ledger, stack_id, outputs={"a": 1}, module_digest="d")
    operation = begin(ledger, stack_id, input_hash="hash-2")
    assert get_unit(ledger, stack_id).status == "applying"
    unit = ledger.finish(operation.id, outcome, summary={}, error="no")  # type: ignore[arg-type]
    assert unit.status == "failed"
    assert (unit.input_hash, unit.outputs, unit.module_digest, unit.applied_at) == (
        good.input_hash,
        good.outputs,
        good.module_digest,
        good.applied_at,
    )
    last = ledger.last_operation(stack_id, "network")
    assert last is not None
    assert (last.outcome, last.error) == (outcome, "no")
    assert ledger.unclean(stack_id, "network")


def test_a_failed_deploy_still_records_what_exists(ledger: Ledger, stack_id: str) -> None:
    unit = deploy(ledger, stack_id, "failed", resources=[ResourceItem("a.x", "a", "id")])
    assert unit.resource_count == 1
    assert [r.address for r in ledger.resources(stack_id, "network")] == ["a.x"]


def test_what_finish_is_not_told_stays_as_it_was(ledger: Ledger, stack_id: str) -> None:
    told = {"outputs": {"a": 1}, "resources": [ResourceItem("a.x", "a")], "module_digest": "d"}
    deploy(ledger, stack_id, **told)
    unit = deploy(ledger, stack_id)
    assert (unit.outputs, unit.resource_count, unit.module_digest) == ({"a": 1}, 1, "d")


def test_a_destroy_closes_the_unit_and_keeps_its_traces(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    deploy(ledger, stack_id, outputs={"a": 1}, resources=[ResourceItem("a.x", "a", "id")])
    operation = begin(ledger, stack_id, kind="destroy")
    assert get_unit(ledger, stack_id).status == "destroying"
    now = clock.tick()
    unit = ledger.finish(operation.id, "ok", summary={})
    assert (unit.status, unit.exists, unit.destroyed_at) == ("destroyed", False, now)
    assert (unit.input_hash, unit.outputs, unit.resource_count) == (None, {}, 0)
    assert ledger.resources(stack_id) == []
    assert [r.gone_at for r in ledger.resources(stack_id, present_only=False)] == [now]


def test_a_destroy_that_failed_keeps_the_resources_that_are_left(
    ledger: Ledger, stack_id: str
) -> None:
    left = ResourceItem("a.y", "a")
    deploy(ledger, stack_id, resources=[ResourceItem("a.x", "a"), left])
    operation = begin(ledger, stack_id, kind="destroy")
    unit = ledger.finish(operation.id, "failed", summary={}, resources=[left], error="busy")
    assert (unit.status, unit.exists, unit.resource_count) == ("failed", True, 1)
    assert [r.address for r in ledger.resources(stack_id)] == ["a.y"]


def test_a_unit_deployed_again_after_its_destroy_starts_anew(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    deploy(ledger, stack_id)
    ledger.finish(begin(ledger, stack_id, kind="destroy").id, "ok", summary={})
    now = clock.tick()
    begin(ledger, stack_id, run_id="run-2")
    unit = get_unit(ledger, stack_id)
    assert (unit.status, unit.created_at, unit.destroyed_at) == ("intended", now, None)


def test_a_resource_keeps_its_age_until_it_is_replaced(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    deploy(ledger, stack_id, resources=[ResourceItem("a.x", "a", "1"), ResourceItem("a.y", "a")])
    first = int(clock.now)
    second = clock.tick()
    deploy(ledger, stack_id, resources=[ResourceItem("a.x", "a", "2"), ResourceItem("a.y", "a")])
    assert [r.created_at for r in ledger.resources(stack_id)] == [second, first]
    deploy(ledger, stack_id, resources=[ResourceItem("a.x", "a", "2")])
    third = clock.tick()
    deploy(ledger, stack_id, resources=[ResourceItem("a.y", "a")])
    rows = ledger.resources(stack_id, present_only=False)
    assert [(r.created_at, r.gone_at) for r in rows] == [(second, third), (third, None)]


def test_an_operation_left_open_by_a_crash_is_abandoned_by_the_next(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    crashed = begin(ledger, stack_id, run_id="crashed")
    now = clock.tick()
    second = begin(ledger, stack_id, run_id="second")
    assert second.previous is not None
    assert (second.previous.id, second.previous.run_id) == (crashed.id, "crashed")
    assert (second.previous.outcome, second.previous.finished_at) == ("abandoned", now)
    assert not second.previous.clean
    ledger.finish(second.id, "ok", summary={})
    third = begin(ledger, stack_id)
    assert third.previous is not None
    assert third.previous.clean


def test_one_that_was_given_up_cannot_be_finished_by_its_late_owner(
    ledger: Ledger, stack_id: str
) -> None:
    late = begin(ledger, stack_id, run_id="late")
    begin(ledger, stack_id, run_id="new")
    with pytest.raises(LedgerError, match=r"run late.*abandoned"):
        ledger.finish(late.id, "ok", summary={}, outputs={"a": 1})
    with pytest.raises(LedgerError, match="closed already"):
        ledger.planned(late.id, [])
    assert get_unit(ledger, stack_id).outputs == {}


def test_an_operation_is_finished_once(ledger: Ledger, stack_id: str) -> None:
    operation = begin(ledger, stack_id)
    ledger.finish(operation.id, "ok", summary={})
    with pytest.raises(LedgerError, match="closed already as ok"):
        ledger.finish(operation.id, "failed", summary={})
    assert get_unit(ledger, stack_id).status == "applied"


def test_an_unknown_operation_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="knows no operation 77"):
        ledger.finish(77, "ok", summary={})


def test_units_of_one_stack_do_not_abandon_each_other(ledger: Ledger, stack_id: str) -> None:
    network = begin(ledger, stack_id, "network")
    cluster = begin(ledger, stack_id, "cluster")
    assert cluster.previous is None
    ledger.finish(network.id, "ok", summary={})
    ledger.finish(cluster.id, "ok", summary={})
    assert [u.status for u in ledger.units(stack_id)] == ["applied", "applied"]


def test_nothing_begins_on_a_destroyed_or_unknown_stack(ledger: Ledger, stack_id: str) -> None:
    ledger.destroy_finished(stack_id)
    with pytest.raises(RefusedError, match="destroyed"):
        begin(ledger, stack_id)
    with pytest.raises(LedgerError, match="knows no stack"):
        begin(ledger, "s" + "a" * 12)


def test_what_is_noted_stays_whatever_becomes_of_the_operation(
    ledger: Ledger, stack_id: str
) -> None:
    operation = begin(ledger, stack_id)
    ledger.note(operation.id, {"cluster": {"name": "a"}})
    cut_off = ledger.last_operation(stack_id, "network")
    assert cut_off is not None
    assert cut_off.summary == {"cluster": {"name": "a"}}
    ledger.finish(operation.id, "ok", summary={"add": 1})
    ended = ledger.last_operation(stack_id, "network")
    assert ended is not None
    assert ended.summary == {"cluster": {"name": "a"}, "add": 1}
    with pytest.raises(LedgerError):
        ledger.note(operation.id, {})


def test_a_drift_check_neither_spoils_a_unit_nor_cleans_it(ledger: Ledger, stack_id: str) -> None:
    deploy(ledger, stack_id, "failed")
    check = begin(ledger, stack_id, kind="drift", run_id="drift")
    assert check.previous is not None
    assert check.previous.outcome == "failed"
    unit = ledger.finish(check.id, "ok", summary={"drifted": False})
    assert (unit.status, unit.run_id) == ("failed", "run-1")
    assert ledger.unclean(stack_id, "network")
    deploy(ledger, stack_id)
    begin(ledger, stack_id, kind="drift")
    assert not ledger.unclean(stack_id, "network")


def test_a_drift_check_leaves_a_running_deploy_alone(ledger: Ledger, stack_id: str) -> None:
    running = begin(ledger, stack_id)
    begin(ledger, stack_id, kind="drift")
    assert ledger.finish(running.id, "ok", summary={}).status == "applied"


def test_a_unit_that_was_never_deployed_cannot_be_checked_for_drift(
    ledger: Ledger, stack_id: str
) -> None:
    with pytest.raises(LedgerError, match="never deployed"):
        begin(ledger, stack_id, kind="drift")
    with pytest.raises(LedgerError, match="no unit network"):
        ledger.mark_drifted(stack_id, "network", True)
    assert ledger.units(stack_id) == []


def test_drift_is_remembered_until_the_next_good_deploy(ledger: Ledger, stack_id: str) -> None:
    deploy(ledger, stack_id)
    ledger.mark_drifted(stack_id, "network", True)
    assert get_unit(ledger, stack_id).drifted
    assert deploy(ledger, stack_id, "failed").drifted
    assert not deploy(ledger, stack_id).drifted
    ledger.mark_drifted(stack_id, "network", True)
    ledger.mark_drifted(stack_id, "network", False)
    assert not get_unit(ledger, stack_id).drifted


def test_planned_items_are_remembered_over_crashes_until_a_clean_end(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    first = begin(ledger, stack_id)
    ledger.planned(first.id, [PlannedItem("a.x", "a", True), PlannedItem("a.y", "a", False)])
    began = int(clock.now)
    later = clock.tick()
    second = begin(ledger, stack_id)
    ledger.planned(second.id, [PlannedItem("a.x", "a", False), PlannedItem("a.z", "a", True)])
    ledger.planned(second.id, [PlannedItem("a.z", "a", False)])
    assert ledger.planned_items(stack_id, "network") == {
        "a.x": PlannedItem("a.x", "a", True, began),
        "a.y": PlannedItem("a.y", "a", False, began),
        "a.z": PlannedItem("a.z", "a", True, later),
    }
    assert ledger.planned_items(stack_id, "cluster") == {}
    ledger.finish(second.id, "ok", summary={})
    assert ledger.planned_items(stack_id, "network") == {}


def test_what_was_foreign_and_then_absent_counts_as_absent_from_then_on(
    ledger: Ledger, stack_id: str, clock: Clock
) -> None:
    """The user removed what stood in the way; what we then create is ours."""
    operation = begin(ledger, stack_id)
    ledger.planned(operation.id, [PlannedItem("a.x", "a", False)])
    later = clock.tick()
    operation = begin(ledger, stack_id)
    ledger.planned(operation.id, [PlannedItem("a.x", "a", True)])
    assert ledger.planned_items(stack_id, "network")["a.x"] == PlannedItem("a.x", "a", True, later)


def test_a_sensitive_output_is_not_stored_even_if_it_is_handed_over(
    ledger: Ledger, stack_id: str
) -> None:
    raw = {
        "password": {"value": "hunter2", "sensitive": True, "type": "string"},
        "name": {"value": "n", "sensitive": False, "type": "string"},
    }
    assert set(deploy(ledger, stack_id, outputs=raw).outputs) == {"name"}


def test_a_long_error_is_cut_and_stripped_of_what_databases_refuse(
    ledger: Ledger, stack_id: str
) -> None:
    deploy(ledger, stack_id, "failed", error="nul \0 half \ud83d " + "x" * 10_000)
    last = ledger.last_operation(stack_id, "network")
    assert last is not None
    assert last.error is not None
    assert last.error.startswith("nul  half ? xxx")
    assert len(last.error) == 4000
    assert last.error.endswith("…")


def test_a_unit_keeps_its_plan_when_the_stack_file_names_it_no_more(
    ledger: Ledger, stack_id: str
) -> None:
    """Otherwise a component removed from the file could never be destroyed."""
    deploy(ledger, stack_id)
    ledger.register_stack(make_plan("demo", "cluster"), target="cloud", expires_at=None)
    ledger.finish(begin(ledger, stack_id, kind="destroy").id, "failed", summary={})
    assert get_unit(ledger, stack_id).planned == make_unit("network")


def test_a_unit_outside_the_plan_has_no_plan(ledger: Ledger, stack_id: str) -> None:
    begin(ledger, stack_id, "stranger", kind="destroy")
    unit = get_unit(ledger, stack_id, "stranger")
    assert (unit.status, unit.planned) == ("destroying", None)


def _begin(url: str, stack_id: str, number: int) -> int:
    with Ledger.open(url) as ledger:
        return begin(ledger, stack_id, run_id=f"run-{number}").id


def test_of_eight_processes_that_begin_at_once_one_stays_in_charge(
    ledger: Ledger, ledger_url: str, stack_id: str
) -> None:
    ids = in_processes(_begin, ledger_url, stack_id)
    assert len(set(ids)) == len(ids), ids
    outcomes = {}
    for number in ids:
        try:
            ledger.finish(number, "ok", summary={})
            outcomes[number] = "in charge"
        except LedgerError:
            outcomes[number] = "given up"
    assert sorted(outcomes.values()) == ["given up"] * 7 + ["in charge"]
    assert outcomes[max(ids)] == "in charge"


def _work_on_own_unit(url: str, stack_id: str, number: int) -> int:
    with Ledger.open(url) as ledger:
        for _ in range(3):
            operation = begin(ledger, stack_id, f"unit{number}")
            ledger.planned(operation.id, [PlannedItem(f"a.{number}", "a", True)])
            ledger.finish(operation.id, "ok", summary={}, resources=[ResourceItem("a.x", "a")])
        return number


def test_eight_units_deployed_at_once_all_get_recorded(
    ledger: Ledger, ledger_url: str, stack_id: str
) -> None:
    assert sorted(in_processes(_work_on_own_unit, ledger_url, stack_id)) == list(range(8))
    found = {unit.unit: unit.status for unit in ledger.units(stack_id)}
    assert found == {f"unit{number}": "applied" for number in range(8)}


def test_a_process_killed_in_its_operation_leaves_it_open_and_the_ledger_usable(
    ledger: Ledger, ledger_url: str, stack_id: str
) -> None:
    child = os.fork()
    if child == 0:
        try:
            with Ledger.open(ledger_url) as own:
                operation = begin(own, stack_id, run_id="killed")
                own.planned(operation.id, [PlannedItem("a.x", "a", True)])
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert ledger.unclean(stack_id, "network")
    assert ledger.planned_items(stack_id, "network")["a.x"].absent_before
    again = begin(ledger, stack_id, run_id="again")
    assert again.previous is not None
    assert (again.previous.run_id, again.previous.outcome) == ("killed", "abandoned")
