"""Field sets: which fields an object has, as server-side apply counts them.

A path is a tuple of elements: ``("f", name)`` a field, ``("k", ((key, value), ...))`` an item of
a list with keys, ``("v", json)`` a member of a set. FieldsV1 is its form in ``managedFields``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from .schemas import Node

__all__ = [
    "Element",
    "Path",
    "field_values",
    "from_fields_v1",
    "item_key",
    "path_text",
    "remove_path",
    "to_fields_v1",
]

Element = tuple[str, Any]
Path = tuple[Element, ...]

# The built-in schemas don't carry the defaults of list keys.
_KEY_DEFAULTS = {"protocol": "TCP"}
_SELF = "."


def field_values(obj: Any, node: Node | None) -> dict[Path, Any]:
    """Return each field of ``obj`` that can have an owner, with its value.

    An item of a list with keys is a field itself (value None), and so are its own fields.
    """
    return dict(_walk(obj, node, ()))


def _walk(obj: Any, node: Node | None, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(obj, dict) and obj and not (node and node.is_atomic_map):
        for name, value in obj.items():
            child = node.child(name) if node else None
            yield from _walk(value, child, (*path, ("f", name)))
    elif isinstance(obj, list) and node and node.list_keys and _all_dicts(obj):
        for item in obj:
            here = (*path, ("k", item_key(item, node.list_keys)))
            yield here, None
            yield from _walk(item, node.items, here)
    elif isinstance(obj, list) and node and node.is_set:
        for item in obj:
            yield (*path, ("v", json.dumps(item))), item
    else:
        yield path, obj


def _all_dicts(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def item_key(item: dict[str, Any], keys: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """Return what tells an item apart from the others of its list."""
    return tuple((key, item.get(key, _KEY_DEFAULTS.get(key))) for key in keys)


def remove_path(obj: Any, path: Path) -> None:
    """Remove a field from ``obj``, in place; what isn't there is left so."""
    for element in path[:-1]:
        obj = _step(obj, element)
        if obj is None:
            return
    kind, key = path[-1]
    if kind == "f" and isinstance(obj, dict):
        obj.pop(key, None)
    elif kind == "k" and isinstance(obj, list):
        names = tuple(name for name, _ in key)
        obj[:] = [item for item in obj if item_key(item, names) != key]
    elif kind == "v" and isinstance(obj, list):
        obj[:] = [item for item in obj if json.dumps(item) != key]


def _step(obj: Any, element: Element) -> Any:
    kind, key = element
    if kind == "f":
        return obj.get(key) if isinstance(obj, dict) else None
    if kind == "k" and isinstance(obj, list):
        names = tuple(name for name, _ in key)
        return next((item for item in obj if item_key(item, names) == key), None)
    return None


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """Return paths in the form of ``fieldsV1``."""
    root: dict[str, Any] = {}
    members = []
    for path in paths:
        here = root
        for element in path:
            here = here.setdefault(_element_text(element), {})
        members.append(here)
    for here in members:
        if here:
            here[_SELF] = {}
    return _sorted(root)


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _sorted(fields[name]) for name in sorted(fields)}


def from_fields_v1(fields: dict[str, Any]) -> set[Path]:
    """Return the paths of ``fieldsV1``; what can't be read is left out."""
    return set(_paths(fields, ()))


def _paths(fields: dict[str, Any], path: Path) -> Iterator[Path]:
    for text, below in fields.items():
        element = _element(text)
        if element is None:
            continue
        here = (*path, element)
        if not below or _SELF in below:
            yield here
        yield from _paths(below, here)


def _element_text(element: Element) -> str:
    kind, key = element
    if kind == "k":
        return "k:" + json.dumps(dict(key), separators=(",", ":"))
    return f"{kind}:{key}"


def _element(text: str) -> Element | None:
    kind, found, key = text.partition(":")
    if not found or kind not in ("f", "k", "v"):
        return None
    try:
        if kind == "k":
            return "k", tuple(sorted(json.loads(key).items()))
        return kind, json.dumps(json.loads(key)) if kind == "v" else key
    except ValueError:
        return None


def path_text(path: Path) -> str:
    """Return a path as Kubernetes prints it: ``.spec.containers[name="a"].image``."""
    parts = []
    for kind, key in path:
        if kind == "f":
            parts.append(f".{key}")
        elif kind == "k":
            parts.append("[" + ",".join(f"{name}={json.dumps(value)}" for name, value in key) + "]")
        else:
            parts.append(f"[={key}]")
    return "".join(parts)
