"""A moto server in this process, and resources made in it by plain boto3 calls."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.sandbox.caching import keep_lookups
from mlstacks_dagster.sweep.aws_session import aws_client
from mlstacks_dagster.sweep.find import FindContext

REGION = "us-east-1"


class Account:
    """The emulated account: clients for the tests, contexts for the code under test."""

    def __init__(self, url: str) -> None:
        self.wiring = Wiring(target="sandbox", endpoint_url=url)
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = aws_client(service, REGION, self.wiring, {})
        return self._clients[service]

    def context(
        self, stack_id: str, *, install: str = "inst1", unit: str = "network"
    ) -> FindContext:
        return FindContext(
            REGION,
            self.wiring,
            {},
            install,
            stack_id,
            unit,
            client_factory=lambda service, *_: self.client(service),
        )


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    keep_lookups()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with contextlib.redirect_stderr(None):
        server.start()
    host, port = server.get_host_and_port()
    yield Account(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def stack_id() -> str:
    return "s" + uuid.uuid4().hex[:12]
