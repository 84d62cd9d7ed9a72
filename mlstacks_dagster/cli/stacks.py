"""Find the stack that a verb is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlstacks_dagster.errors import InputError
from mlstacks_dagster.spec.suggest import nearest

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.models import StackEntry
    from mlstacks_dagster.settings import Settings

__all__ = ["find_entry"]


def find_entry(settings: Settings, name: str | None, file: Path | None) -> StackEntry:
    """Return the stack of ``file``, or the deployed or known one called ``name``.

    ``name`` may be a path to a file too. Raises :class:`InputError`.
    """
    from mlstacks_dagster.catalog.loading import load_plan
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.lifecycle.api import live_stack
    from mlstacks_dagster.lifecycle.snapshot import read_stacks, stack_entry

    if (name is None) == (file is None):
        raise InputError("name a stack, or its file with -f", remedy="give exactly one of them")
    if name is not None and file is None and _is_file(name):
        file = Path(name)
    with Ledger.open(settings.ledger_url) as ledger:
        if file is not None:
            plan = load_plan(file, settings, now=None)
            live_stack(plan.stack, ledger, settings)
            return stack_entry(plan, ledger, settings)
        live_stack(str(name), ledger, settings)
    entries = {entry.name: entry for entry in read_stacks(settings).stacks}
    if name in entries:
        return entries[name]
    close = nearest(str(name), entries)
    raise InputError(
        f"there is no stack {name!r}",
        remedy=f"did you mean {close}?" if close else "see: mlstacks-dagster status",
    )


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long for a path, or a folder that can't be searched
        return False
