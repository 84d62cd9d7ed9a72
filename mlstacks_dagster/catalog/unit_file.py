"""Read one ``unit.yaml``; every error names its file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlstacks_dagster.catalog.models import (
    ChartReference,
    ComponentKind,
    ConfigKey,
    EmptyBefore,
    Export,
    HelmRelease,
    Provision,
    Requirement,
    SecretKey,
    Teardown,
    UnitDefinition,
    UnitSecret,
)
from mlstacks_dagster.errors import CatalogError, Problem, SpecError
from mlstacks_dagster.spec.models import Source
from mlstacks_dagster.spec.suggest import did_you_mean
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["UNIT_FILE", "catalog_error", "load_units", "unit_source"]

UNIT_FILE = "unit.yaml"

_MODELS: dict[str, type[BaseModel]] = {
    "component": ComponentKind,
    "requires": Requirement,
    "after": Requirement,
    "provides": Provision,
    "config": ConfigKey,
    "export": Export,
    "teardown": Teardown,
    "empty": EmptyBefore,
    "helm": HelmRelease,
    "chart": ChartReference,
    "secrets": UnitSecret,
    "keys": SecretKey,
}


def load_units(file: Path) -> tuple[UnitDefinition, ...]:
    """Return the units that ``file`` defines: one for each provider that it names.

    Raises :class:`CatalogError` with every finding.
    """
    data, source = _read(file)
    problems = [
        source.problem(f"unknown key {key}", key, remedy="discovery sets it; remove the line")
        for key in ("path",)
        if key in data
    ]
    given = data.get("provider")
    providers = given if isinstance(given, list) and given else [given]
    units: list[UnitDefinition] = []
    for provider in providers:
        known = data if provider is None else {**data, "provider": provider}
        try:
            units.append(_on(UnitDefinition(**{**known, "path": source.file.parent})))
        except ValidationError as error:
            problems += [_problem(source, dict(item)) for item in error.errors()]
    if problems:
        raise catalog_error(list(dict.fromkeys(problems)))
    return tuple(units)


def _on(unit: UnitDefinition) -> UnitDefinition:
    """Return the unit with the requirements that count on its provider."""

    def counting(requirements: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
        return tuple(r for r in requirements if not r.providers or unit.provider in r.providers)

    return unit.model_copy(
        update={"requires": counting(unit.requires), "after": counting(unit.after)}
    )


def unit_source(unit: UnitDefinition) -> Source:
    """Return the lines of the unit's file; without lines when it can't be read any more."""
    try:
        return _read(unit.path / UNIT_FILE)[1]
    except CatalogError:
        return Source(unit.path / UNIT_FILE)


def catalog_error(problems: Sequence[Problem]) -> CatalogError:
    """Return one error that lists ``problems``, a line each."""
    return CatalogError("\n".join(str(problem) for problem in problems))


def _read(file: Path) -> tuple[dict[str, Any], Source]:
    try:
        return load_yaml(file)
    except SpecError as error:
        raise catalog_error(
            [Problem(p.message, p.file, p.line, _remedy(p.remedy)) for p in error.problems]
        ) from None


def _remedy(text: str) -> str:
    return "see docs/adding-a-flavor.md" if "spec_version" in text else text


def _problem(source: Source, error: dict[str, Any]) -> Problem:
    where: tuple[str | int, ...] = error["loc"]
    name = ".".join(str(part) for part in where)
    if error["type"] == "extra_forbidden":
        remedy = did_you_mean(where[-1], _known_keys(where[:-1]))
        return source.problem(f"unknown key {name}", *where, remedy=remedy)
    if error["type"] == "missing":
        return source.problem(f"the key {name} is missing", *where, remedy=f"add {where[-1]}:")
    words = str(error["msg"]).removeprefix("Input ")
    return source.problem(f"{name} {words}, not {error['input']!r}", *where)


def _known_keys(where: tuple[str | int, ...]) -> list[str]:
    for part in reversed(where):
        if isinstance(part, str) and part in _MODELS:
            return list(_MODELS[part].model_fields)
    return [key for key in UnitDefinition.model_fields if key != "path"]
