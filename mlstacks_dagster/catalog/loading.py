"""From a stack file to a plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mlstacks_dagster.catalog.discovery import load_catalog
from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.catalog.resolve import resolve
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.load import load_stack

__all__ = ["load_plan"]


def load_plan(
    path: Path, settings: Settings, *, now: Callable[[], float] | None = time.time
) -> Plan:
    """Return the plan of the stack file at ``path``.

    ``now`` returns Unix time in seconds; pass None for a stack that is loaded to be destroyed,
    so that an ``expires_at`` that has passed is no error. Raises :class:`SpecError` and
    :class:`CatalogError`.
    """
    catalog = load_catalog(settings)
    stack = load_stack(path, settings, known=catalog.triples, now=now)
    return resolve(stack, catalog)
