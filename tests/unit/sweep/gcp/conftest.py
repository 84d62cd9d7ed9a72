"""A world of Google's APIs, served, and the way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mlstacks_dagster.sweep.gcp import Caller, GcpAccess, GcpCloud
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.sweep.gcp.fake_google import World, serving
from tests.unit.sweep.gcp.scenario import PROJECT

MakeCloud = Callable[..., GcpCloud]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def access(world: World) -> Iterator[GcpAccess]:
    clock = Clock()
    caller = Caller(rate=1e6, burst=1e6, clock=clock, sleep=clock.sleep)
    with serving(world) as url:
        yield GcpAccess(endpoint=url, caller=caller)


@pytest.fixture
def make_cloud(access: GcpAccess) -> MakeCloud:
    def make(*clusters: ClusterFact, regions: tuple[str, ...] = ()) -> GcpCloud:
        scope = Scope(provider="gcp", account=PROJECT, regions=regions)
        return GcpCloud(scope, access, clusters=clusters, now=lambda: 1_800_000_000.0)

    return make
