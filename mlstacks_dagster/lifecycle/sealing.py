"""Keep environment variables and passwords that users give out of plans that others store.

Dagster and the ledger keep plans; a plan may name credentials of both kinds. Sealing
moves the values into a file that only its owner can read and leaves a reference in the plan. The
reference is keyed with a random secret of this installation, so it tells nothing of the values,
and the same values get the same reference. Files that nothing refers to any more are removed when
a stack is closed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.errors import StateError
from mlstacks_dagster.files import write_private
from mlstacks_dagster.settings import Settings

__all__ = ["references", "remove_sealed", "seal", "sealed_before", "unseal"]

# No environment variable can have this name.
_REFERENCE = "@sealed"


def seal(plan: Plan, settings: Settings) -> Plan:
    """Return ``plan`` with the values replaced by references to private files."""
    if not any(_open(values) for unit in plan.units for values in _sealable(unit)):
        return plan
    key = _key(settings)
    return plan.model_copy(
        update={"units": tuple(_sealed(unit, key, settings) for unit in plan.units)}
    )


def unseal(values: dict[str, str], settings: Settings) -> dict[str, str]:
    """Return the values behind sealed ones; unsealed ones are returned as they are.

    Raises :class:`StateError` when the private file is gone.
    """
    reference = values.get(_REFERENCE)
    if reference is None:
        return values
    path = _folder(settings) / f"{reference}.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StateError(
            f"the sealed values in {path} can't be read: {error}",
            remedy="deploy from the stack file again; it seals them anew",
        ) from error
    return {str(name): str(value) for name, value in found.items()}


def references(document: Any) -> Iterator[str]:
    """Yield the references in a plan, or any part of one, as JSON has it."""
    if isinstance(document, Mapping):
        reference = document.get(_REFERENCE)
        if isinstance(reference, str):
            yield reference
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from references(item)


def sealed_before(moment: float, settings: Settings) -> set[str]:
    """Return the references whose values were last sealed before ``moment`` (Unix seconds)."""
    found = set()
    for path in _folder(settings).glob("*.json"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment:
                found.add(path.stem)
    return found


def remove_sealed(unused: Collection[str], settings: Settings) -> None:
    """Remove the files behind references that nobody will ask for."""
    for reference in unused:
        (_folder(settings) / f"{reference}.json").unlink(missing_ok=True)


def _sealable(unit: PlannedUnit) -> tuple[dict[str, str], dict[str, str]]:
    return unit.environment, unit.secrets


def _open(values: dict[str, str]) -> bool:
    return bool(values) and _REFERENCE not in values


def _sealed(unit: PlannedUnit, key: bytes, settings: Settings) -> PlannedUnit:
    environment, given = (_reference(values, key, settings) for values in _sealable(unit))
    return unit.model_copy(update={"environment": environment, "secrets": given})


def _reference(values: dict[str, str], key: bytes, settings: Settings) -> dict[str, str]:
    if not _open(values):
        return values
    text = json.dumps(values, sort_keys=True)
    reference = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]
    path = _folder(settings) / f"{reference}.json"
    try:
        os.utime(path)  # in use again
    except FileNotFoundError:
        write_private(path, text)
    return {_REFERENCE: reference}


def _folder(settings: Settings) -> Path:
    return settings.home / "sealed"


def _key(settings: Settings) -> bytes:
    path = _folder(settings) / "key"
    if not path.exists():
        fresh = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(8)}")
        write_private(fresh, secrets.token_hex(32))
        try:
            with suppress(FileExistsError):  # another process was first: its key counts
                os.link(fresh, path)
        finally:
            fresh.unlink()
    return path.read_bytes()
