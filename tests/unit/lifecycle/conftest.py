from __future__ import annotations

from pathlib import Path

import pytest

from mlstacks_dagster.ledger.store import Ledger
from tests.unit.lifecycle.world import World, write_module


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger that is migrated already, which takes most of the time of a small test."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path.read_bytes()


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Terraform module, the same for all tests, so that it is parsed once."""
    return write_module(tmp_path_factory.mktemp("catalog") / "module")


@pytest.fixture
def world(tmp_path: Path, module: Path, empty_ledger: bytes) -> World:
    made = World(tmp_path, module)
    made.settings.home.mkdir(mode=0o700)
    (made.settings.home / "ledger.db").write_bytes(empty_ledger)
    return made
