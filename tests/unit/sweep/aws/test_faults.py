"""A planted account played again with faults: nothing is lost, and nothing is clean by mistake."""

from __future__ import annotations

import random
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.inventory.model import Item, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.plan import make_plan
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy
from tests.unit.sweep.aws.conftest import ACCOUNT, Clock, Emulator
from tests.unit.sweep.aws.fake_clients import Answer, Call, FakeClients, Tape, failure, throttling
from tests.unit.sweep.aws.planting import INSTALL, Planter

_FAULTS = (
    failure("UnauthorizedOperation"),
    failure("AuthFailure"),
    failure("InternalError", status=500),
    failure("Unheard"),
    EndpointConnectionError(endpoint_url="http://nowhere"),
    ReadTimeoutError(endpoint_url="http://nowhere"),
    ResponseParserError("not XML"),
    KeyError("an answer without what it must have"),
)


@pytest.fixture
def tape(emulator: Emulator) -> Tape:
    """What the emulator answers with a whole stack's leftovers in it."""
    Planter(emulator).whole_stack()
    return Tape(lambda service, _region: emulator.client(service))


def play(answer: Answer, workers: int = 1) -> tuple[Snapshot, FakeClients, AwsCloud]:
    fake, clock = FakeClients(answer), Clock()
    scope = Scope(provider="aws", account=ACCOUNT, regions=("r1",))
    cloud = AwsCloud(scope, fake, clock=clock, sleep=clock.sleep, workers=workers)
    return cloud.snapshot(), fake, cloud


def hash_of(snapshot: Snapshot, cloud: AwsCloud) -> str:
    knowledge = Knowledge(install=INSTALL)
    plan = make_plan(snapshot, cloud.kinds, knowledge, Policy(), 1_900_000_000.0)
    return plan.hash + str(sorted((str(e.ref), e.verdict.decision) for e in plan.others))


def failing(answer: Answer, number: int, fault: Exception) -> Answer:
    """Fail the call of that number, and the same one each time that it is made again."""
    made: list[Call] = []

    def answered(call: Call) -> Any:
        made.append(call)
        bad = number < len(made) and call == made[number]
        return fault if bad else answer(call)

    return answered


def test_whichever_call_fails_the_account_is_not_verified(tape: Tape) -> None:
    """For each call of a sweep; what its type shows is all or nothing."""
    whole, fake, cloud = play(tape)
    assert whole.unverified == ()
    everything = {item.ref: item for item in whole.items}
    rng = random.Random(7)
    total = len(fake.made)
    assert total > 30
    for number in range(total):
        snapshot, _, _ = play(failing(tape, number, rng.choice(_FAULTS)))
        bad = {row.type for row in snapshot.unverified}
        assert bad, f"call {number}: {fake.made[number]}"
        assert {i.ref.type for i in snapshot.items}.isdisjoint(bad)
        left = {ref: item for ref, item in everything.items() if ref.type not in bad}
        assert {item.ref: item for item in snapshot.items} == left
        plan = make_plan(snapshot, cloud.kinds, Knowledge(install=INSTALL), Policy(), 1.9e9)
        assert plan.verdict == "unverified"


@pytest.mark.parametrize("seed", range(5))
def test_with_a_third_of_calls_throttled_the_plan_is_the_same(tape: Tape, seed: int) -> None:
    calm, fake, cloud = play(tape)
    busy, throttled, other = play(throttling(tape, 0.3, seed), workers=8)
    assert busy.unverified == ()
    assert busy.items == calm.items
    assert hash_of(busy, other) == hash_of(calm, cloud)
    assert len(throttled.made) <= 2 * len(fake.made)


def test_the_order_of_answers_does_not_change_the_snapshot(tape: Tape) -> None:
    def shuffled(call: Call) -> Any:
        answer = tape(call)
        if not isinstance(answer, dict):
            return answer
        return {k: v[::-1] if isinstance(v, list) else v for k, v in answer.items()}

    first, _, _ = play(tape)
    second, _, _ = play(shuffled, workers=8)

    def told(items: tuple[Item, ...]) -> list[tuple[str, str]]:
        return [(str(item.ref), item.fingerprint) for item in items]

    assert told(first.items) == told(second.items)


def test_what_is_read_again_is_what_was_listed(tape: Tape) -> None:
    snapshot, _, cloud = play(tape)
    read = cloud.read([item.ref for item in snapshot.items])
    assert read == {item.ref: item for item in snapshot.items}
