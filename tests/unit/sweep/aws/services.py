"""An emulated account for the handlers beside EC2's, and one of each type planted in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mlstacks_dagster.sweep.aws import (
    buckets,
    clusters,
    databases,
    dns,
    events,
    file_systems,
    identity,
    logs,
    registries,
    sagemaker,
    secrets,
)
from mlstacks_dagster.sweep.aws.calls import Caller
from mlstacks_dagster.sweep.aws.errors import meaning
from mlstacks_dagster.sweep.aws.look import Handler, Look, Memo
from mlstacks_dagster.sweep.aws_session import AwsSession
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item
from mlstacks_dagster.sweep.marks import ownership_marks

REGION = "us-east-1"
ACCOUNT = "123456789012"
OUR_STACK = "saaaaaaaaaaaa"
THEIR_STACK = "sbbbbbbbbbbbb"
OURS = f"ml-{OUR_STACK}"
THEIRS = f"ml-{THEIR_STACK}"
MARKS = ownership_marks("inst1", OUR_STACK, "mine", "unit", 1_700_000_000, None)
THEIR_MARKS = ownership_marks("inst2", THEIR_STACK, "theirs", "unit", 1_700_000_000, None)

HANDLERS: dict[str, Handler] = {
    handler.kind.type: handler
    for module in (
        buckets,
        clusters,
        databases,
        dns,
        events,
        file_systems,
        identity,
        logs,
        registries,
        sagemaker,
        secrets,
    )
    for handler in module.HANDLERS
}


class IndexClient:
    """The tagging API with things that the emulator doesn't index."""

    def __init__(self, client: Any, more: Mapping[str, Mapping[str, str]]) -> None:
        self._client, self._more = client, more

    def get_resources(self, **params: Any) -> dict[str, Any]:
        answer = self._client.get_resources(**params)
        if not params.get("PaginationToken"):
            answer["ResourceTagMappingList"] += [
                {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
                for arn, tags in self._more.items()
            ]
        return answer


class Bench:
    """One account at which one type at a time is listed, read and deleted."""

    def __init__(self, session: AwsSession, clients: dict[tuple[str, str], Any]) -> None:
        self._session, self._clients = session, clients
        self.indexed: dict[str, Mapping[str, str]] = {}
        self.fakes: dict[str, Any] = {}
        self.caller = Caller(self._client, time.monotonic, lambda _seconds: None)
        self.clock = lambda: 1_800_000_000.0

    def _client(self, service: str, region: str) -> Any:
        if service in self.fakes:
            return self.fakes[service]
        client = self._clients.get((service, region)) or self._session.client(service, region)
        self._clients[service, region] = client
        if service == "resourcegroupstaggingapi":
            return IndexClient(client, self.indexed)
        return client

    def fake(self, service: str, client: Any) -> None:
        """Have ``client`` answer for a service from now on."""
        self.fakes[service] = client
        self.caller = Caller(self._client, time.monotonic, lambda _seconds: None)

    def client(self, service: str) -> Any:
        return self.caller.client(REGION, service)

    def look(self, region: str = REGION) -> Look:
        return Look(
            caller=self.caller,
            account=ACCOUNT,
            region=region,
            asked=REGION,
            regions=(REGION,),
            prefix="ml-",
            memo=Memo(),
            clock=self.clock,
        )

    def _place(self, type_: str) -> Look:
        return self.look(GLOBAL if HANDLERS[type_].kind.is_global else REGION)

    def find(self, type_: str) -> dict[str, Item]:
        return {item.ref.id: item for item in HANDLERS[type_].find(self._place(type_))}

    def read(self, type_: str, *ids: str) -> dict[str, Item]:
        handler, look = HANDLERS[type_], self._place(type_)
        items = handler.find(look) if handler.read is None else handler.read(look, ids)
        return {item.ref.id: item for item in items if item.ref.id in ids}

    def delete(self, item: Item) -> str | None:
        return HANDLERS[item.ref.type].delete(self._place(item.ref.type), item)

    def delete_all(self, item: Item, tries: int = 8) -> list[str]:
        """Delete until it was asked for; returns why it took more than one try."""
        said: list[str] = []
        for _ in range(tries):
            later = self.delete(item)
            if later is None:
                return said
            said.append(later)
        raise AssertionError(f"{item.ref} isn't deleted: {said}")

    def word(self, item: Item) -> str:
        """Try to delete and say what the error means, or that there was none."""
        try:
            self.delete(item)
        except Exception as error:  # noqa: BLE001 - the test looks at what it means
            return meaning(error, HANDLERS[item.ref.type].codes)
        return "deleted"


@pytest.fixture(scope="module")
def clients(account: Any) -> dict[tuple[str, str], Any]:
    """The clients that a module's tests have made: making one is slow."""
    return {}


@pytest.fixture
def bench(account: Any, clients: dict[tuple[str, str], Any]) -> Bench:
    """An empty account; ``account`` is the emulator of the tests above."""
    url = f"{account.wiring.endpoint_url}/moto-api/reset"
    urlopen(Request(url, method="POST")).close()
    return Bench(AwsSession(account.wiring, {"AWS_MAX_ATTEMPTS": "1"}), clients)
