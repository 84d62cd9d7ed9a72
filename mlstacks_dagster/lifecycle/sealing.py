"""Keep the values of ``environment_variables`` out of plans that others store.

Dagster and the ledger keep plans; a plan may name credentials in a unit's environment. Sealing
moves the values into a file that only its owner can read and leaves a reference in the plan. The
reference is keyed with a random secret of this installation, so it tells nothing of the values,
and the same values get the same reference.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.errors import StateError
from mlstacks_dagster.lifecycle.files import write_private
from mlstacks_dagster.settings import Settings

__all__ = ["seal", "unseal"]

# No environment variable can have this name.
_REFERENCE = "@sealed"


def seal(plan: Plan, settings: Settings) -> Plan:
    """Return ``plan`` with every unit's environment replaced by a reference to a private file."""
    if not any(unit.environment and _REFERENCE not in unit.environment for unit in plan.units):
        return plan
    key = _key(settings)
    return plan.model_copy(
        update={"units": tuple(_sealed(unit, key, settings) for unit in plan.units)}
    )


def unseal(environment: dict[str, str], settings: Settings) -> dict[str, str]:
    """Return the values behind a sealed environment; an unsealed one is returned as it is.

    Raises :class:`StateError` when the private file is gone.
    """
    reference = environment.get(_REFERENCE)
    if reference is None:
        return environment
    path = _folder(settings) / f"{reference}.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StateError(
            f"the sealed environment variables {path} can't be read: {error}",
            remedy="deploy from the stack file again; it seals them anew",
        ) from error
    return {str(name): str(value) for name, value in found.items()}


def _sealed(unit: PlannedUnit, key: bytes, settings: Settings) -> PlannedUnit:
    if not unit.environment or _REFERENCE in unit.environment:
        return unit
    text = json.dumps(unit.environment, sort_keys=True)
    reference = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]
    path = _folder(settings) / f"{reference}.json"
    if not path.exists():
        write_private(path, text)
    return unit.model_copy(update={"environment": {_REFERENCE: reference}})


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
