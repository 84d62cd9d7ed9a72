"""Check a YAML value against a Terraform type, before Terraform does.

Accepted is what Terraform would convert, save two readings of YAML that lose what was written:
``1.30`` (a number, so ``1.3``) and ``yes`` (a boolean, so ``true``) are no text unless quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from mlstacks_dagster.catalog.hcl import HclError, Token, tokens_of
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["TypeNode", "check_type", "parse_type", "type_from_tokens"]

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


def check_type(value: object, type_text: str) -> str | None:
    """Return why Terraform would refuse ``value`` for a variable of that type, or None.

    ``value`` is what YAML gave. Raises ``ValueError`` when ``type_text`` isn't a type.
    """
    return _check(value, parse_type(type_text))


@lru_cache(maxsize=1024)
def parse_type(text: str) -> TypeNode:
    """Parse a Terraform type expression; raises ``ValueError``."""
    return type_from_tokens(tokens_of(text))


def type_from_tokens(tokens: tuple[Token, ...]) -> TypeNode:
    """Parse the tokens of a Terraform type expression; raises ``ValueError``."""
    parser = _TypeParser(tokens)
    node = parser.type()
    parser.expect("")
    return node


class _TypeParser:
    def __init__(self, tokens: Iterable[Token]) -> None:
        self._all = [t for t in tokens if t.kind != "newline"]
        self._at = 0

    def _next(self) -> str:
        text = self._peek()
        self._at += 1
        return text

    def _peek(self) -> str:
        return self._all[self._at].text if self._at < len(self._all) else ""

    def expect(self, text: str) -> None:
        found = self._next()
        if found != text:
            words = f"not a Terraform type: expected {text or 'the end'!r}, found {found!r}"
            raise HclError(words, self._line())

    def _line(self) -> int:
        return self._all[min(self._at, len(self._all)) - 1].line if self._all else 1

    def type(self) -> TypeNode:
        word = self._next().strip('"')
        if word in _PRIMITIVES:
            return TypeNode(word)
        if word in _COLLECTIONS and self._peek() != "(":
            return TypeNode(word, (TypeNode("any"),))
        if word not in _COLLECTIONS | {"tuple", "object"}:
            raise HclError(f"{word!r} isn't a Terraform type", self._line())
        self.expect("(")
        if word in _COLLECTIONS:
            node = TypeNode(word, (self.type(),))
        elif word == "tuple":
            node = self._tuple()
        else:
            node = self._object()
        self.expect(")")
        return node

    def _tuple(self) -> TypeNode:
        self.expect("[")
        items: list[TypeNode] = []
        while self._peek() != "]":
            items.append(self.type())
            if self._peek() == ",":
                self._at += 1
        self.expect("]")
        return TypeNode("tuple", tuple(items))

    def _object(self) -> TypeNode:
        self.expect("{")
        names: list[str] = []
        items: list[TypeNode] = []
        optional: set[str] = set()
        while self._peek() != "}":
            names.append(self._next().strip('"'))
            self.expect("=")
            if self._peek() == "optional":
                self._at += 1
                optional.add(names[-1])
                items.append(self._optional())
            else:
                items.append(self.type())
            if self._peek() == ",":
                self._at += 1
        self.expect("}")
        return TypeNode("object", tuple(items), tuple(names), frozenset(optional))

    def _optional(self) -> TypeNode:
        self.expect("(")
        node = self.type()
        depth = 0
        while self._peek() and (depth or self._peek() != ")"):  # the default value
            word = self._next()
            depth += (word in "([{") - (word in ")]}")
        self.expect(")")
        return node


def _check(value: object, node: TypeNode) -> str | None:
    if value is None:
        return "has no value"
    return _CHECKS[node.kind](value, node)


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
        (f"item {i}", _check(v, t)) for i, (v, t) in enumerate(zip(value, types, strict=True), 1)
    )


def _map(value: object, node: TypeNode) -> str | None:
    if not isinstance(value, dict):
        return f"must be a mapping, not {_words(value)}"
    return _first((f"key {k}", _check(v, node.items[0])) for k, v in value.items())


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
        (name, _check(value[name], item))
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
