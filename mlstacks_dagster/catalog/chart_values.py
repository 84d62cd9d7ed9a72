"""Which values a chart takes: ``values.yaml`` and ``values.schema.json`` of a Helm unit.

A chart of our own has both in its folder. For a published chart the unit's folder has them: what
we set, and the schema of that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mlstacks_dagster.catalog.models import UnitDefinition
from mlstacks_dagster.catalog.value_path import ABSENT, get_value, split_path
from mlstacks_dagster.errors import CatalogError, Problem

__all__ = ["ChartValues", "chart_folder", "chart_values"]

_SCHEMA = "values.schema.json"
_VALUES = "values.yaml"


@dataclass(frozen=True)
class ChartValues:
    """The values of a chart: their schema and our defaults."""

    schema: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def at(self, path: str) -> dict[str, Any] | None:
        """Return the schema of the value at ``path``, None when the chart has no such value."""
        found: Any = self.schema
        try:
            keys = split_path(path)
        except ValueError:
            return None  # a path with an empty key
        for key in keys:
            found = self._resolved(found)
            inside = found.get("properties", {}).get(key)
            if inside is None:
                inside = found.get("additionalProperties", False)
            if inside is False or inside is None:
                return None
            found = {} if inside is True else inside
        return dict(self._resolved(found))

    def default(self, path: str) -> Any:
        """Return our default at ``path``, None when there is none."""
        found = get_value(self.defaults, path)
        return None if found is ABSENT else found

    def why_not(self, path: str, value: object) -> str | None:
        """Return why ``value`` can't stand at ``path``, or None when it can."""
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - 0.1 s, seldom needed

        schema = self.at(path)
        if schema is None:
            return "the chart has no such value"
        for key in ("$defs", "definitions"):
            if key in self.schema:
                schema[key] = self.schema[key]
        error = next(Draft202012Validator(schema).iter_errors(value), None)
        return None if error is None else _words(error.message, schema)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        while isinstance(schema, Mapping) and "$ref" in schema:
            target: Any = self.schema
            for key in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target[key]
            schema = target
        return schema if isinstance(schema, Mapping) else {}


def chart_folder(unit: UnitDefinition) -> Path:
    """Return the folder with a unit's values and their schema."""
    chart = unit.helm.chart if unit.helm else "."
    return (unit.path / chart).resolve() if isinstance(chart, str) else unit.path


def chart_values(unit: UnitDefinition) -> ChartValues:
    """Return what the chart of ``unit`` takes; raises :class:`CatalogError` with the file."""
    folder = chart_folder(unit)
    stamps = tuple(_stamp(folder / name) for name in (_SCHEMA, _VALUES))
    return _read(folder, stamps)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=256)
def _read(folder: Path, _stamps: tuple[tuple[int, int], ...]) -> ChartValues:
    return ChartValues(_schema(folder / _SCHEMA), _defaults(folder / _VALUES))


def _schema(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(str(Problem(f"can't read the values' schema: {error}", path))) from None
    if not isinstance(found, dict):
        raise CatalogError(str(Problem("the values' schema must be a mapping", path)))
    return found


def _defaults(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CatalogError(str(Problem(f"can't read the values: {error}", path))) from None
    if found is not None and not isinstance(found, dict):
        raise CatalogError(str(Problem("the values must be a mapping", path)))
    return found or {}


def _words(message: str, schema: Mapping[str, Any]) -> str:
    if "pattern" in schema and "does not match" in message and "description" in schema:
        return f"{message} ({schema['description']})"
    return message
