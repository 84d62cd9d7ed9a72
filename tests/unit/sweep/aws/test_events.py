"""Rules with their targets, and queues."""

from __future__ import annotations

from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import ACCOUNT, MARKS, OURS, REGION, Bench, bench, clients

__all__ = ["bench", "clients"]


def test_a_marked_rule_of_another_bus_is_found_and_deleted(bench: Bench) -> None:
    rules = bench.client("events")
    rules.create_event_bus(Name="cluster")
    rules.put_rule(
        Name="plain", EventBusName="cluster", EventPattern='{"source": ["a"]}', Tags=pairs(MARKS)
    )
    bench.indexed[f"arn:aws:events:{REGION}:{ACCOUNT}:rule/cluster/plain"] = MARKS

    item = bench.find("events:rule")["cluster/plain"]
    bench.delete_all(item)

    assert rules.list_rules(EventBusName="cluster")["Rules"] == []
    assert bench.find("events:rule") == {}


def test_a_rule_that_a_service_manages_is_refused(bench: Bench) -> None:
    name = Plant(bench).events_rule(f"{OURS}-x", MARKS)
    item = bench.find("events:rule")[name]
    managed = {"delete_rule": refusal("DeleteRule", "ManagedRuleException")}
    bench.fake("events", Scripted("events", managed, bench.client("events")))

    assert bench.word(item) == "refused"


def test_a_rule_stays_while_a_target_does(bench: Bench) -> None:
    name = Plant(bench).events_rule(f"{OURS}-x", MARKS)
    item = bench.find("events:rule")[name]
    failed = {"remove_targets": {"FailedEntryCount": 1, "FailedEntries": []}}
    bench.fake("events", Scripted("events", failed, bench.client("events")))

    assert "1 targets" in (bench.delete(item) or "")
    assert name in bench.find("events:rule")


def test_a_queue_that_the_index_still_has_is_left_out_when_gone(bench: Bench) -> None:
    bench.indexed[f"arn:aws:sqs:{REGION}:{ACCOUNT}:gone"] = MARKS

    assert bench.find("sqs:queue") == {}
