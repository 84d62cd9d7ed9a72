"""What a unit's module is fed with: variables, tags, backend; and the hash of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.catalog.variables import module_variables
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StateLocation
from mlstacks_dagster.sweep.marks import DataClass, ownership_marks

__all__ = [
    "backend",
    "hard_requirements",
    "input_hash",
    "module_digest",
    "name_prefix",
    "tags_and_marks",
    "variables",
]

_IGNORED_FILES = frozenset({"README.md", ".terraform.lock.hcl"})


def name_prefix(stack_id: str) -> str:
    """Return the prefix of everything that a stack makes: ``ml-`` and the stack id."""
    return f"ml-{stack_id}"


def hard_requirements(plan: Plan, unit: PlannedUnit) -> tuple[str, ...]:
    """Return the units that ``unit`` can't be deployed without; ``after`` edges don't count."""
    needed = {requirement.capability for requirement in unit.definition.requires}
    return tuple(
        name
        for name in unit.depends_on
        if needed & {p.capability for p in plan.unit(name).definition.provides}
    )


def tags_and_marks(
    unit: PlannedUnit, stack: StackRecord, install: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the unit's tags with the marks, and the marks alone.

    The marks win over tags of the same name; they are the same at every deploy of a stack.
    """
    marks = ownership_marks(
        install=install,
        stack_id=stack.stack_id,
        name=stack.name,
        component=unit.name,
        created=stack.created_at,
        expires=stack.expires_at,
        data=_data_class(unit, stack),
        protect=stack.protect,
    )
    return {**unit.tags, **marks}, marks


def _data_class(unit: PlannedUnit, stack: StackRecord) -> DataClass:
    """Return what becomes of the data in what carries the unit's marks.

    These are a bucket or a repository that is emptied, or the volumes that a driver makes.
    """
    teardown = unit.definition.teardown
    if stack.keeps_data and (teardown.empty or teardown.drain == ("volumes",)):
        return "retain"
    return "delete" if teardown.empty else "none"


def variables(
    unit: PlannedUnit,
    stack: StackRecord,
    install: str,
    output_of: Callable[[str, str], Any],
) -> dict[str, Any]:
    """Return the module's input values.

    ``output_of(unit, output)`` gives another unit's output, None when it isn't deployed.
    A value for a variable that the module doesn't declare is left out.
    """
    tags, _ = tags_and_marks(unit, stack, install)
    values: dict[str, Any] = {
        "name": name_prefix(stack.stack_id),
        "install": install,
        "region": unit.region,
        "tags": tags,
        "delete_data": not stack.keeps_data,
        **unit.variables,
    }
    for binding in unit.bindings:
        value = output_of(binding.unit, binding.output)
        if value is not None:
            values[binding.variable] = value
    declared = module_variables(unit.definition.path)
    return {name: value for name, value in values.items() if name in declared}


def backend(
    settings: Settings, stack: StackRecord, unit: PlannedUnit, wiring: Wiring
) -> dict[str, Any]:
    """Return Terraform's ``backend`` block as ``{type: settings}``, one state a unit."""
    where: StateLocation = stack.state
    if where.kind == "local":
        path = settings.state_dir(stack.stack_id, unit.name) / "terraform.tfstate"
        return {"local": {"path": str(path)}}
    key = "/".join(p for p in (where.prefix.strip("/"), stack.stack_id, unit.name) if p)
    if where.kind == "gcs":
        return {"gcs": {"bucket": where.bucket, "prefix": key}}
    return {
        "s3": {
            "bucket": where.bucket,
            "key": f"{key}/terraform.tfstate",
            "region": where.region or stack.region,
            "encrypt": True,
            "use_lockfile": True,
            **wiring.backend_s3,
        }
    }


def module_digest(folder: Path) -> str:
    """Return a hash over the names and contents of a module's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and path.name not in _IGNORED_FILES and inside.parts[0] != ".terraform":
            content = path.read_bytes()
            digest.update(f"{inside.as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def input_hash(
    digest: str,
    values: dict[str, Any],
    backend_block: dict[str, Any],
    unit: PlannedUnit,
    wiring: Wiring,
) -> str:
    """Return a hash over everything that decides what a unit's apply would do."""
    parts = {
        "module": digest,
        "variables": values,
        "backend": backend_block,
        "environment": dict(unit.environment),
        "target": wiring.target,
        "providers": {k: v.model_dump() for k, v in wiring.providers.items()},
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
