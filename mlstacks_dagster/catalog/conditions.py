"""Evaluate the ``validation`` conditions of a module before Terraform does.

A condition is read once into nested lists, which the module cache keeps as JSON. Evaluated is
what our modules use of Terraform's language; whatever else a condition holds, or a value that
only Terraform would convert, is left to Terraform (:class:`CantSayError`).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from mlstacks_dagster.catalog.hcl import HclError, literal, parts, term, word

if TYPE_CHECKING:
    from mlstacks_dagster.catalog.hcl import Expression

__all__ = ["CantSayError", "Node", "holds", "read_condition", "variables_in"]

Node = list[Any]
"""A kind of node and what belongs to it: ``["call", "length", ["var", "tags"]]``."""

_Later = Callable[[], Any]

_LONGEST_TEXT = 4096  # Python's regular expressions take exponential time where Go's don't
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CLASS_OR_DOLLAR = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
_GO_ONLY = re.compile(r"\[\[?:|\\[pPQECzZ]|\(\?[^:]")
_OCTET_WITH_ZERO = re.compile(r"(^|\.)0\d")


class CantSayError(ValueError):
    """Only Terraform can evaluate this."""


class _FailsError(Exception):
    """Terraform would end with an error here; ``can`` and ``try`` ask for it."""


def holds(condition: Node, values: Mapping[str, Any]) -> bool:
    """Tell whether a condition holds for the variables' ``values``, converted to their types.

    Raises :class:`CantSayError` for what only Terraform can evaluate.
    """
    try:
        return _truth(_evaluate(condition, values, {}))
    except (_FailsError, RecursionError):
        raise CantSayError("not a condition for these values") from None


def variables_in(condition: Node) -> frozenset[str]:
    """Return the names of the input variables in a condition."""
    return frozenset(_names(condition))


def _names(node: object) -> Iterator[str]:
    if isinstance(node, list):
        if len(node) == 2 and node[0] == "var":
            yield node[1]
        elif not node or node[0] != "value":
            for inner in node:
                yield from _names(inner)


# Reading


def read_condition(expression: Expression) -> Node:
    """Return a condition as nested lists; raises :class:`HclError` for what isn't evaluated."""
    inner = term(expression)
    read = _READERS.get(inner.data)
    if read is not None:
        return read(inner)
    return ["value", literal(inner)]


def _unreadable(tree: Expression) -> HclError:
    return HclError("only Terraform can evaluate this", tree.meta.line)


def _read_attribute(tree: Expression) -> Node:
    base, attribute = parts(tree)
    inner = term(base)
    if inner.data != "identifier" or word(inner) != "var":
        raise _unreadable(tree)
    return ["var", word(parts(attribute)[0])]


def _read_call(tree: Expression) -> Node:
    name, *rest = parts(tree)
    if word(name) not in {*_FUNCTIONS, *_TRIALS} or len(rest) > 1:
        raise _unreadable(tree)
    if not rest:
        return ["call", word(name)]
    (arguments,) = rest
    if any(getattr(child, "type", "") == "ELLIPSIS" for child in arguments.children):
        raise _unreadable(tree)
    return ["call", word(name), *map(read_condition, parts(arguments))]


def _read_binary(tree: Expression) -> Node:
    left, right = parts(tree)
    operator, operand = parts(right)
    name = str(operator.children[0])
    if name not in _COMPARISONS and name not in ("&&", "||"):
        raise _unreadable(tree)
    return [name, read_condition(left), read_condition(operand)]


def _read_unary(tree: Expression) -> Node:
    if str(tree.children[0]) == "!":
        return ["!", read_condition(parts(tree)[0])]
    return ["value", literal(tree)]


def _read_index(tree: Expression) -> Node:
    base, index = parts(tree)
    if index.data != "braces_index":
        raise _unreadable(tree)
    return ["index", read_condition(base), read_condition(parts(index)[0])]


def _read_for(tree: Expression) -> Node:
    intro, body, *condition = parts(tree)
    *names, over = parts(intro)
    if len(names) != 1 or condition:
        raise _unreadable(tree)
    return ["for", word(names[0]), read_condition(over), read_condition(body)]


_READERS: dict[str, Callable[[Expression], Node]] = {
    "get_attr_expr_term": _read_attribute,
    "identifier": lambda tree: ["local", word(tree)],
    "function_call": _read_call,
    "binary_op": _read_binary,
    "unary_op": _read_unary,
    "conditional": lambda tree: ["if", *map(read_condition, parts(tree))],
    "index_expr_term": _read_index,
    "tuple": lambda tree: ["tuple", *map(read_condition, parts(tree))],
    "for_tuple_expr": _read_for,
}

# Evaluating


