from __future__ import annotations

from pathlib import Path

import pytest

from mlstacks_dagster.settings import Settings
from tests.unit.catalog.building import Folder, Stacks, cluster_catalog


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "catalog"
    path.mkdir()
    return Folder(path)


@pytest.fixture
def cluster(folder: Folder) -> Folder:
    return cluster_catalog(folder)


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    path = tmp_path / "stacks"
    path.mkdir()
    return Stacks(path, Settings.load({"MLSTACKS_HOME": str(tmp_path / "home")}))
