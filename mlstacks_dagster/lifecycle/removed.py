"""Which deployed stacks have lost their file: read from the folder, failing closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlstacks_dagster.errors import InputError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["places_of", "removed_stacks"]

_SUFFIXES = (".yaml", ".yml")


def _scan(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries]


def removed_stacks(
    stacks: Sequence[StackRecord],
    folder: Path,
    places: Mapping[str, str],
    scan: Callable[[Path], list[Path]] = _scan,
) -> tuple[tuple[StackRecord, ...], str]:
    """Return the stacks whose file was removed from ``folder``, and why others are left out.

    Counted is a stack that was last deployed from a file in ``folder`` (or a folder in it) that
    isn't there any more, while no other file there describes it. Nothing is counted when the
    folder can't be listed, or when one of its files can't be read (it may be the stack's,
    renamed). Where no YAML file is left at all, the folder must be the one that had some, as
    ``places`` of :func:`places_of` knows it: else it may be unmounted. ``scan`` lists one folder.
    """
    missing = [s for s in stacks if s.source and _within(s.source, folder) and _gone(s.source)]
    if not missing:
        return (), ""
    try:
        files = _yaml_files(folder, scan)
    except OSError as error:
        return (), f"{folder} can't be read: {error.strerror or error}"
    if not files and not _is_known(folder, places):
        return (), f"{folder} holds no YAML file: it may be unmounted"
    named: set[str] = set()
    for path in files:
        try:
            found, _ = load_yaml(path)
        except InputError:
            return (), f"{path} can't be read: it may describe one of the stacks"
        if found.get("spec_type") != "component":
            named.add(str(found.get("name")))
    left = {path.parent for path in files}
    gone = (s for s in missing if s.name not in named and not _unmounted(s, left, places))
    return tuple(gone), ""


def places_of(
    folder: Path, places: Mapping[str, str], scan: Callable[[Path], list[Path]] = _scan
) -> dict[str, str]:
    """Return which the folders with YAML files are, so that they are known again once emptied.

    ``places`` is what was known before; a folder that has no YAML file now stays as it was known.
    A folder is known by its device and number: what is mounted on it has others.
    """
    try:
        files = _yaml_files(folder, scan)
    except OSError:
        return dict(places)
    found = {str(path): _identity(path) for path in {file.parent for file in files}}
    return {**places, **{path: which for path, which in found.items() if which}}


def _within(source: str, folder: Path) -> bool:
    """Tell whether a file lies where stack files are looked for: in a folder or one below it."""
    path = Path(source)
    return path.is_absolute() and folder in (path.parent, path.parent.parent)


def _gone(source: str) -> bool:
    """Tell whether a file certainly isn't there; one that can't be reached may be."""
    try:
        os.lstat(source)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _unmounted(stack: StackRecord, left: set[Path], places: Mapping[str, str]) -> bool:
    """Tell whether the file's folder is there without any YAML file, and may be another one."""
    parent = Path(stack.source or "").parent
    return parent.exists() and parent not in left and not _is_known(parent, places)


def _is_known(folder: Path, places: Mapping[str, str]) -> bool:
    which = _identity(folder)
    return bool(which) and places.get(str(folder)) == which


def _identity(folder: Path) -> str:
    """Return a folder's device and number, empty when it can't be asked."""
    try:
        found = folder.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def _yaml_files(folder: Path, scan: Callable[[Path], list[Path]]) -> list[Path]:
    """Return the YAML files of the folder and of those in it; raises OSError for any failure."""
    found = []
    for entry in scan(folder):
        if entry.name.endswith(_SUFFIXES):
            found.append(entry)
        elif entry.is_dir():
            found += [path for path in scan(entry) if path.name.endswith(_SUFFIXES)]
    return sorted(found)
