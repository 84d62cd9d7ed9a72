"""Clients that answer from a function, with faults; no network."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

REGIONS = tuple(f"us-fake-{number}" for number in range(1, 18))


class Call(NamedTuple):
    """One call as a client gets it."""

    region: str
    service: str
    operation: str
    params: Mapping[str, Any]


class Empty(dict[str, Any]):
    """An answer in which every list is empty."""

    def __missing__(self, key: str) -> Any:
        return []


Answer = Callable[[Call], Any]


def nothing(_call: Call) -> Any:
    return Empty()


def failure(code: str, message: str = "on purpose", status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "Operation")


class FakeClients:
    """Makes clients; ``made`` are all calls so far. An answer that is an exception is raised."""

    def __init__(self, answer: Answer = nothing) -> None:
        self.answer = answer
        self.made: list[Call] = []
        self._lock = threading.Lock()

    def __call__(self, service: str, region: str) -> Any:
        return _Client(self, service, region)

    def operations(self) -> list[str]:
        return [call.operation for call in self.made]

    def take(self, call: Call) -> Any:
        with self._lock:
            self.made.append(call)
            result = self.answer(call)
        if isinstance(result, Exception):
            raise result
        return result


class _Client:
    def __init__(self, fake: FakeClients, service: str, region: str) -> None:
        self._fake, self._service, self._region = fake, service, region

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **params: self._fake.take(
            Call(self._region, self._service, operation, params)
        )


def throttling(answer: Answer, share: float, seed: int) -> Answer:
    """Refuse a share of the calls as too many."""
    rng = random.Random(seed)

    def throttled(call: Call) -> Any:
        return failure("RequestLimitExceeded") if rng.random() < share else answer(call)

    return throttled


class Tape:
    """Remembers what real clients answered, so that it can be played again without them."""

    def __init__(self, make_client: Callable[[str, str], Any]) -> None:
        self._make_client = make_client
        self._known: dict[str, Any] = {}

    def __call__(self, call: Call) -> Any:
        key = repr((call.region, call.service, call.operation, sorted(call.params.items())))
        if key not in self._known:
            method = getattr(self._make_client(call.service, call.region), call.operation)
            try:
                self._known[key] = method(**call.params)
            except ClientError as error:
                self._known[key] = error
        return self._known[key]
