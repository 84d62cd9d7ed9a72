"""A mirror of stand-in charts, for a sandbox that can't fetch the real ones.

A stand-in has the name and version of a published chart and its main objects (Deployments,
Services, custom resource definitions, storage classes), driven by the same value keys. It is
neither a copy nor a fork: no pod of it would do the real one's work. Real charts are taken
whenever ``MLSTACKS_CHART_MIRROR`` names a folder of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import yaml

from mlstacks_dagster.catalog.discovery import own_roots, read_catalog
from mlstacks_dagster.catalog.models import ChartReference
from mlstacks_dagster.errors import SandboxError

from .definitions import DEFINITIONS, Definitions, definition

__all__ = ["STAND_IN", "build_mirror", "published_charts", "standin_names"]

STAND_IN = "mlstacks-dagster/stand-in"
"""Annotation of ``Chart.yaml`` that only stand-ins have."""

_HELPERS = "_standin.tpl"


def published_charts() -> tuple[ChartReference, ...]:
    """Return the published charts that our own units name, each once."""
    found = {
        unit.helm.chart.name: unit.helm.chart
        for unit in read_catalog(own_roots()).units
        if unit.helm is not None and isinstance(unit.helm.chart, ChartReference)
    }
    return tuple(found[name] for name in sorted(found))


def standin_names() -> tuple[str, ...]:
    """Return the names of the charts that there are stand-ins for."""
    with resources.as_file(_data() / "charts") as folder:
        return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))


def build_mirror(folder: Path, charts: Iterable[ChartReference] | None = None) -> Path:
    """Write a stand-in of each of ``charts`` (default: all of our units') into ``folder``.

    Returns ``folder``, which serves as ``MLSTACKS_CHART_MIRROR``: one unpacked chart a folder.
    What stands there of earlier builds is replaced, each chart at once. The same charts give the
    same bytes. Raises :class:`SandboxError` when there is no stand-in or the disk refuses.
    """
    known = standin_names()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for chart in published_charts() if charts is None else charts:
            if chart.name not in known:
                raise SandboxError(
                    f"there is no stand-in for the chart {chart.name}",
                    remedy="put the real charts into a folder and name it in MLSTACKS_CHART_MIRROR",
                )
            _place(folder, chart)
    except OSError as error:
        raise SandboxError(
            f"can't write the stand-in charts into {folder}: {error.strerror}",
            remedy="make room, or make the folder writable",
        ) from error
    return folder


def _place(folder: Path, chart: ChartReference) -> None:
    with tempfile.TemporaryDirectory(prefix=".stand-in-", dir=folder) as place:
        built = Path(place, "new")
        _write(built, chart)
        target = folder / chart.name
        if target.exists():
            target.rename(Path(place, "old"))
        built.rename(target)


def _write(folder: Path, chart: ChartReference) -> None:
    with resources.as_file(_data()) as data:
        shutil.copytree(data / "charts" / chart.name, folder)
        shutil.copyfile(data / _HELPERS, folder / "templates" / _HELPERS)
    about = {
        "apiVersion": "v2",
        "name": chart.name,
        "version": chart.version,
        "appVersion": chart.app_version,
        "type": "application",
        "description": f"A stand-in for the chart {chart.name} {chart.version}, for the sandbox.",
        "annotations": {STAND_IN: "true"},
    }
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    if chart.name in DEFINITIONS:
        _write_definitions(folder, DEFINITIONS[chart.name])


def _write_definitions(folder: Path, definitions: Definitions) -> None:
    text = "---\n".join(
        yaml.safe_dump(definition(kind), sort_keys=False) for kind in definitions.kinds
    )
    if not definitions.when:
        place = folder / "crds" / "definitions.yaml"
        place.parent.mkdir()
    else:
        place = folder / "templates" / "definitions.yaml"
        kept = _kept(definitions.keep)
        text = text.replace("metadata:\n", f"metadata:\n{kept}") if kept else text
        text = f"{{{{- if .Values.{definitions.when} }}}}\n{text}{{{{- end }}}}\n"
    place.write_text(text, encoding="utf-8")


def _kept(keep: str) -> str:
    annotation = "  annotations:\n    helm.sh/resource-policy: keep\n"
    if not keep or keep == "always":
        return annotation if keep else ""
    return f"  {{{{- if .Values.{keep} }}}}\n{annotation}  {{{{- end }}}}\n"


def _data() -> Path:
    return Path(str(resources.files(__package__)))
