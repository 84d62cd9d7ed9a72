"""One server for all tests of a worker, never emptied; homes for the service's tests."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from mlstacks_dagster.sandbox import service
from mlstacks_dagster.sandbox.service import SandboxState
from mlstacks_dagster.settings import Settings

REGION = "eu-central-1"
Client = Callable[[str], Any]


def no_provider() -> None:
    """Stand for a platform for which no wheel carries the provider."""


def settings_of(home: Path) -> Settings:
    return Settings.load({"MLSTACKS_HOME": str(home), "MLSTACKS_STACKS_DIR": str(home)})


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty home; a sandbox that the test leaves there is ended."""
    made = settings_of(tmp_path / "home")
    yield made
    service.stop(made, grace_seconds=1)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a zip shaped like the wheel's, with a small program."""
    path = tmp_path / "provider.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("terraform-provider-aws_v3.39.0_x5", "#!/bin/sh\nexit 0\n")
    return path


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the home in which :func:`server` runs."""
    return settings_of(tmp_path_factory.mktemp("emulator"))


@pytest.fixture(scope="session")
def server(server_settings: Settings) -> Iterator[SandboxState]:
    """Run one emulator for all tests of this worker."""
    yield service.start(server_settings, find_provider=no_provider)
    service.stop(server_settings, grace_seconds=1)


@pytest.fixture
def sandbox_folder(server_settings: Settings) -> Path:
    """Return the folder in which :func:`server` keeps its files."""
    return server_settings.sandbox_dir


@pytest.fixture
def client(server: SandboxState) -> Client:
    """Return a maker of clients of the emulator, which may hold what other tests left."""

    def make(name: str) -> Any:
        return boto3.client(
            name,
            region_name=REGION,
            endpoint_url=server.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    return make
