"""What sweeps keep in the ledger, and what they learn from it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger import Ledger, ResourceItem
from mlstacks_dagster.ledger.database import HEAD, VERSION_TABLE
from mlstacks_dagster.ledger.sweeps import COUNTS_AFTER, KEPT_PLANS, Sighting, SweepRecord
from tests.unit.ledger.helpers import Clock, begin, in_processes, make_plan
from tests.unit.ledger.test_migrations import engine_at

VOLUME = ("ec2:volume", "r1", "vol-1")
ROLE = ("iam:role", "global", "role")
PLACES = [("ec2:volume", "r1"), ("iam:role", "global")]
HASH = "ab" * 32


def saw(ledger: Ledger, *things: Any, listed: Any = PLACES, account: str = "111") -> Any:
    return ledger.sweeps.saw("aws", account, things, listed)


def record(ledger: Ledger, plan_hash: str = HASH, account: str = "111", plan: str = "{}") -> int:
    return ledger.sweeps.record_plan("aws", account, plan_hash, "leftovers", plan)


def only(found: list[SweepRecord]) -> SweepRecord:
    (one,) = found
    return one


def deployed(ledger: Ledger, *resources: ResourceItem, region: str = "eu-central-1") -> str:
    stack = ledger.register_stack(make_plan(region=region), target="cloud", expires_at=None)
    operation = begin(ledger, stack.stack_id)
    ledger.finish(operation.id, "ok", summary={}, resources=resources)
    return stack.stack_id


def destroyed(ledger: Ledger, stack_id: str, summary: dict[str, Any] | None = None) -> None:
    operation = begin(ledger, stack_id, kind="destroy")
    ledger.finish(operation.id, "ok", summary=summary or {}, resources=())
    assert ledger.destroy_finished(stack_id)


def test_a_thing_is_first_seen_once_and_counted_each_time(ledger: Ledger, clock: Clock) -> None:
    first = int(clock.now)
    assert saw(ledger, VOLUME) == {VOLUME: Sighting(first, 1)}
    clock.tick(COUNTS_AFTER)
    both = {VOLUME: Sighting(first, 2), ROLE: Sighting(int(clock.now), 1)}
    assert saw(ledger, VOLUME, ROLE) == both
    assert ledger.sweeps.sightings("aws", "111") == both


def test_listings_in_quick_succession_are_one_sweep(ledger: Ledger, clock: Clock) -> None:
    saw(ledger, VOLUME)
    counted = []
    for _ in range(6):
        clock.tick(COUNTS_AFTER // 3)
        counted.append(saw(ledger, VOLUME)[VOLUME].sweeps)
    assert counted == [1, 1, 2, 2, 2, 3]


def test_a_clock_that_was_ahead_neither_counts_nor_stops_the_count(
    ledger: Ledger, clock: Clock
) -> None:
    saw(ledger, VOLUME)
    clock.tick(-(10**6))
    assert saw(ledger, VOLUME)[VOLUME].sweeps == 1
    clock.tick(COUNTS_AFTER)
    assert saw(ledger, VOLUME)[VOLUME].sweeps == 2


def test_what_is_gone_and_comes_back_is_new(ledger: Ledger, clock: Clock) -> None:
    saw(ledger, VOLUME)
    assert saw(ledger) == {}
    later = clock.tick()
    assert saw(ledger, VOLUME) == {VOLUME: Sighting(later, 1)}


def test_what_could_not_be_listed_is_neither_gone_nor_counted(ledger: Ledger, clock: Clock) -> None:
    first = int(clock.now)
    saw(ledger, VOLUME, ROLE)
    clock.tick(COUNTS_AFTER)
    kept = saw(ledger, ROLE, listed=[("iam:role", "global")])
    assert kept == {VOLUME: Sighting(first, 1), ROLE: Sighting(first, 2)}


def test_a_thing_that_is_named_twice_in_a_listing_counts_once(ledger: Ledger) -> None:
    assert saw(ledger, VOLUME, VOLUME)[VOLUME].sweeps == 1


def test_accounts_and_providers_are_told_apart(ledger: Ledger) -> None:
    saw(ledger, VOLUME)
    assert saw(ledger, account="222") == {}
    assert ledger.sweeps.saw("gcp", "111", [], PLACES) == {}
    assert set(ledger.sweeps.sightings("aws", "111")) == {VOLUME}


def test_thousands_of_things_are_no_trouble(ledger: Ledger, clock: Clock) -> None:
    things = [("ec2:volume", "r1", f"vol-{n}") for n in range(1_500)]
    saw(ledger, *things)
    clock.tick(COUNTS_AFTER)
    found = saw(ledger, *things[:1_000])
    assert len(found) == 1_000
    assert {sighting.sweeps for sighting in found.values()} == {2}


def _see(url: str, _number: int) -> int:
    with Ledger.open(url, Clock()) as ledger:
        return len(saw(ledger, VOLUME, ROLE))


def test_sweeps_at_the_same_time_count_once_and_without_an_error(
    ledger: Ledger, ledger_url: str
) -> None:
    ledger.installation()
    assert in_processes(_see, ledger_url, count=4) == [2, 2, 2, 2]
    assert ledger.sweeps.sightings("aws", "111")[VOLUME].sweeps == 1


def test_a_plan_is_found_by_the_beginning_of_its_hash(ledger: Ledger, clock: Clock) -> None:
    number = record(ledger, plan='{"a": 1}')
    record(ledger, "cd" * 32)
    found = only(ledger.sweeps.find(HASH[:12]))
    assert (found.id, found.plan_hash, found.plan) == (number, HASH, '{"a": 1}')
    assert (found.verdict, found.made_at) == ("leftovers", int(clock.now))
    assert (found.approved_by, found.executed_at, found.report) == (None, None, None)


@pytest.mark.parametrize("wrong", ["ba", "%", "_b", "ab%", HASH + "a"])
def test_another_text_finds_no_plan(ledger: Ledger, wrong: str) -> None:
    record(ledger)
    assert ledger.sweeps.find(wrong) == []


def test_of_the_same_plan_the_newest_is_found_for_each_account(
    ledger: Ledger, clock: Clock
) -> None:
    record(ledger, plan="old")
    clock.tick()
    record(ledger, plan="new")
    record(ledger, account="222", plan="other")
    assert [found.plan for found in ledger.sweeps.find(HASH)] == ["new", "other"]
    assert only(ledger.sweeps.find(HASH, "aws", "222")).plan == "other"
    assert ledger.sweeps.find(HASH, "gcp") == []


def test_old_plans_go_but_those_that_were_approved_stay(ledger: Ledger) -> None:
    first = record(ledger, "01" * 32)
    record(ledger, "02" * 32)
    other = record(ledger, "03" * 32, account="222")
    ledger.sweeps.approve(first, "ada")
    for number in range(KEPT_PLANS):
        record(ledger, f"{number:064d}")
    assert ledger.sweeps.find("01" * 32) != []
    assert ledger.sweeps.find("02" * 32) == []
    assert only(ledger.sweeps.find("03" * 32)).id == other
    assert len(ledger.sweeps.history("aws", "111", 1_000)) == KEPT_PLANS + 1


def test_the_history_begins_with_the_newest(ledger: Ledger) -> None:
    numbers = [record(ledger, f"{number:064d}") for number in range(3)]
    found = [sweep.id for sweep in ledger.sweeps.history("aws", "111", 2)]
    assert found == [numbers[2], numbers[1]]


def test_who_approved_is_known_before_anything_is_deleted(ledger: Ledger, clock: Clock) -> None:
    number = ledger.sweeps.approve(record(ledger), "ada")
    killed = only(ledger.sweeps.find(HASH))
    assert (killed.approved_by, killed.executed_at, killed.report) == ("ada", None, None)
    now = clock.tick()
    ledger.sweeps.executed(number, '{"complete":true}')
    done = only(ledger.sweeps.find(HASH))
    assert (done.approved_by, done.executed_at) == ("ada", now)
    assert done.report == '{"complete":true}'


def test_a_second_approval_does_not_overwrite_the_first(ledger: Ledger) -> None:
    first = record(ledger, plan="the plan")
    assert ledger.sweeps.approve(first, "ada") == first
    ledger.sweeps.executed(first, "left")
    again = ledger.sweeps.approve(first, "bob")
    ledger.sweeps.executed(again, "complete")
    newest, oldest = ledger.sweeps.history("aws", "111")
    assert (oldest.id, oldest.approved_by, oldest.report) == (first, "ada", "left")
    assert (newest.id, newest.approved_by, newest.report) == (again, "bob", "complete")
    assert newest.plan == oldest.plan == "the plan"


def test_a_number_that_is_unknown_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no sweep 7"):
        ledger.sweeps.approve(7, "ada")
    with pytest.raises(LedgerError, match="no sweep 7"):
        ledger.sweeps.executed(7, "x")


def test_ids_and_arns_of_live_stacks_are_held_until_they_are_gone(ledger: Ledger) -> None:
    bucket = ResourceItem("aws_s3_bucket.a", "aws_s3_bucket", "data", "arn:aws:s3:::data")
    stack_id = deployed(ledger, bucket, ResourceItem("null.b", "null_resource"))
    assert ledger.sweeps.facts().held == {"data", "arn:aws:s3:::data"}
    destroyed(ledger, stack_id)
    assert ledger.sweeps.facts().held == frozenset()


def test_a_stack_is_busy_while_an_operation_is_open(ledger: Ledger) -> None:
    stack_id = deployed(ledger)
    assert ledger.sweeps.facts().busy == frozenset()
    operation = begin(ledger, stack_id, kind="drift")
    assert ledger.sweeps.facts().busy == {stack_id}
    ledger.finish(operation.id, "failed", summary={})
    assert ledger.sweeps.facts().busy == frozenset()


def test_clusters_stay_known_after_they_are_gone(ledger: Ledger) -> None:
    arn = "arn:aws:eks:eu-central-1:111:cluster/ml-x"
    stack_id = deployed(ledger, ResourceItem("aws_eks_cluster.a", "aws_eks_cluster", "ml-x", arn))
    note = {"name": "ml-x", "uid": "1"}
    destroyed(ledger, stack_id, {"destroy": 3, "cluster": note})
    facts = ledger.sweeps.facts()
    assert facts.clusters == ((stack_id, "ml-x", arn),)
    assert facts.notes == ((stack_id, note),)


def test_a_cluster_without_an_arn_is_known_by_its_id(ledger: Ledger) -> None:
    path = "projects/p/locations/europe-west1/clusters/ml-x"
    kind = "google_container_cluster"
    stack_id = deployed(ledger, ResourceItem(f"{kind}.a", kind, path))
    assert ledger.sweeps.facts().clusters == ((stack_id, path, path),)


def test_the_regions_of_units_stay_known_too(ledger: Ledger) -> None:
    stack_id = deployed(ledger, region="eu-west-1")
    destroyed(ledger, stack_id)
    assert ledger.sweeps.facts().regions == ((stack_id, "eu-west-1"),)


def test_a_ledger_from_before_sweeps_keeps_what_it_has(ledger_url: str, clock: Clock) -> None:
    with Ledger.open(ledger_url, clock) as ledger:
        stack_id = deployed(ledger)
    engine = engine_at(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE mlstacks_sweeps"))
        connection.execute(text("DROP TABLE mlstacks_sightings"))
        connection.execute(text("ALTER TABLE mlstacks_units DROP COLUMN account"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    with Ledger.open(ledger_url, clock) as ledger:
        assert [stack.stack_id for stack in ledger.stacks()] == [stack_id]
        assert saw(ledger, VOLUME)[VOLUME].sweeps == 1
    with engine.connect() as connection:
        version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    engine.dispose()
    assert version == HEAD
