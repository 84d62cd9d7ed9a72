from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.unit.spec.writing import Folder

settings.register_profile("no_deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no_deadline")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
