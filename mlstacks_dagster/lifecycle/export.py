"""The stack file that ``zenml stack import`` reads.

Its bytes depend on the deployed outputs only, so that a second deploy writes the same file.
Fields as read in zenml 0.98.0: ``zenml_version``, ``stack_name``, ``components``.
"""

from __future__ import annotations

import string
import uuid
from pathlib import Path
from typing import Any

import yaml

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.ledger.records import StackRecord, UnitRecord
from mlstacks_dagster.lifecycle.files import write_private
from mlstacks_dagster.settings import Settings

__all__ = ["export_path", "stack_file", "write_export"]

_ZENML_VERSION = "0.98.0"
_NAMESPACE = uuid.UUID("7a0e1c52-4c5e-5d0c-9b1e-6d6c73746163")


def export_path(settings: Settings, name: str) -> Path:
    """Return where the ZenML stack file of stack ``name`` is written."""
    return settings.home / "zenml" / f"{name}.yaml"


def stack_file(plan: Plan, stack: StackRecord, units: dict[str, UnitRecord]) -> dict[str, Any]:
    """Return the stack file's content for the units that are deployed."""
    components: dict[str, Any] = {}
    for unit in plan.units:
        record = units.get(unit.name)
        kind = unit.definition.component
        if kind is None or unit.definition.export is None:
            continue
        if record is None or record.status != "applied":
            continue
        components[kind.type] = _component(unit, kind.type, stack, record)
    for missing, flavor in (("artifact_store", "local"), ("orchestrator", "local")):
        if missing not in components:
            components[missing] = {
                "id": _id(stack.stack_id, missing),
                "flavor": flavor,
                "name": "default",
                "configuration": {},
            }
    version = plan.zenml_version or _ZENML_VERSION
    return {"zenml_version": version, "stack_name": plan.stack, "components": components}


def write_export(
    settings: Settings, plan: Plan, stack: StackRecord, units: dict[str, UnitRecord]
) -> Path:
    """Write the ZenML stack file and return its path."""
    path = export_path(settings, plan.stack)
    text = yaml.safe_dump(stack_file(plan, stack, units), sort_keys=True)
    write_private(path, text)
    return path


def _component(
    unit: PlannedUnit, kind: str, stack: StackRecord, record: UnitRecord
) -> dict[str, Any]:
    export = unit.definition.export
    texts = export.configuration if export else {}
    rendered = {
        key: string.Formatter().vformat(text, (), record.outputs) for key, text in texts.items()
    }
    configuration = {key: text for key, text in rendered.items() if text}
    return {
        "id": _id(stack.stack_id, kind),
        "flavor": export.flavor if export else kind,
        "name": unit.component_name or unit.name,
        "configuration": configuration,
    }


def _id(stack_id: str, kind: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{stack_id}/{kind}"))
