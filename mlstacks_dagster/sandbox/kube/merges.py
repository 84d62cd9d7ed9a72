"""The ways in which a patch changes an object: pure functions that return a new value."""

from __future__ import annotations

from typing import Any

from .fieldsets import item_key
from .schemas import Node

__all__ = ["merge_applied", "merge_patch", "strategic_merge"]

_DELETE_FROM_LIST = "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` with a JSON merge patch (RFC 7386) applied."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def merge_applied(live: Any, applied: Any, node: Node | None) -> Any:
    """Return ``live`` with what a manager applied laid over it (server-side apply)."""
    if isinstance(live, dict) and isinstance(applied, dict) and not (node and node.is_atomic_map):
        merged = dict(live)
        for name, value in applied.items():
            child = node.child(name) if node else None
            merged[name] = merge_applied(live[name], value, child) if name in live else value
        return merged
    if isinstance(live, list) and isinstance(applied, list) and node:
        if node.list_keys:
            return _merge_items(live, applied, node)
        if node.is_set:
            return live + [item for item in applied if item not in live]
    return applied


def _merge_items(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    merged = {item_key(item, node.list_keys): item for item in live}
    for item in applied:
        key = item_key(item, node.list_keys)
        merged[key] = merge_applied(merged[key], item, node.items) if key in merged else item
    return list(merged.values())


def strategic_merge(target: Any, patch: Any, node: Node | None) -> Any:
    """Return ``target`` with a strategic merge patch applied.

    ``$patch`` (replace, delete), ``$retainKeys`` and ``$deleteFromPrimitiveList`` are understood;
    ``$setElementOrder`` is not: new items come last.
    """
    if isinstance(patch, dict):
        return _merge_fields(target, patch, node)
    if isinstance(patch, list) and node and node.patch_merges:
        present = target if isinstance(target, list) else []
        if node.patch_key:
            return _patch_items(present, patch, node)
        return present + [item for item in patch if item not in present]
    return patch


def _merge_fields(target: Any, patch: dict[str, Any], node: Node | None) -> dict[str, Any]:
    plain = {name: value for name, value in patch.items() if not name.startswith("$")}
    match patch.get("$patch"):
        case "replace":
            return plain
        case "delete":
            return {}
    merged = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        merged = {name: value for name, value in merged.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith(_DELETE_FROM_LIST):
            listed = name.removeprefix(_DELETE_FROM_LIST)
            merged[listed] = [item for item in merged.get(listed) or () if item not in value]
    for name, value in plain.items():
        if value is None:
            merged.pop(name, None)
        else:
            child = node.child(name) if node else None
            merged[name] = strategic_merge(merged.get(name), value, child)
    return merged


def _patch_items(present: list[Any], patch: list[Any], node: Node) -> list[Any]:
    key = node.patch_key
    if any(item.get("$patch") == "replace" for item in patch):
        present = []
    merged = list(present)
    for item in patch:
        place = next((n for n, other in enumerate(merged) if other.get(key) == item.get(key)), None)
        match item.get("$patch"):
            case "replace":
                continue
            case "delete":
                merged = [other for other in merged if other.get(key) != item.get(key)]
            case _ if place is None:
                merged.append(strategic_merge({}, item, node.items))
            case _:
                merged[place] = strategic_merge(merged[place], item, node.items)
    return merged
