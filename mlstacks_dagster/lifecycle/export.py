"""The stack file that ``zenml stack import`` reads.

Passwords are not in it: in their place stand references to ZenML secrets, named after the stack
and the Kubernetes Secret, which ``output --secret`` gives the content of.

Its bytes depend on the deployed outputs only, so that a second deploy writes the same file.
Fields as read in zenml 0.98.0: ``zenml_version``, ``stack_name``, ``components``.
"""

from __future__ import annotations

import os
import re
import string
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.catalog.value_path import set_value
from mlstacks_dagster.files import write_private
from mlstacks_dagster.ledger.records import StackRecord, UnitRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.locks import hold
from mlstacks_dagster.settings import Settings

__all__ = ["export_path", "stack_file", "write_export"]

_ZENML_VERSION = "0.98.0"
_SECRET = re.compile(r"\{secret:([^{}/]+)/([^{}/]+)\}")
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


def write_export(settings: Settings, plan: Plan, stack: StackRecord, ledger: Ledger) -> None:
    """Make the ZenML stack file say what is deployed now; remove it when nothing is.

    Units that end at the same time take turns, so that the last word is the whole.
    """
    path = export_path(settings, stack.name)
    lock = settings.locks_dir / f"{stack.stack_id}.zenml-file.lock"
    with hold(lock, {"pid": str(os.getpid())}, timeout=settings.lock_timeout):
        units = {unit.unit: unit for unit in ledger.units(stack.stack_id)}
        if not any(unit.status == "applied" for unit in units.values()):
            path.unlink(missing_ok=True)
            return
        write_private(path, yaml.safe_dump(stack_file(plan, stack, units), sort_keys=True))


def _component(
    unit: PlannedUnit, kind: str, stack: StackRecord, record: UnitRecord
) -> dict[str, Any]:
    export = unit.definition.export
    texts = export.configuration if export else {}
    known = {**record.outputs, **_references(unit, stack.name)}
    rendered = {key: _render(text, known) for key, text in texts.items()}
    configuration: dict[str, Any] = {}
    for key, text in rendered.items():
        if text:
            set_value(configuration, key, text)
    return {
        "id": _id(stack.stack_id, kind),
        "flavor": export.flavor if export else kind,
        "name": unit.component_name or unit.name,
        "configuration": configuration,
    }


def _references(unit: PlannedUnit, stack: str) -> dict[str, str]:
    """Return the outputs that are one key of a Secret, as ZenML refers to its own secrets."""
    release = unit.definition.helm
    found: dict[str, str] = {}
    for name in release.outputs if release else ():
        match = _SECRET.fullmatch(release.output_texts(name)[0]) if release else None
        if match:
            found[name] = f"{{{{{stack}-{match[1]}.{match[2]}}}}}"
    return found


def _render(text: str, outputs: Mapping[str, Any]) -> str:
    """Fill ``text`` in; nothing is left of one whose output is empty or isn't there."""
    formatter = string.Formatter()
    names = [name for _, name, _, _ in formatter.parse(text) if name is not None]
    if any(outputs.get(name) in (None, "") for name in names):
        return ""
    return formatter.vformat(text, (), outputs)


def _id(stack_id: str, kind: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{stack_id}/{kind}"))
