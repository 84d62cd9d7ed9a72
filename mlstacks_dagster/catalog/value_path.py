"""Paths into chart values, as in ``helm --set``: ``a.b``, a dot inside a key written ``\\.``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ABSENT", "get_value", "set_value", "split_path"]

ABSENT = object()
"""What :func:`get_value` returns where there is nothing."""

_SEPARATOR = re.compile(r"(?<!\\)\.")


def split_path(path: str) -> tuple[str, ...]:
    """Return the keys of ``path``; raises ValueError for an empty key."""
    keys = tuple(part.replace("\\.", ".") for part in _SEPARATOR.split(path))
    if not all(keys):
        raise ValueError(f"{path!r} has an empty key")
    return keys


def get_value(values: Mapping[str, Any], path: str) -> Any:
    """Return the value at ``path``, :data:`ABSENT` when it isn't there."""
    found: Any = values
    for key in split_path(path):
        if not isinstance(found, Mapping) or key not in found:
            return ABSENT
        found = found[key]
    return found


def set_value(values: dict[str, Any], path: str, value: object) -> None:
    """Put ``value`` at ``path``, making the mappings on the way.

    Raises ValueError when something that is no mapping stands in the way.
    """
    *parents, last = split_path(path)
    place = values
    for key in parents:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise ValueError(f"{key} in {path} is no mapping")
    place[last] = value
