"""A cluster for each test that asks for one."""

from __future__ import annotations

import pytest

pytest.importorskip("kubernetes_validate", reason="pip install 'mlstacks-dagster[sandbox]'")
pytest.importorskip("jsonpatch", reason="pip install 'mlstacks-dagster[sandbox]'")

from tests.unit.sandbox.kube.api import Api, FakeCloud


@pytest.fixture
def api() -> Api:
    """Return a cluster that is in no cloud."""
    return Api()


@pytest.fixture
def cloud() -> FakeCloud:
    """Return the cloud of :func:`eks`."""
    return FakeCloud()


@pytest.fixture
def eks(cloud: FakeCloud) -> Api:
    """Return a cluster in a cloud."""
    return Api(cloud=cloud)
