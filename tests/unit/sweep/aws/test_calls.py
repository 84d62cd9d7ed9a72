"""How often and how fast calls are made, and when a listing gives up."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.sweep.aws.calls import Bucket, Caller
from mlstacks_dagster.sweep.aws.errors import meaning
from tests.unit.sweep.aws.conftest import Clock
from tests.unit.sweep.aws.fake_clients import Call, FakeClients, failure, throttling


def pages_of(fake: FakeClients, clock: Clock) -> list[Any]:
    caller = Caller(fake, clock, clock.sleep)
    return list(caller.pages("r1", "ec2", "describe_volumes", "Volumes", 1000))


def two_pages(call: Call) -> Any:
    if call.params.get("NextToken") == "second":
        return {"Volumes": [3]}
    return {"Volumes": [1, 2], "NextToken": "second"}


def test_all_pages_are_asked_for_with_the_size_of_a_page(clock: Clock) -> None:
    fake = FakeClients(two_pages)
    assert pages_of(fake, clock) == [1, 2, 3]
    assert [call.params for call in fake.made] == [
        {"MaxResults": 1000},
        {"MaxResults": 1000, "NextToken": "second"},
    ]


@pytest.mark.parametrize("tokens", [("a", "a"), ("a", "b", "a")])
def test_a_page_that_comes_again_ends_the_listing(tokens: tuple[str, ...], clock: Clock) -> None:
    left = iter(tokens)
    fake = FakeClients(lambda _call: {"Volumes": [1], "NextToken": next(left)})
    with pytest.raises(MlstacksError, match="repeats its page"):
        pages_of(fake, clock)


def test_a_page_in_the_middle_that_fails_fails_the_listing(clock: Clock) -> None:
    def answer(call: Call) -> Any:
        return (
            failure("InternalError", status=500) if "NextToken" in call.params else two_pages(call)
        )

    fake = FakeClients(answer)
    with pytest.raises(ClientError):
        pages_of(fake, clock)
    assert len(fake.made) == 1 + 4


def test_throttled_calls_are_made_again_ever_later(clock: Clock) -> None:
    began = clock.now
    fake = FakeClients(lambda _call: failure("Throttling"))
    with pytest.raises(ClientError):
        Caller(fake, clock, clock.sleep).call("r1", "ec2", "describe_volumes")
    assert len(fake.made) == 12
    assert clock.now - began > 20


def test_a_third_of_throttled_calls_costs_less_than_twice_as_many(clock: Clock) -> None:
    fake = FakeClients(throttling(lambda _call: {}, 0.3, seed=1))
    caller = Caller(fake, clock, clock.sleep)
    for _ in range(300):
        caller.call("r1", "ec2", "describe_volumes")
    assert caller.calls == len(fake.made) < 600


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidParameterValue", "DependencyViolation"])
def test_what_cannot_pass_is_asked_once(code: str, clock: Clock) -> None:
    fake = FakeClients(lambda _call: failure(code))
    with pytest.raises(ClientError):
        Caller(fake, clock, clock.sleep).call("r1", "ec2", "describe_volumes")
    assert len(fake.made) == 1


def test_a_bucket_lets_a_burst_through_and_then_its_rate(clock: Clock) -> None:
    bucket, began = Bucket(10.0, 5.0, clock, clock.sleep), clock.now
    for _ in range(5):
        bucket.take()
    assert clock.now == began
    for _ in range(10):
        bucket.take()
    assert clock.now - began == pytest.approx(1.0)


def test_a_throttled_bucket_slows_down_and_recovers(clock: Clock) -> None:
    bucket = Bucket(10.0, 1.0, clock, clock.sleep)
    bucket.take()
    for _ in range(50):
        bucket.throttled()
    began = clock.now
    bucket.take()
    assert clock.now - began == pytest.approx(0.8)  # an eighth of the rate, not less
    for _ in range(50):
        bucket.succeeded()
    bucket.take()
    began = clock.now
    bucket.take()
    assert clock.now - began == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (failure("InvalidGroup.NotFound"), "gone"),
        (failure("ResourceNotFoundException"), "gone"),
        (failure("DependencyViolation"), "busy"),
        (failure("UnauthorizedOperation"), "denied"),
        (failure("AuthFailure"), "refused"),
        (failure("ValidationError", "AutoScalingGroup name not found"), "other"),
        (failure("InvalidParameterValue"), "other"),
        (failure("Anything", status=503), "passing"),
        (failure("Anything", status=429), "throttled"),
        (EndpointConnectionError(endpoint_url="http://x"), "passing"),
        (MlstacksError("no"), "refused"),
        (ValueError("a bug"), "other"),
    ],
)
def test_error_codes_mean_one_thing(error: Exception, word: str) -> None:
    assert meaning(error) == word


def test_a_types_own_reading_wins() -> None:
    error = failure("InvalidParameterValue")
    assert meaning(error, {"InvalidParameterValue": "busy"}) == "busy"