def _evaluate(node: Node, values: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
    kind, *rest = node
    if kind == "value":
        return rest[0]
    if kind in ("var", "local"):
        known = values if kind == "var" else local
        if rest[0] not in known:
            raise CantSayError(f"{rest[0]} isn't known yet")
        return known[rest[0]]
    if kind == "for":
        name, over, body = rest
        items = _items(_evaluate(over, values, local))
        return [_evaluate(body, values, {**local, name: item}) for item in items]
    if kind == "call" and rest[0] in _FUNCTIONS:
        return _called(rest[0], [_evaluate(inner, values, local) for inner in rest[1:]])
    if kind == "call":
        return _TRIALS[rest[0]](*(_later(inner, values, local) for inner in rest[1:]))
    return _OPERATORS[kind](*(_later(inner, values, local) for inner in rest))


def _later(node: Node, values: Mapping[str, Any], local: Mapping[str, Any]) -> _Later:
    return lambda: _evaluate(node, values, local)


def _called(name: str, arguments: list[Any]) -> Any:
    if None in arguments and name != "contains":
        raise _FailsError
    try:
        return _FUNCTIONS[name](*arguments)
    except TypeError:  # too many or too few
        raise _FailsError from None


def _compared(operator: str) -> Callable[[_Later, _Later], bool]:
    compare = _COMPARISONS[operator]
    if operator in ("==", "!="):
        return lambda left, right: compare(left(), right())
    return lambda left, right: compare(_number(left()), _number(right()))


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        raise CantSayError("lists and mappings are compared by Terraform")
    return bool(left == right)


def _can(wanted: _Later) -> bool:
    try:
        wanted()
    except _FailsError:
        return False
    return True


def _try(*attempts: _Later) -> Any:
    for attempt in attempts:
        try:
            return attempt()
        except _FailsError:
            continue
    raise _FailsError


def _at(base: _Later, index: _Later) -> Any:
    found, key = base(), index()
    if isinstance(found, list):
        key = _number(key)
        if key != math.floor(key) or not 0 <= key < len(found):
            raise _FailsError
        return found[int(key)]
    if isinstance(found, dict) and isinstance(key, str) and key in found:
        return found[key]
    raise _FailsError


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _FailsError if value is None else CantSayError("not a truth value")


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise _FailsError if value is None else CantSayError("not a number")


def _text(value: Any) -> str:
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return value
    raise CantSayError("not a text, or too long a one")


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    raise _FailsError if value is None else CantSayError("not a list")


def _length(value: Any) -> int:
    if isinstance(value, str) and not value.isascii():
        raise CantSayError("Terraform counts what people see as one letter")
    if isinstance(value, str | list | dict):
        return len(value)
    raise _FailsError


def _regex(pattern: Any, text: Any) -> Any:
    found = _compiled(_text(pattern)).search(_text(text))
    if found is None:
        raise _FailsError
    return list(found.groups()) or found[0]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    if _GO_ONLY.search(pattern):
        raise CantSayError("a regular expression of Go's kind")
    # Go's $ is the end of the text only, Python's also the place before a newline there.
    own = _CLASS_OR_DOLLAR.sub(lambda m: r"\Z" if m[0] == "$" else m[0], pattern)
    try:
        return re.compile(own, re.ASCII)
    except re.error:
        raise CantSayError("not a regular expression of Python's kind") from None


def _split(separator: Any, text: Any) -> list[str]:
    if not separator:
        raise CantSayError("split into letters")
    return _text(text).split(_text(separator))


def _tonumber(value: Any) -> float:
    if not isinstance(value, str):
        return _number(value)
    if not _NUMBER.fullmatch(value):
        raise _FailsError
    return float(value)


def _cidrhost(prefix: Any, number: Any) -> str:
    text, index = _text(prefix), _number(number)
    if _OCTET_WITH_ZERO.search(text):
        raise CantSayError("Terraform reads numbers with a leading zero")
    address, slash, length = text.partition("/")
    try:
        if not slash or not (length.isascii() and length.isdigit()):
            raise _FailsError
        return str(ipaddress.ip_network(f"{address}/{int(length)}", strict=False)[int(index)])
    except (ValueError, IndexError):
        raise _FailsError from None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}

_OPERATORS: dict[str, Callable[..., Any]] = {
    **{operator: _compared(operator) for operator in _COMPARISONS},
    "&&": lambda left, right: _truth(left()) and _truth(right()),
    "||": lambda left, right: _truth(left()) or _truth(right()),
    "!": lambda inner: not _truth(inner()),
    "if": lambda test, then, other: then() if _truth(test()) else other(),
    "index": _at,
    "tuple": lambda *items: [item() for item in items],
}

_TRIALS: dict[str, Callable[..., Any]] = {"can": _can, "try": _try}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "alltrue": lambda items: all(map(_truth, _items(items))),
    "anytrue": lambda items: any(map(_truth, _items(items))),
    "cidrhost": _cidrhost,
    "contains": lambda items, value: any(_equal(item, value) for item in _items(items)),
    "endswith": lambda text, end: _text(text).endswith(_text(end)),
    "floor": lambda number: math.floor(_number(number)),
    "length": _length,
    "regex": _regex,
    "split": _split,
    "startswith": lambda text, start: _text(text).startswith(_text(start)),
    "strcontains": lambda text, part: _text(part) in _text(text),
    "tonumber": _tonumber,
}
