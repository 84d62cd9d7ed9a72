"""Who owns which field: ``metadata.managedFields``, and the conflicts of server-side apply."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .errors import ApiError
from .fieldsets import Path, field_values, from_fields_v1, path_text, remove_path, to_fields_v1
from .merges import merge_applied
from .schemas import Node

__all__ = ["APPLY", "UPDATE", "Manager", "apply_fields", "update_owners"]

APPLY = "Apply"
UPDATE = "Update"

_UNOWNED: set[Path] = {(("f", "apiVersion"),), (("f", "kind"),), (("f", "metadata"),)}
_UNOWNED |= {
    (("f", "metadata"), ("f", name))
    for name in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    ]
}
# managedFields themselves never count, whatever is below them.
_NEVER = ("f", "managedFields")


@dataclass(frozen=True)
class Manager:
    """One who writes fields. An applier is the same in every version of the API."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> Manager:
        """What tells managers apart."""
        return replace(self, api_version="") if self.operation == APPLY else self


@dataclass
class _Entry:
    manager: Manager
    paths: set[Path]
    time: str


_Owners = dict[Manager, _Entry]


def update_owners(
    old: dict[str, Any] | None,
    new: dict[str, Any],
    node: Node | None,
    manager: Manager,
    now: str,
) -> list[dict[str, Any]]:
    """Return the managed fields of ``new``, which ``manager`` wrote over ``old``.

    Managed fields that the client itself put into ``new`` are where it begins.
    """
    before = _owned(field_values(old, node)) if old else {}
    after = _owned(field_values(new, node))
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    owners = _read(new["metadata"].get("managedFields"))
    for identity, entry in owners.items():
        lost = changed if identity != manager.identity else set()
        _set_paths(entry, (entry.paths - lost) & _with_parents(after), now)
    if changed:
        _own(owners, manager, changed, now, keep=True)
    return _write(owners)


def apply_fields(
    live: dict[str, Any] | None,
    applied: dict[str, Any],
    node: Node | None,
    manager: Manager,
    now: str,
    *,
    force: bool,
) -> dict[str, Any]:
    """Return ``live`` with what ``manager`` applied, and with the owners that follow from it.

    What the manager applied before and applies no longer goes, unless others own it too. Raises
    :class:`ApiError` (409) when others own what would change, unless ``force``.
    """
    wanted = _owned(field_values(applied, node))
    merged: dict[str, Any] = copy.deepcopy(live) if live else {"metadata": {}}
    owners = _read(merged["metadata"].get("managedFields"))
    if live:
        current = field_values(live, node)
        changes = {path for path in wanted if path in current and current[path] != wanted[path]}
        _take(owners, manager, changes, now, force=force)
        _drop_abandoned(merged, owners, manager, set(wanted))
    config = copy.deepcopy(applied)
    config.get("metadata", {}).pop("managedFields", None)
    merged = merge_applied(merged, config, node)
    _own(owners, manager, set(wanted), now, keep=False)
    merged["metadata"]["managedFields"] = _write(owners)
    return merged


def _take(owners: _Owners, manager: Manager, changes: set[Path], now: str, *, force: bool) -> None:
    others = {k: entry for k, entry in owners.items() if k != manager.identity}
    clashes = [(entry, entry.paths & changes) for entry in others.values()]
    clashes = [(entry, paths) for entry, paths in clashes if paths]
    if clashes and not force:
        raise _conflict(clashes)
    for entry, paths in clashes:
        _set_paths(entry, entry.paths - paths, now)


def _conflict(clashes: list[tuple[_Entry, set[Path]]]) -> ApiError:
    causes, lines = [], []
    for entry, paths in clashes:
        who = f'conflict with "{entry.manager.name}"'
        if entry.manager.subresource:
            who += f' with subresource "{entry.manager.subresource}"'
        if entry.manager.operation == UPDATE:
            who += f" using {entry.manager.api_version}"
        for path in sorted(paths, key=path_text):
            field = path_text(path)
            causes.append({"reason": "FieldManagerConflict", "message": who, "field": field})
            lines.append(f"{who}: {field}")
    plural = "s" if len(lines) > 1 else ""
    message = f"Apply failed with {len(lines)} conflict{plural}: {', '.join(lines)}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def _drop_abandoned(
    merged: dict[str, Any], owners: _Owners, manager: Manager, wanted: set[Path]
) -> None:
    mine = owners.get(manager.identity)
    if mine is None:
        return
    kept: set[Path] = set(_with_parents(wanted))
    for identity, entry in owners.items():
        if identity != manager.identity:
            kept |= _with_parents(entry.paths)
    for path in sorted(mine.paths - kept, key=len):
        remove_path(merged, path)
        _remove_empty_parents(merged, path, kept)


def _remove_empty_parents(obj: dict[str, Any], path: Path, kept: set[Path]) -> None:
    """Remove maps that are empty now and that nobody wants."""
    for length in range(len(path) - 1, 0, -1):
        parent = path[:length]
        if (
            parent in kept
            or parent in _UNOWNED
            or parent[-1][0] != "f"
            or _has_content(obj, parent)
        ):
            return
        remove_path(obj, parent)


def _has_content(obj: Any, path: Path) -> bool:
    for kind, key in path:
        if kind != "f" or not isinstance(obj, dict) or key not in obj:
            return True
        obj = obj[key]
    return obj not in ({}, [])


def _with_parents(paths: Iterable[Path]) -> set[Path]:
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def _owned(values: dict[Path, Any]) -> dict[Path, Any]:
    return {
        path: value
        for path, value in values.items()
        if path and path not in _UNOWNED and path[1:2] != (_NEVER,)
    }


def _set_paths(entry: _Entry, paths: set[Path], now: str) -> None:
    if paths != entry.paths:
        entry.paths, entry.time = paths, now


def _own(owners: _Owners, manager: Manager, paths: set[Path], now: str, *, keep: bool) -> None:
    entry = owners.setdefault(manager.identity, _Entry(manager, set(), now))
    entry.manager = manager
    _set_paths(entry, entry.paths | paths if keep else paths, now)


def _read(managed: list[dict[str, Any]] | None) -> _Owners:
    owners: _Owners = {}
    for item in managed or ():
        if not item.get("fieldsV1"):
            continue
        manager = Manager(
            item.get("manager", ""),
            item.get("operation", UPDATE),
            item.get("apiVersion", ""),
            item.get("subresource", ""),
        )
        entry = owners.setdefault(manager.identity, _Entry(manager, set(), item.get("time", "")))
        entry.paths |= from_fields_v1(item["fieldsV1"])
    return owners


def _write(owners: _Owners) -> list[dict[str, Any]]:
    written = []
    for entry in owners.values():
        if not entry.paths:
            continue
        item = {
            "manager": entry.manager.name,
            "operation": entry.manager.operation,
            "apiVersion": entry.manager.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(entry.paths),
        }
        if entry.manager.subresource:
            item["subresource"] = entry.manager.subresource
        written.append(item)
    return written
