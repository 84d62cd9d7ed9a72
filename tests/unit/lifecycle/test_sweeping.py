"""Sweeps with a ledger: list, approve, delete; and what holds a delete back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mlstacks_dagster.errors import InputError, RefusedError, SandboxError, StackBusyError
from mlstacks_dagster.ledger import Ledger
from mlstacks_dagster.ledger.sweeps import COUNTS_AFTER
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.clouds import AccountSpec
from mlstacks_dagster.lifecycle.sweeping import find_record
from mlstacks_dagster.sweep.inventory.model import Item, Scope
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.verdict import Policy
from tests.unit.ledger.helpers import begin, make_plan
from tests.unit.lifecycle.sweep_world import AWS, DAY, SweepWorld, sandbox, sweep_world
from tests.unit.lifecycle.world import World
from tests.unit.sweep.inventory.fake_cloud import FakeCloud


@pytest.fixture
def sweeps(world: World) -> Iterator[SweepWorld]:
    with sweep_world(world.settings) as made:
        yield made


def going(plan: SweepPlan) -> set[str]:
    return {entry.ref.id for entry in plan.entries}


def leftover(sweeps: SweepWorld) -> SweepPlan:
    """Leave a role and what stands in its way, and list them until they may go."""
    marks = sweeps.marks(sweeps.destroyed())
    role = sweeps.add("iam:role", "role", marks)
    sweeps.add("ec2:instance", "vm", marks, uses=(role,))
    sweeps.pass_days(2)
    sweeps.sweeper.plan(AWS)
    return sweeps.later()


def test_an_orphan_may_go_in_the_second_sweep_after_its_grace(sweeps: SweepWorld) -> None:
    sweeps.add("iam:role", "role", sweeps.marks(sweeps.destroyed()))
    first = sweeps.sweeper.plan(AWS)
    assert (going(first), first.verdict) == (set(), "leftovers")
    assert "the grace is 1 d" in first.others[0].verdict.reason
    sweeps.pass_days(1.5)
    assert going(sweeps.sweeper.plan(AWS)) == {"role"}


def test_however_old_it_is_one_sweep_is_not_enough(sweeps: SweepWorld) -> None:
    marks = sweeps.marks(sweeps.destroyed())
    sweeps.pass_days(30)
    sweeps.add("iam:role", "role", marks)
    first = sweeps.sweeper.plan(AWS)
    minutes = COUNTS_AFTER // 60
    too_few = f"seen in 1 of the 2 sweeps that are needed; those within {minutes} minutes are one"
    assert first.others[0].verdict.reason == too_few
    # Listed again at once, and again, it is still the same sweep.
    for _ in range(2):
        assert sweeps.sweeper.plan(AWS).others[0].verdict.reason == too_few
        sweeps.clock.sleep(COUNTS_AFTER / 2 - 1)
    assert going(sweeps.sweeper.plan(AWS)) == set()
    sweeps.clock.sleep(2)
    assert going(sweeps.sweeper.plan(AWS)) == {"role"}


def test_what_was_gone_in_between_begins_anew(sweeps: SweepWorld) -> None:
    role = sweeps.add("iam:role", "role", sweeps.marks(sweeps.destroyed()))
    sweeps.pass_days(2)
    sweeps.sweeper.plan(AWS)
    item = sweeps.cloud.items.pop(role)
    assert sweeps.sweeper.plan(AWS).verdict == "clean"
    sweeps.cloud.items[role] = item
    assert going(sweeps.later()) == set()
    assert going(sweeps.later()) == {"role"}


def test_a_list_that_fails_in_between_forgets_nothing(sweeps: SweepWorld) -> None:
    sweeps.add("iam:role", "role", sweeps.marks(sweeps.destroyed()))
    sweeps.pass_days(2)
    sweeps.sweeper.plan(AWS)
    sweeps.cloud.bad_lists = {("iam:role", "global"): "failed"}
    assert sweeps.sweeper.plan(AWS).verdict == "unverified"
    sweeps.cloud.bad_lists = {}
    assert going(sweeps.later()) == {"role"}


def test_a_plan_for_one_stack_counts_the_leftovers_of_others_too(sweeps: SweepWorld) -> None:
    sweeps.add("iam:role", "role", sweeps.marks(sweeps.destroyed()))
    sweeps.pass_days(2)
    sweeps.sweeper.plan(AWS)
    assert going(sweeps.later(policy=Policy(only_stack="another"))) == set()
    known = sweeps.ledger.sweeps.sightings("aws", "111")
    assert known["iam:role", "global", "role"].sweeps == 2


def test_a_sweep_of_some_regions_leaves_what_others_may_use(sweeps: SweepWorld) -> None:
    leftover(sweeps)
    role = sweeps.cloud.kinds["iam:role"]
    held = replace(role, held_by=("ec2:instance",))
    sweeps.cloud.kinds = {**sweeps.cloud.kinds, "iam:role": held}
    assert going(sweeps.sweeper.plan(AWS)) == {"vm", "role"}
    some = sweeps.sweeper.plan(AWS, regions=sweeps.cloud.scope.regions)
    assert (going(some), some.scope.partial) == ({"vm"}, True)
    assert sweeps.sweeper.delete(AWS, some.hash, "lab").complete


def test_live_and_foreign_things_are_neither_planned_nor_counted(sweeps: SweepWorld) -> None:
    sweeps.add("iam:role", "live", sweeps.marks(sweeps.deployed()))
    sweeps.add("iam:role", "theirs", {})
    assert sweeps.sweeper.plan(AWS).verdict == "clean"
    assert sweeps.ledger.sweeps.sightings("aws", "111") == {}


def test_tombstones_are_known_for_ever(sweeps: SweepWorld) -> None:
    old = sweeps.destroyed()
    sweeps.pass_days(2_000)
    new = sweeps.deployed()
    sweeps.add("iam:role", "old", sweeps.marks(old))
    sweeps.add("iam:role", "new", sweeps.marks(new))
    sweeps.sweeper.plan(AWS)
    assert going(sweeps.later()) == {"old"}


def test_what_a_cluster_of_a_tombstone_left_is_found_by_its_name(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    sweeps.add("elb:balancer", "lb", {}, clusters=(f"ml-{stack_id}",))
    sweeps.pass_days(2)
    sweeps.sweeper.plan(AWS)
    plan = sweeps.later()
    assert [(e.ref.id, e.verdict.proof) for e in plan.entries] == [("lb", "T2")]
    sweeps.cloud.clusters[("r1", f"ml-{stack_id}")] = True
    assert going(sweeps.sweeper.plan(AWS)) == set()


def test_an_approved_plan_is_found_by_its_hash_and_deleted_in_order(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    report = sweeps.sweeper.delete(AWS, plan.hash[:12], "lab", by="ada")
    assert report.complete
    assert [ref.id for ref in sweeps.cloud.deleted] == ["vm", "role"]
    record = find_record(sweeps.ledger, plan.hash)
    assert (record.approved_by, record.executed_at) == ("ada", int(sweeps.clock()))
    assert json.loads(record.report or "")["complete"] is True


def test_a_delete_that_is_killed_is_on_record_and_can_be_run_again(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)

    def kill(_item: Item) -> None:
        if sweeps.cloud.deleted:
            raise KeyboardInterrupt

    sweeps.cloud.before_delete = kill
    with pytest.raises(KeyboardInterrupt):
        sweeps.sweeper.delete(AWS, plan.hash, "lab", by="ada")
    killed = find_record(sweeps.ledger, plan.hash)
    assert (killed.approved_by, killed.executed_at) == ("ada", None)
    sweeps.cloud.before_delete = lambda _item: None
    assert sweeps.sweeper.delete(AWS, plan.hash, "lab", by="bob").complete
    assert [s.approved_by for s in sweeps.ledger.sweeps.history("aws", "111", 2)] == ["bob", "ada"]


@pytest.mark.parametrize("alias", ["", "111", "LAB", "prod"])
def test_another_alias_is_refused(sweeps: SweepWorld, alias: str) -> None:
    plan = leftover(sweeps)
    with pytest.raises(RefusedError, match="names account"):
        sweeps.sweeper.delete(AWS, plan.hash, alias)
    assert sweeps.cloud.deleted == []
    assert find_record(sweeps.ledger, plan.hash).approved_by is None


def test_the_plan_of_another_account_is_refused(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    other = FakeCloud(sweeps.cloud.items.values())
    other.scope = Scope(provider="aws", account="222", alias="lab", regions=("r1", "r2"))
    sweeps.clouds["other"] = other
    with pytest.raises(RefusedError, match="aws 111, but these credentials are of aws 222"):
        sweeps.sweeper.delete(AccountSpec("aws", "other"), plan.hash, "lab")
    assert other.deleted == []


@pytest.mark.parametrize(
    ("alias", "words", "said"),
    [
        ("acme-Production", ("staging", "prod"), "has 'prod'"),
        ("", ("prod",), "no alias"),
        ("lab", ("prod",), ""),
        ("acme-production", (), ""),
    ],
)
def test_no_sweep_deletes_in_an_account_with_a_protected_word(
    sweeps: SweepWorld, alias: str, words: tuple[str, ...], said: str
) -> None:
    plan = leftover(sweeps)
    sweeps.cloud.scope = sweeps.cloud.scope.model_copy(update={"alias": alias})
    sweeper = replace(
        sweeps.sweeper, settings=replace(sweeps.sweeper.settings, sweep_protected=words)
    )
    if said:
        with pytest.raises(RefusedError, match=said):
            sweeper.delete(AWS, plan.hash, alias or "111")
        assert sweeps.cloud.deleted == []
        assert find_record(sweeps.ledger, plan.hash).approved_by is None
    else:
        assert sweeper.delete(AWS, plan.hash, alias).complete


def test_a_plan_is_valid_for_a_day(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    sweeps.clock.sleep(DAY + 1)
    with pytest.raises(RefusedError, match="old"):
        sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert sweeps.cloud.deleted == []


def test_the_same_leftovers_listed_again_are_the_same_plan(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    sweeps.pass_days(2)
    assert sweeps.sweeper.plan(AWS).hash == plan.hash
    assert sweeps.sweeper.delete(AWS, plan.hash, "lab").complete


@pytest.mark.parametrize("text", ["", "abc", "0" * 11, "0" * 64, "%" * 12])
def test_a_hash_that_nobody_knows_is_bad_input(sweeps: SweepWorld, text: str) -> None:
    leftover(sweeps)
    with pytest.raises(InputError) as caught:
        sweeps.sweeper.delete(AWS, text, "lab")
    assert "mlstacks-dagster sweep" in caught.value.remedy


def test_a_beginning_that_fits_two_plans_is_bad_input(sweeps: SweepWorld) -> None:
    for account in ("111", "222"):
        sweeps.ledger.sweeps.record_plan("aws", account, "ab" * 32, "leftovers", "{}")
    with pytest.raises(InputError, match="aws 111, aws 222"):
        sweeps.sweeper.delete(AWS, "ab" * 8, "lab")


def test_a_plan_of_another_version_is_bad_input(sweeps: SweepWorld) -> None:
    sweeps.ledger.sweeps.record_plan("aws", "111", "ab" * 32, "leftovers", '{"format": 0}')
    with pytest.raises(InputError, match="another version"):
        sweeps.sweeper.delete(AWS, "ab" * 32, "lab")


def test_a_plan_that_wants_too_much_is_refused(sweeps: SweepWorld) -> None:
    leftover(sweeps)
    greedy = sweeps.sweeper.plan(AWS, policy=Policy(max_count=1))
    with pytest.raises(RefusedError, match="over a limit"):
        sweeps.sweeper.delete(AWS, greedy.hash, "lab")
    assert sweeps.cloud.deleted == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'live', destroyed_at = NULL", "is live"),
        ("status = 'live', destroyed_at = NULL, protect = true", "protected"),
    ],
)
def test_what_becomes_live_or_protected_after_the_plan_is_left_alone(
    sweeps: SweepWorld, change: str, reason: str
) -> None:
    plan = leftover(sweeps)
    sweeps.set(plan.entries[0].verdict.stack_id, change)
    report = sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert [o.outcome for o in report.outcomes] == ["changed", "blocked"]
    assert reason in report.outcomes[0].why
    assert sweeps.there() == {"role", "vm"}


def test_a_stack_that_is_worked_on_again_is_left_alone(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    stack_id = plan.entries[0].verdict.stack_id
    sweeps.set(stack_id, "status = 'live', destroyed_at = NULL")
    begin(sweeps.ledger, stack_id, kind="destroy")
    assert not sweeps.sweeper.delete(AWS, plan.hash, "lab").complete
    assert sweeps.cloud.deleted == []


def test_a_tombstone_that_is_lost_after_the_plan_stops_the_delete(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    stack_id = plan.entries[0].verdict.stack_id
    sweeps.set(stack_id, "stack_id = 'somebodyelse1'")
    report = sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert "doesn't know stack" in report.outcomes[0].why
    assert sweeps.cloud.deleted == []


@pytest.mark.parametrize("state", [True, None])
def test_a_cluster_that_runs_again_or_can_not_be_asked_holds_the_delete_back(
    sweeps: SweepWorld, state: bool | None
) -> None:
    plan = leftover(sweeps)
    name = f"ml-{plan.entries[0].verdict.stack_id}" if state else "*"
    sweeps.cloud.clusters[("r1", name)] = state
    report = sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert "runs" in report.outcomes[0].why
    assert sweeps.cloud.deleted == []


def test_a_cluster_that_comes_up_during_the_delete_saves_what_is_left(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)

    def start(_item: Item) -> None:
        sweeps.cloud.clusters[("r1", f"ml-{plan.entries[0].verdict.stack_id}")] = True
        sweeps.clock.sleep(60)

    sweeps.cloud.before_delete = start
    sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert sweeps.there() == {"role"}


def test_a_cloud_that_names_no_regions_means_all_of_them(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    sweeps.cloud.scope = sweeps.cloud.scope.model_copy(update={"regions": ()})
    assert sweeps.cloud.snapshot(["ec2:instance"]).items == ()
    report = sweeps.sweeper.delete(AWS, plan.hash, "lab")
    assert {o.outcome for o in report.outcomes} <= {"deleted", "unverified"}
    assert sweeps.there() == set()


def test_two_deletes_in_one_account_do_not_meet(
    sweeps: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = leftover(sweeps)
    monkeypatch.setattr("mlstacks_dagster.lifecycle.sweeping._LOCK_SECONDS", 0.0)
    caught: list[BaseException] = []

    def second(_item: Item) -> None:
        if caught:
            return
        with Ledger.open(sweeps.settings.ledger_url, sweeps.clock) as ledger:
            other = replace(sweeps.sweeper, ledger=ledger)
            try:
                other.delete(AWS, plan.hash, "lab", by="bob")
            except StackBusyError as error:
                caught.append(error)

    sweeps.cloud.before_delete = second
    assert sweeps.sweeper.delete(AWS, plan.hash, "lab").complete
    assert "sweep.aws.111 is still in use" in str(caught[0])
    assert sorted(ref.id for ref in sweeps.cloud.deleted) == ["role", "vm"]
    assert all(s.approved_by != "bob" for s in sweeps.ledger.sweeps.history("aws", "111"))


def test_the_lock_is_free_again_after_a_refusal(sweeps: SweepWorld) -> None:
    plan = leftover(sweeps)
    with pytest.raises(RefusedError):
        sweeps.sweeper.delete(AWS, plan.hash, "prod")
    assert not locks.is_held(sweeps.settings.locks_dir / "sweep.aws.111.lock")


def test_the_account_is_opened_with_what_the_ledger_knows_of_clusters(sweeps: SweepWorld) -> None:
    stack_id = sweeps.destroyed()
    sweeps.sweeper.plan(AccountSpec("aws", "dev"), regions=("r1",))
    opened = sweeps.opened[-1]
    assert (opened.account.name, opened.regions) == ("dev", ("r1",))
    assert [(c.account, c.region, c.name) for c in opened.clusters] == [
        ("", "r1", f"ml-{stack_id}")
    ]


def test_the_home_region_is_the_one_of_the_environment(
    sweeps: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    sweeps.sweeper.plan(AWS)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    sweeps.sweeper.plan(AWS)
    assert [opened.home_region for opened in sweeps.opened] == ["us-east-1", "cn-north-1"]


def test_without_a_sandbox_its_account_can_not_be_swept(sweeps: SweepWorld) -> None:
    sweeps.target = "sandbox"
    with pytest.raises(SandboxError):
        sweeps.sweeper.plan(AWS)
    assert sweeps.opened == []


def test_in_the_sandbox_the_regions_are_those_that_stacks_have_used(sweeps: SweepWorld) -> None:
    sandbox(sweeps.settings.sandbox_dir, "one")
    sweeps.target = "sandbox"
    sweeps.sweeper.plan(AWS)
    sweeps.destroyed(plan=make_plan("real", region="r8"))
    sweeps.destroyed(target="sandbox", sandbox_id="none", plan=make_plan("demo", region="r2"))
    sweeps.deployed(target="sandbox", sandbox_id="one", plan=make_plan("demo", region="r1"))
    sweeps.sweeper.plan(AWS)
    sweeps.sweeper.plan(AWS, regions=("r9",))
    assert [opened.regions for opened in sweeps.opened] == [("us-east-1",), ("r1", "r2"), ("r9",)]
