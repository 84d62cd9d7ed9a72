"""Find every unit: in our own folders, in ``MLSTACKS_CATALOG_PATH``, in installed packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from mlstacks_dagster.catalog.contract import check_catalog, check_unit
from mlstacks_dagster.catalog.models import UnitDefinition
from mlstacks_dagster.catalog.unit_file import UNIT_FILE, catalog_error, load_units
from mlstacks_dagster.errors import CatalogError, Problem
from mlstacks_dagster.settings import Settings, data_root

__all__ = ["ENTRY_POINT_GROUP", "Catalog", "load_catalog", "own_roots", "read_catalog"]

ENTRY_POINT_GROUP = "mlstacks_dagster.catalog"

_READ = frozenset({UNIT_FILE, "Chart.yaml", "values.yaml", "values.schema.json"})

_Stamps = tuple[tuple[str, int, int], ...]  # name, time of change and size of each file


@dataclass(frozen=True)
class Catalog:
    """All unit definitions, sorted by provider and name."""

    units: tuple[UnitDefinition, ...]

    def get(self, provider: str, name: str) -> UnitDefinition:
        """Return a unit by name; raises KeyError."""
        for unit in self.units:
            if (unit.provider, unit.name) == (provider, name):
                return unit
        raise KeyError(f"{provider}/{name}")

    def by_component(self, provider: str, kind: str, flavor: str) -> tuple[UnitDefinition, ...]:
        """Return the units that make up a component of type ``kind``, in order of name."""
        return tuple(
            unit
            for unit in self.units
            if unit.provider == provider
            and unit.component is not None
            and (unit.component.type, unit.component.flavor) == (kind, flavor)
        )

    def providers_of(self, capability: str, provider: str) -> tuple[UnitDefinition, ...]:
        """Return the units on ``provider`` that provide ``capability``."""
        return tuple(
            unit
            for unit in self.units
            if unit.provider == provider
            and any(provision.capability == capability for provision in unit.provides)
        )

    def base_units(self, provider: str) -> tuple[UnitDefinition, ...]:
        """Return the units that are no component: they come in because others need them."""
        return tuple(u for u in self.units if u.provider == provider and u.component is None)

    def kinds(self, provider: str) -> tuple[tuple[str, str], ...]:
        """Return the component types and flavors that can be deployed on ``provider``, sorted."""
        return tuple(sorted({(t, f) for p, t, f in self.triples if p == provider}))

    @property
    def triples(self) -> frozenset[tuple[str, str, str]]:
        """Every provider, component type and flavor that can be deployed."""
        return frozenset(
            (unit.provider, unit.component.type, unit.component.flavor)
            for unit in self.units
            if unit.component is not None
        )


def load_catalog(settings: Settings) -> Catalog:
    """Return the catalog; it is read again only after a file of a unit has changed.

    Raises :class:`CatalogError`, with file and line, for a broken unit; and for a root that
    is no folder or a package whose entry point fails, by name.
    """
    return read_catalog(_roots(settings))


def read_catalog(roots: Iterable[Path]) -> Catalog:
    """Return the catalog of the units under ``roots``; raises as :func:`load_catalog` does."""
    found: dict[str, _Stamps] = {}
    for root in roots:
        found.update(_unit_folders(str(root.resolve())))
    return _load(tuple(found.items()))


@lru_cache(maxsize=32)
def _load(stamps: tuple[tuple[str, _Stamps], ...]) -> Catalog:
    units: list[UnitDefinition] = []
    problems: list[str] = []
    for folder, _ in stamps:
        try:
            loaded = load_units(Path(folder, UNIT_FILE))
            found = [problem for unit in loaded for problem in check_unit(unit)]
        except CatalogError as error:
            problems.append(error.message)
        else:
            units += loaded
            problems += dict.fromkeys(map(str, found))
    units.sort(key=lambda unit: (unit.provider, unit.name))
    problems += map(str, check_catalog(units))
    if problems:
        raise CatalogError("\n".join(problems))
    return Catalog(tuple(units))


def own_roots() -> tuple[Path, ...]:
    """Return the folders of the units that come with this program."""
    root = data_root()
    folders = (root / "terraform", root / "charts")
    return tuple(folder for folder in folders if folder.is_dir())


def _roots(settings: Settings) -> Iterator[Path]:
    yield from own_roots()
    for root in settings.catalog_path:
        if not root.is_dir():
            raise CatalogError(
                f"the catalog root {root} is no folder", remedy="correct MLSTACKS_CATALOG_PATH"
            )
        yield root
    yield from _offered_roots(tuple(sys.path))


@lru_cache(maxsize=8)
def _offered_roots(_search_path: tuple[str, ...]) -> tuple[Path, ...]:
    offered = entry_points(group=ENTRY_POINT_GROUP)
    return tuple(_offered_root(entry) for entry in sorted(offered, key=lambda e: (e.name, e.value)))


def _offered_root(entry: EntryPoint) -> Path:
    package = entry.dist.name if entry.dist else "an installed package"
    remedy = f"repair or uninstall {package}"
    who = f"the entry point {entry.name} = {entry.value} of {package}"
    try:
        found = entry.load()
        found = found() if callable(found) else found
    except Exception as error:  # a foreign package may raise anything
        raise CatalogError(
            f"{who} fails: {type(error).__name__}: {error}", remedy=remedy
        ) from error
    if not isinstance(found, str | os.PathLike):
        raise CatalogError(f"{who} gives {type(found).__name__}, not a path", remedy=remedy)
    root = Path(found)
    if not root.is_dir():
        raise CatalogError(f"{who} gives {root}, which is no folder", remedy=remedy)
    return root


def _unit_folders(folder: str) -> Iterator[tuple[str, _Stamps]]:
    """Yield the folders at and below ``folder`` that hold a unit, hidden ones left out."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        stats = [(e.name, e.stat()) for e in found if e.name in _READ or e.name[-3:] == ".tf"]
    except OSError as error:
        raise catalog_error([Problem(f"can't read the folder: {error}", Path(folder))]) from None
    if any(name == UNIT_FILE for name, _ in stats):
        yield folder, tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _unit_folders(entry.path)
