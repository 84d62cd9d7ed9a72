"""Label and field selectors of lists, watches and workloads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import bad_request

__all__ = ["Selector", "label_selector_of", "parse_selectors"]

Labels = Mapping[str, str]
_Term = Callable[[Labels], bool]

_BETWEEN_TERMS = re.compile(r",(?![^()]*\))")
_SET_TERM = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALS_TERM = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<word>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS_TERM = re.compile(r"^(?P<word>!?)\s*(?P<key>[^\s!=,()]+)$")
_FIELD_TERM = re.compile(r"^(?P<path>[\w.\[\]/-]+)(?P<word>==|=|!=)(?P<value>[^,]*)$")


class Selector:
    """Says of an object whether it is selected."""

    def __init__(self, labels: list[_Term], fields: list[tuple[str, bool, str]]) -> None:
        self._labels = labels
        self._fields = fields

    def __call__(self, obj: Mapping[str, Any]) -> bool:
        """Return whether ``obj`` is selected."""
        labels = obj["metadata"].get("labels") or {}
        return all(term(labels) for term in self._labels) and all(
            (_value_at(obj, path) == value) == equal for path, equal, value in self._fields
        )


def parse_selectors(labels: str | None, fields: str | None) -> Selector:
    """Parse the two selectors of a request; raises :class:`ApiError` on a malformed one."""
    return Selector(_label_terms(labels or ""), _field_terms(fields or ""))


def label_selector_of(selector: Mapping[str, Any] | None) -> Callable[[Labels], bool]:
    """Return the predicate of a ``LabelSelector`` object; an empty one selects everything."""
    selector = selector or {}
    terms = [_equals(k, v) for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        terms.append(_expression(expression))
    return lambda labels: all(term(labels) for term in terms)


def _expression(expression: Mapping[str, Any]) -> _Term:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case _:
            return lambda labels: key not in labels


def _label_terms(text: str) -> list[_Term]:
    return [_label_term(term.strip()) for term in _BETWEEN_TERMS.split(text) if term.strip()]


def _label_term(text: str) -> _Term:
    if found := _SET_TERM.match(text):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["word"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALS_TERM.match(text):
        equals = _equals(found["key"], found["value"])
        return equals if found["word"] != "!=" else lambda labels: not equals(labels)
    if found := _EXISTS_TERM.match(text):
        key, absent = found["key"], bool(found["word"])
        return lambda labels: (key in labels) != absent
    raise bad_request(f"unable to parse requirement: {text!r} is not a label selector")


def _equals(key: str, value: str) -> _Term:
    return lambda labels: labels.get(key) == value


def _field_terms(text: str) -> list[tuple[str, bool, str]]:
    terms = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _FIELD_TERM.match(part)
        if found is None:
            raise bad_request(f"invalid selector: {part!r} is not a field selector")
        terms.append((found["path"], found["word"] != "!=", found["value"]))
    return terms


def _value_at(obj: Any, path: str) -> str:
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None else str(obj)
