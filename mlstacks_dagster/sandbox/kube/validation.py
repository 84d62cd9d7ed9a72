"""Checks an object against a schema, and says what kind of problem each one is.

Small on purpose: the keywords that the schemas of Kubernetes and of CRDs use, without following
CEL rules. It is faster than a general validator, and tells unknown fields from wrong types, which
the API answers differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .schemas import Node

__all__ = ["INVALID", "REQUIRED", "TYPE", "UNKNOWN", "Problem", "find_problems"]

INVALID = "invalid"
REQUIRED = "required"
TYPE = "type"
UNKNOWN = "unknown"

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong; ``kind`` is one of the constants here, ``field`` such as ``spec.a[0]``."""

    kind: str
    field: str
    message: str


def find_problems(obj: Any, node: Node | None, *, custom: bool = False) -> list[Problem]:
    """Return everything wrong in ``obj``.

    In custom resources (``custom``) a field that the schema doesn't name is unknown unless the
    schema keeps unknown ones; built-in schemas say it themselves.
    """
    return list(_check(obj, node, "", custom)) if node else []


def _check(obj: Any, node: Node, field: str, custom: bool) -> Iterator[Problem]:
    schema = node.target
    if obj is None:
        if not _nullable(schema, custom):
            yield Problem(TYPE, field, "Invalid value: null")
        return
    wanted = node.types
    if wanted and not any(_is(obj, name) for name in wanted):
        yield Problem(TYPE, field, f"Invalid value: {_shown(obj)}: must be of type {wanted[0]}")
        return
    yield from _check_value(obj, schema, field)
    if isinstance(obj, dict):
        yield from _check_fields(obj, node, field, custom)
    elif isinstance(obj, list) and node.items:
        for number, item in enumerate(obj):
            yield from _check(item, node.items, f"{field}[{number}]", custom)


def _check_fields(obj: dict[str, Any], node: Node, field: str, custom: bool) -> Iterator[Problem]:
    schema = node.target
    for name in schema.get("required", ()):
        if name not in obj:
            yield Problem(REQUIRED, _below(field, name), "Required value")
    for name, value in obj.items():
        child = node.child(name)
        if child is not None:
            # The metadata of a custom resource is Kubernetes' own.
            strict = custom and not (node.is_object and name == "metadata")
            yield from _check(value, child, _below(field, name), strict)
        elif not _allows(node, name, custom):
            yield Problem(UNKNOWN, _below(field, name), f'unknown field "{_below(field, name)}"')


def _allows(node: Node, name: str, custom: bool) -> bool:
    schema = node.target
    if node.is_object and name in ("apiVersion", "kind", "metadata"):
        return True
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return True
    extra = schema.get("additionalProperties")
    if extra is None:
        # A built-in map without properties, such as RawExtension, takes anything.
        return not custom and not schema.get("properties")
    return bool(extra)


def _nullable(schema: Mapping[str, Any], custom: bool) -> bool:
    if custom:
        # The API drops nulls from fields that aren't nullable, where they have no default.
        return True
    types = schema.get("type")
    return types is None or "null" in (types if isinstance(types, list) else [types])


def _is(obj: Any, name: str) -> bool:
    if isinstance(obj, bool) and name != "boolean":
        return False
    if isinstance(obj, float) and name == "integer":
        return obj.is_integer()
    return isinstance(obj, _PYTHON_TYPES[name])


def _check_value(obj: Any, schema: Mapping[str, Any], field: str) -> Iterator[Problem]:
    if "enum" in schema and obj not in schema["enum"]:
        allowed = ", ".join(f'"{value}"' for value in schema["enum"])
        yield Problem(
            INVALID, field, f"Unsupported value: {_shown(obj)}: supported values: {allowed}"
        )
    if isinstance(obj, str) and "pattern" in schema and not _matches(schema["pattern"], obj):
        yield Problem(
            INVALID, field, f"Invalid value: {_shown(obj)}: should match '{schema['pattern']}'"
        )
    for low, high, size, what in _limits(obj, schema):
        if (low is not None and size < low) or (high is not None and size > high):
            yield Problem(INVALID, field, f"Invalid value: {_shown(obj)}: {what} is out of range")


def _limits(obj: Any, schema: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any, str]]:
    if isinstance(obj, str):
        yield schema.get("minLength"), schema.get("maxLength"), len(obj), "length"
    elif isinstance(obj, list):
        yield schema.get("minItems"), schema.get("maxItems"), len(obj), "number of items"
    elif isinstance(obj, int | float) and not isinstance(obj, bool):
        yield schema.get("minimum"), schema.get("maximum"), obj, "value"


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # Go's syntax is not Python's; then nothing is said
        return True


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _shown(obj: Any) -> str:
    text = f'"{obj}"' if isinstance(obj, str) else str(obj)
    return text if len(text) < 80 else f"{text[:76]}..."
