"""The generated page ``docs/charts.md``: which charts there are, in which version, from where."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlstacks_dagster.catalog.chart_values import chart_folder
from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import ChartReference
from mlstacks_dagster.errors import CatalogError, Problem

__all__ = ["LICENSE_ANNOTATION", "charts_page"]

LICENSE_ANNOTATION = "artifacthub.io/license"
"""Annotation of a ``Chart.yaml`` of ours with the licence of what it installs."""

_UNKNOWN = "not said"
_INTRO = """# Charts

What Helm installs. Generated from the `unit.yaml` and `Chart.yaml` files: edit those, then run
`mlstacks-dagster catalog --write .` in a checkout.

Published charts are pinned by version. Where no digest stands, none was known to us: the registry
decides what the version is. `MLSTACKS_CHART_MIRROR` names a folder of charts to take instead,
packed (`NAME-VERSION.tgz`) or unpacked (`NAME/`)."""


class _Row(NamedTuple):
    chart: str
    version: str
    app_version: str
    licence: str
    units: str
    source: str


def charts_page(catalog: Catalog) -> str:
    """Return the page of all charts of ``catalog`` as Markdown.

    Raises :class:`CatalogError` when the ``Chart.yaml`` of a chart of ours can't be read.
    """
    published: dict[ChartReference, set[str]] = {}
    own: dict[Path, set[str]] = {}
    for unit in catalog.units:
        if unit.helm is None:
            continue
        if isinstance(unit.helm.chart, ChartReference):
            published.setdefault(unit.helm.chart, set()).add(unit.name)
        else:
            own.setdefault(chart_folder(unit), set()).add(unit.name)
    parts = [
        _INTRO,
        "## Published charts",
        _table(sorted(_published(chart, units) for chart, units in published.items())),
        "## Our own charts",
        "The licence is that of the software; the charts themselves are under this project's.",
        _table(sorted(_own_chart(folder, units) for folder, units in own.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _published(chart: ChartReference, units: Iterable[str]) -> _Row:
    source = f"`{chart.repository}`"
    return _Row(
        chart=f"`{chart.name}`",
        version=chart.version,
        app_version=chart.app_version,
        licence=chart.license,
        units=_names(units),
        source=f"{source}, `{chart.digest}`" if chart.digest else source,
    )


def _own_chart(folder: Path, units: Iterable[str]) -> _Row:
    about = _chart_file(folder / "Chart.yaml")
    annotations = about.get("annotations") or {}
    return _Row(
        chart=f"`{about['name']}`",
        version=str(about["version"]),
        app_version=str(about.get("appVersion", "")),
        licence=str(annotations.get(LICENSE_ANNOTATION, _UNKNOWN)),
        units=_names(units),
        source=f"`charts/{folder.name}`",
    )


def _chart_file(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CatalogError(str(Problem(f"can't read the chart's file: {error}", path))) from None
    if not isinstance(found, dict) or not {"name", "version"} <= set(found):
        raise CatalogError(str(Problem("the chart's file must have a name and a version", path)))
    return found


def _names(units: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(units))


def _table(rows: Iterable[_Row]) -> str:
    head = ("chart", "version", "app version", "licence", "units", "source")
    lines: list[tuple[str, ...]] = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
