"""The real Helm, for the tests of charts."""

from __future__ import annotations

import pytest

from tests.contract.chart_tools import Helm, fetch_helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return the real Helm, fetched once for all test processes."""
    program = fetch_helm(tmp_path_factory.getbasetemp().parent / "shared-helm")
    return Helm(program, tmp_path_factory.mktemp("helm"))
