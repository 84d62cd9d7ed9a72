from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from sensor_world import World


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    return Settings(
        home=tmp_path,
        stacks_dir=stacks,
        ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        lock_timeout=5.0,
    )


@pytest.fixture
def site(settings: Settings) -> Site:
    return Site(settings, "fake_lifecycle", retry_seconds=0.0)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def world(site: Site, instance: dg.DagsterInstance) -> Iterator[World]:
    made = World(site, instance)
    yield made
    made.ledger.close()
