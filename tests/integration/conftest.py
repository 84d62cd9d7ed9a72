"""A sandbox for each test that asks for one; the provider is unpacked once for all of them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlstacks_dagster.sandbox.service import start, stop
from mlstacks_dagster.settings import Settings
from tests.integration.account import Account
from tests.integration.kube_tools import installed_tools
from tests.integration.stacks import Cli
from tests.integration.terraform_bench import Bench, running_in


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a real cluster, given by KUBECONFIG")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the cluster in somebody's KUBECONFIG alone unless ``-m cluster`` asks for it."""
    if "cluster" not in str(config.getoption("markexpr")):
        spared = [item for item in items if item.get_closest_marker("cluster")]
        items[:] = [item for item in items if item not in spared]
        config.hook.pytest_deselected(items=spared)


@dataclass
class Sandbox:
    """A running sandbox with a home folder, a stacks folder, and a view of the account."""

    home: Path
    stacks: Path
    settings: Settings
    endpoint: str
    cli: Cli
    account: Account


@pytest.fixture(scope="session")
def shared_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home folder whose sandbox has the provider mirror, shared by all workers."""
    base = tmp_path_factory.getbasetemp().parent / "shared-mirror"
    base.mkdir(exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        from mlstacks_dagster.sandbox.mirror import build_mirror

        build_mirror(base / "mirror")
    return base / "mirror"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the real Helm, fetched once for all workers."""
    return installed_tools(tmp_path_factory).helm


@pytest.fixture
def sandbox(tmp_path: Path, shared_mirror: Path, helm: Path) -> Iterator[Sandbox]:
    """Start a sandbox in a home of its own; stop it afterwards."""
    home, stacks = tmp_path / "home", tmp_path / "stacks"
    stacks.mkdir()
    (home / "sandbox").mkdir(parents=True, mode=0o700)
    (home / "sandbox" / "mirror").symlink_to(shared_mirror)
    environment = {"MLSTACKS_HOME": str(home), "MLSTACKS_STACKS_DIR": str(stacks)}
    settings = Settings.load({**environment, "MLSTACKS_HELM": str(helm)})
    state = start(settings)
    try:
        yield Sandbox(
            home, stacks, settings, state.endpoint, Cli(home, stacks, helm), Account(state.endpoint)
        )
    finally:
        stop(settings)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench for Terraform's engine; whatever a failed test left running in it is ended."""
    yield Bench(tmp_path)
    for process in running_in(tmp_path):
        process.kill()
