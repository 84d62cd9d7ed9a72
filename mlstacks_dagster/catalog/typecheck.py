"""Check a YAML value against a Terraform type, before Terraform does.

Accepted is what Terraform would convert, save two readings of YAML that lose what was written:
``1.30`` (a number, so ``1.3``) and ``yes`` (a boolean, so ``true``) are no text unless quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlstacks_dagster.catalog.hcl import HclError, object_items, parts, term, word
from mlstacks_dagster.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from mlstacks_dagster.catalog.hcl import Expression

__all__ = ["TypeNode", "check_type", "converted", "read_type"]

_PRIMITIVES = frozenset({"string", "number", "bool", "any"})
_COLLECTIONS = frozenset({"list", "set", "map"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOLS = frozenset({"true", "false", "1", "0"})


@dataclass(frozen=True)
class TypeNode:
    """A Terraform type.

    ``kind`` is string, number, bool, any, list, set, map, object or tuple; ``items`` are the
    types inside; ``names`` the attributes of an object, ``optional`` those that may be absent.
    """

    kind: str
    items: tuple[TypeNode, ...] = ()
    names: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if self.kind == "object":
            return f"object({{ {', '.join(map(self._attribute, self.names, self.items))} }})"
        if self.kind == "tuple":
            return f"tuple([{', '.join(map(str, self.items))}])"
        return f"{self.kind}({self.items[0]})" if self.items else self.kind

    def _attribute(self, name: str, item: TypeNode) -> str:
        return f"{name} = optional({item})" if name in self.optional else f"{name} = {item}"


def check_type(value: object, kind: TypeNode) -> str | None:
    """Return why Terraform would refuse ``value`` for a variable of type ``kind``, or None.

    ``value`` is what YAML gave.
    """
    if value is None:
        return "has no value"
    return _CHECKS[kind.kind](value, kind)


def converted(value: Any, kind: TypeNode) -> Any:
    """Return ``value``, which :func:`check_type` takes, as Terraform has it in the variable."""
    if kind.kind == "string" and isinstance(value, int):
        return str(value)
    if kind.kind == "number" and isinstance(value, str):
        return float(value)
    if kind.kind == "bool" and isinstance(value, str):
        return value in ("true", "1")
    if kind.kind in ("list", "set") and isinstance(value, list):
        return [converted(item, kind.items[0]) for item in value]
    if kind.kind == "map" and isinstance(value, dict):
        return {key: converted(item, kind.items[0]) for key, item in value.items()}
    return value


def read_type(expression: Expression) -> TypeNode:
    """Return the Terraform type that an expression says; raises :class:`HclError`."""
    inner = term(expression)
    if inner.data == "function_call":
        name, arguments = _call(inner)
        if len(arguments) != 1:
            raise _no_type(inner)
        return _constructed(name, arguments[0])
    name = word(inner) if inner.data in ("identifier", "string") else ""
    if name in _PRIMITIVES:
        return TypeNode(name)
    if name in _COLLECTIONS:
        return TypeNode(name, (TypeNode("any"),))
    raise _no_type(inner, name)


def _constructed(name: str, argument: Expression) -> TypeNode:
    if name in _COLLECTIONS:
        return TypeNode(name, (read_type(argument),))
    inner = term(argument)
    if (name, inner.data) == ("tuple", "tuple"):
        return TypeNode("tuple", tuple(map(read_type, parts(inner))))
    if (name, inner.data) == ("object", "object"):
        return _object_type(inner)
    raise _no_type(inner, name)


def _object_type(tree: Expression) -> TypeNode:
    items: dict[str, TypeNode] = {}
    optional: set[str] = set()
    for name, value in object_items(tree):
        inner = term(value)
        if inner.data == "function_call":
            called, arguments = _call(inner)
            if called == "optional" and len(arguments) in (1, 2):
                optional.add(name)
                inner = arguments[0]
        items[name] = read_type(inner)
    return TypeNode("object", tuple(items.values()), tuple(items), frozenset(optional))


def _call(tree: Expression) -> tuple[str, list[Expression]]:
    name, *rest = parts(tree)
    return word(name), parts(rest[0]) if rest else []


def _no_type(tree: Expression, name: str = "") -> HclError:
    return HclError(
        f"{name!r} isn't a Terraform type" if name else "not a Terraform type", tree.meta.line
    )


def _any(_value: object, _node: TypeNode) -> None:
    return None


def _string(value: object, _node: TypeNode) -> str | None:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    if isinstance(value, dict | list):
        return f"must be text, not {_words(value)}"
    return f"must be text, but YAML reads {_words(value)} here; put it in quotes"


def _number(value: object, _node: TypeNode) -> str | None:
    if isinstance(value, bool):
        return f"must be a number, not {_words(value)}"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return None
    return f"must be a number, not {_words(value)}"


def _bool(value: object, _node: TypeNode) -> str | None:
    if isinstance(value, bool) or (isinstance(value, str) and value in _BOOLS):
        return None
    return f"must be true or false, not {_words(value)}"


def _sequence(value: object, node: TypeNode) -> str | None:
    if not isinstance(value, list):
        return f"must be a list, not {_words(value)}"
    types = node.items
    if node.kind == "tuple":
        if len(value) != len(types):
            return f"must have {len(types)} items, not {len(value)}"
    else:
        types = node.items * len(value)
    return _first(
        (f"item {i}", check_type(v, t))
        for i, (v, t) in enumerate(zip(value, types, strict=True), 1)
    )


def _map(value: object, node: TypeNode) -> str | None:
    if not isinstance(value, dict):
        return f"must be a mapping, not {_words(value)}"
    return _first((f"key {k}", check_type(v, node.items[0])) for k, v in value.items())


def _object(value: object, node: TypeNode) -> str | None:
    if not isinstance(value, dict):
        return f"must be a mapping, not {_words(value)}"
    for key in value:
        if key not in node.names:
            return f"has no attribute {key}; {did_you_mean(key, node.names)}".rstrip("; ")
    for name in node.names:
        if name not in value and name not in node.optional:
            return f"lacks the attribute {name}"
    return _first(
        (name, check_type(value[name], item))
        for name, item in zip(node.names, node.items, strict=True)
        if name in value and not (value[name] is None and name in node.optional)
    )


def _first(results: Iterable[tuple[str, str | None]]) -> str | None:
    return next((f"{where}: {why}" for where, why in results if why), None)


def _words(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"the date {value}"


_CHECKS: dict[str, Callable[[object, TypeNode], str | None]] = {
    "any": _any,
    "string": _string,
    "number": _number,
    "bool": _bool,
    "list": _sequence,
    "set": _sequence,
    "tuple": _sequence,
    "map": _map,
    "object": _object,
}
