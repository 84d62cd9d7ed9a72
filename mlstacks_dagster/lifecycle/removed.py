"""Which deployed stacks have lost their file: read from the folder, failing closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from mlstacks_dagster.errors import InputError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["removed_stacks"]

_SUFFIXES = (".yaml", ".yml")


def _scan(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries]


def removed_stacks(
    stacks: Sequence[StackRecord], folder: Path, scan: Callable[[Path], list[Path]] = _scan
) -> tuple[tuple[StackRecord, ...], str]:
    """Return the stacks whose file was removed from ``folder``, and why others are left out.

    Counted is a stack that was last deployed from a file in ``folder`` (or a folder in it) that
    isn't there any more, while no other file there describes it. Nothing is counted when the
    folder can't be listed, when one of its files can't be read (it may be the stack's, renamed),
    or where no YAML file is left at all (it may be unmounted). ``scan`` lists one folder.
    """
    missing = [s for s in stacks if s.source and _within(s.source, folder) and _gone(s.source)]
    if not missing:
        return (), ""
    try:
        files = _yaml_files(folder, scan)
    except OSError as error:
        return (), f"{folder} can't be read: {error.strerror or error}"
    if not files:
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
    return tuple(s for s in missing if s.name not in named and not _emptied(s, left)), ""


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


def _emptied(stack: StackRecord, left: set[Path]) -> bool:
    """Tell whether the file's folder is there without any YAML file: it may be unmounted."""
    parent = Path(stack.source or "").parent
    return parent.exists() and parent not in left


def _yaml_files(folder: Path, scan: Callable[[Path], list[Path]]) -> list[Path]:
    """Return the YAML files of the folder and of those in it; raises OSError for any failure."""
    found = []
    for entry in scan(folder):
        if entry.name.endswith(_SUFFIXES):
            found.append(entry)
        elif entry.is_dir():
            found += [path for path in scan(entry) if path.name.endswith(_SUFFIXES)]
    return sorted(found)
