"""An emulator with AWS's rules of what holds what, in a process of its own.

Each test has a region to itself, which is quicker than to empty the emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.sandbox import service
from mlstacks_dagster.sandbox.provider import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.aws.connect import SharedClients
from mlstacks_dagster.sweep.aws_session import AwsSession
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

HOME = "us-east-1"
REGIONS = (
    *("eu-south-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1"),
    *("ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"),
    *("eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)
ACCOUNT = "123456789012"


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Emulator:
    """An account, empty in ``region``: clients to plant with, clouds for the code under test."""

    def __init__(self, wiring: Wiring, clients: SharedClients, region: str) -> None:
        self.wiring, self.clients, self.region = wiring, clients, region

    def client(self, service_name: str) -> Any:
        return self.clients(service_name, self.region)

    def cloud(self, *clusters: ClusterFact, workers: int = 8) -> AwsCloud:
        scope = Scope(provider="aws", account=ACCOUNT, regions=(self.region,))
        return AwsCloud(
            scope,
            self.clients,
            clusters=clusters,
            sleep=lambda _seconds: None,
            workers=workers,
        )


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = str(tmp_path_factory.mktemp("sweep-emulator"))
    settings = Settings.load({"MLSTACKS_HOME": home, "MLSTACKS_STACKS_DIR": home})
    no_provider: Callable[[], Path | None] = lambda: None  # noqa: E731
    yield service.start(settings, find_provider=no_provider).endpoint
    service.stop(settings, grace_seconds=1)


@pytest.fixture(scope="session")
def wiring(endpoint: str) -> Wiring:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    return Wiring(target="sandbox", endpoint_url=endpoint, environment=keys)


@pytest.fixture(scope="session")
def clients(wiring: Wiring) -> SharedClients:
    return SharedClients(AwsSession(wiring, {}, max_attempts=1), HOME)


@pytest.fixture(scope="session")
def regions() -> list[str]:
    return list(REGIONS)


@pytest.fixture
def emulator(wiring: Wiring, clients: SharedClients, regions: list[str]) -> Emulator:
    if not regions:
        request = Request(f"{wiring.endpoint_url}/moto-api/reset", method="POST")
        with urlopen(request) as answer:
            assert answer.status == 200
        regions += REGIONS
    return Emulator(wiring, clients, regions.pop())


@pytest.fixture
def clock() -> Clock:
    return Clock()
