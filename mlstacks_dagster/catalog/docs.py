"""The generated pages: ``docs/catalog.md`` and ``schemas/*.json``.

They show our own units only, so that what a developer has installed besides leaves no trace.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.chart_docs import charts_page
from mlstacks_dagster.catalog.discovery import Catalog, own_roots, read_catalog
from mlstacks_dagster.catalog.models import Requirement, UnitDefinition
from mlstacks_dagster.catalog.schema import stack_schema, unit_schema, unit_settings
from mlstacks_dagster.catalog.selection import hard_closure

__all__ = ["catalog_markdown", "generated_files", "stack_schema", "unit_schema", "write_generated"]

_INTRO = """# Catalog

What can be deployed. Generated from the `unit.yaml` files, modules and charts: edit those, then run
`mlstacks-dagster catalog --write .` in a checkout.

A component's `metadata.config` takes its own keys and those of the base units of its stack. Every
component takes `region` and `zenml-version`, on gcp `project_id` too."""


def generated_files(root: Path) -> dict[Path, str]:
    """Return path and text of each generated file under ``root``."""
    catalog = read_catalog(own_roots())
    return {
        root / "docs" / "catalog.md": catalog_markdown(catalog),
        root / "docs" / "charts.md": charts_page(catalog),
        root / "schemas" / "stack.schema.json": _json(stack_schema(catalog)),
        root / "schemas" / "unit.schema.json": _json(unit_schema()),
    }


def write_generated(root: Path, more: Mapping[Path, str] | None = None) -> tuple[Path, ...]:
    """Write the generated files under ``root`` and those of ``more``; returns what changed."""
    changed = []
    for path, text in {**generated_files(root), **(more or {})}.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return tuple(changed)


def catalog_markdown(catalog: Catalog) -> str:
    """Return the catalog as a page of Markdown."""
    parts = [_INTRO]
    for provider in sorted({unit.provider for unit in catalog.units}):
        parts += _provider(catalog, provider)
    return "\n\n".join(parts) + "\n"


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _provider(catalog: Catalog, provider: str) -> Iterator[str]:
    yield f"## {provider}"
    rows = [
        (kind, flavor, _names(units), _names(_bases(catalog, units)))
        for kind, flavor in catalog.kinds(provider)
        for units in [catalog.by_component(provider, kind, flavor)]
    ]
    if rows:
        yield _table(("component type", "flavor", "units", "base units that come in"), rows)
    bases = catalog.base_units(provider)
    if bases:
        yield _table(
            ("base unit", "provides", "base units that come in"),
            [(_names([u]), _capabilities(u), _names(_bases(catalog, [u]))) for u in bases],
        )
    for unit in catalog.units:
        if unit.provider == provider:
            yield "\n\n".join(_unit(unit))


def _bases(catalog: Catalog, units: Iterable[UnitDefinition]) -> list[UnitDefinition]:
    found = {base.name: base for unit in units for base in hard_closure(catalog, unit)}
    return [found[name] for name in sorted(found)]


def _names(units: Iterable[UnitDefinition]) -> str:
    return ", ".join(f"`{unit.name}`" for unit in units)


def _capabilities(unit: UnitDefinition) -> str:
    return ", ".join(f"`{provision.capability}`" for provision in unit.provides)


def _unit(unit: UnitDefinition) -> Iterator[str]:
    yield f"### `{unit.name}`: {unit.title}"
    yield _line(unit.description)
    facts = [*_edges("Requires", unit.requires), *_edges("Comes after", unit.after)]
    if unit.provides:
        facts.append(f"Provides {_capabilities(unit)}.")
    if unit.export:
        facts.append(f"In ZenML: flavor `{unit.export.flavor}`.")
    if unit.cost_note:
        facts.append(f"Cost: {_line(unit.cost_note)}")
    if unit.leftovers:
        facts.append(f"May be left by what runs on it: {' '.join(map(_line, unit.leftovers))}")
    if facts:
        yield "\n".join(f"- {fact}" for fact in facts)
    if unit.config:
        yield _table(("key", "type", "default", "meaning"), list(_config_rows(unit)))


def _edges(word: str, requirements: Sequence[Requirement]) -> Iterator[str]:
    if requirements:
        yield f"{word} {', '.join(map(_edge, requirements))}."


def _edge(requirement: Requirement) -> str:
    when = f" when `{requirement.when}` is given" if requirement.when else ""
    return f"`{requirement.capability}`{when}"


def _config_rows(unit: UnitDefinition) -> Iterator[tuple[str, ...]]:
    for key, (setting, taken) in unit_settings(unit).items():
        default = "" if taken.default is None else f"`{json.dumps(taken.default)}`"
        meaning = setting.description or taken.description
        yield f"`{key}`", f"`{taken.type}`", default, _line(meaning)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


def _line(text: str) -> str:
    return " ".join(text.split())
