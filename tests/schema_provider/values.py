"""Values as they travel, and what is planned and made up for the ones that only AWS knows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack

from tests.schema_provider.protocol import message

__all__ = ["UNKNOWN", "MadeUp", "decode", "encode", "fill", "plan_block"]

ACCOUNT = "123456789012"
Make = Callable[[str, Mapping[str, Any]], Any]


class _Unknown:
    """A value that is known only after the apply."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


def decode(value: Any) -> Any:
    """Return what a DynamicValue holds; an unknown value is UNKNOWN."""
    if value.msgpack:
        return msgpack.unpackb(
            value.msgpack, strict_map_key=False, ext_hook=lambda _code, _data: UNKNOWN
        )
    return json.loads(value.json or b"null")


def encode(value: Any) -> Any:
    """Return a DynamicValue that holds ``value``."""

    def unknown(item: object) -> msgpack.ExtType:
        if item is not UNKNOWN:
            raise TypeError(f"{item!r} has no place in a Terraform value")
        return msgpack.ExtType(0, b"\0")

    return message("DynamicValue")(msgpack=msgpack.packb(value, default=unknown))


def fill(
    block: Mapping[str, Any], value: Mapping[str, Any], empty: Any, make: Make
) -> dict[str, Any]:
    """Return ``value`` with each computed attribute that is ``empty`` set to what ``make`` makes.

    ``block`` is the value's schema; blocks inside of it are filled too.
    """
    filled = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        if filled[name] is empty and (attribute.get("computed") or empty is UNKNOWN):
            filled[name] = make(name, attribute)
    for name, nested in block.get("blocks", {}).items():
        inner = filled[name]
        if isinstance(inner, list):
            filled[name] = [fill(nested["block"], item, empty, make) for item in inner]
        elif isinstance(inner, dict):
            filled[name] = fill(nested["block"], inner, empty, make)
    return filled


def plan_block(
    block: Mapping[str, Any],
    proposed: Mapping[str, Any],
    region: str,
    default_tags: Mapping[str, str],
) -> dict[str, Any]:
    """Return the planned state of a resource: unknown where AWS will tell.

    As the provider does, ``default_tags`` are merged with the resource's own into ``tags_all``,
    and the region is the provider's unless the resource has one.
    """
    planned = fill(block, proposed, None, lambda _name, _attribute: UNKNOWN)
    if "region" in planned and planned["region"] is UNKNOWN:
        planned["region"] = region
    if "tags_all" in planned:
        own = planned["tags"]
        planned["tags_all"] = UNKNOWN if own is UNKNOWN else {**default_tags, **(own or {})}
    return planned


class MadeUp:
    """Makes up values that look like what AWS would give, no two of them alike."""

    def __init__(self, kind: str, region: str, number: int) -> None:
        self._kind = kind.removeprefix("aws_")
        self._region = region
        self._suffix = f"{number:08x}"

    def __call__(self, name: str, attribute: Mapping[str, Any]) -> Any:
        """Return a value for an attribute; an optional collection is empty."""
        return self.of_type(name, attribute["type"], empty=attribute.get("optional", False))

    def of_type(self, name: str, kind: Any, *, empty: bool = False) -> Any:
        """Return a value of a cty type."""
        if isinstance(kind, str):
            return {"string": self._text(name), "number": 1, "bool": False}[kind]
        shape, inner = kind
        if shape == "object":
            return {key: self.of_type(key, value) for key, value in inner.items()}
        if empty or shape == "map":
            return {} if shape == "map" else []
        return [self.of_type(name, inner)]

    def _text(self, name: str) -> str:
        if name == "arn" or name.endswith("_arn"):
            return f"arn:aws:{self._kind}:{self._region}:{ACCOUNT}:{name}/{self._suffix}"
        if name in ("url", "issuer", "endpoint"):
            return f"https://{self._suffix}.{name}.{self._region}.amazonaws.com"
        if name == "data":
            return base64.b64encode(self._suffix.encode()).decode()
        if re.fullmatch(r"(.*_)?(date|at)", name):
            return "2026-01-01T00:00:00Z"
        return f"{self._kind.replace('_', '-')}-{name.replace('_', '-')}-{self._suffix}"
