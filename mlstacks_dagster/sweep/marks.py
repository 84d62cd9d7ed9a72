"""Ownership marks: the tags by which we recognise what is ours. Pure functions.

Keys and values are legal as AWS tags and as Google labels. All values but
``mlstacks-expires`` stay the same from deploy to deploy, else each plan would show a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

__all__ = [
    "COMPONENT",
    "DATA",
    "IDENTITY",
    "INSTALL",
    "PREFIX",
    "PROTECT",
    "STACK",
    "UNCHECKED_TAGS",
    "DataClass",
    "PlannedChange",
    "has_marks",
    "mark_value",
    "missing_marks",
    "ownership_marks",
    "same_owner",
]

PREFIX = "mlstacks-"
INSTALL = "mlstacks-install"
STACK = "mlstacks-stack"
COMPONENT = "mlstacks-component"
DATA = "mlstacks-data"
PROTECT = "mlstacks-protect"
IDENTITY = (INSTALL, STACK, COMPONENT)
"""The marks that together say whose a resource is."""

DataClass = Literal["none", "retain", "snapshot", "delete"]

UNCHECKED_TAGS: Mapping[str, str] = {
    "aws_autoscaling_group": "its tags are `tag` blocks with propagate_at_launch, not a map",
}
"""Types whose tags have a shape of their own, each with the reason why it isn't checked."""

_MAX_VALUE_LENGTH = 63
_ILLEGAL = re.compile(r"[^a-z0-9_-]")


class PlannedChange(Protocol):
    """One resource change of a plan, as ``terraform show -json`` tells it."""

    @property
    def address(self) -> str:
        """The resource's address in the configuration."""

    @property
    def type(self) -> str:
        """The resource type, such as ``aws_vpc``."""

    @property
    def actions(self) -> Sequence[str]:
        """Any of ``create``, ``update``, ``delete``, ``read``, ``no-op``."""

    @property
    def after(self) -> Mapping[str, Any] | None:
        """Planned values; a value that is not known yet has no key."""


def mark_value(text: str) -> str:
    """Return ``text`` as a mark's value: lower case ``[a-z0-9_-]``, at most 63 characters."""
    return _ILLEGAL.sub("-", text.lower())[:_MAX_VALUE_LENGTH]


def ownership_marks(
    install: str,
    stack_id: str,
    name: str,
    component: str,
    created: int,
    expires: int | None,
    data: DataClass = "none",
    protect: bool = False,
) -> dict[str, str]:
    """Return the marks of one unit's resources.

    ``component`` is the unit's name. ``created`` (the stack's creation) and ``expires`` (None:
    never) are Unix times in seconds; both come from the ledger so that a second deploy gives
    the same values.
    """
    return {
        INSTALL: mark_value(install),
        STACK: mark_value(stack_id),
        "mlstacks-name": mark_value(name),
        COMPONENT: mark_value(component),
        "mlstacks-created": str(int(created)),
        "mlstacks-expires": "never" if expires is None else str(int(expires)),
        DATA: mark_value(data),
        PROTECT: "true" if protect else "false",
    }


def has_marks(tags: Mapping[str, str]) -> bool:
    """Tell whether any tag is an ownership mark, of whoever."""
    return any(key.startswith(PREFIX) for key in tags)


def same_owner(
    tags: Mapping[str, str], marks: Mapping[str, str], keys: Iterable[str] = IDENTITY
) -> bool:
    """Tell whether ``tags`` carry the same, non-empty values as ``marks`` for all ``keys``."""
    return all(marks.get(key) and tags.get(key) == marks[key] for key in keys)


def missing_marks(changes: Iterable[PlannedChange], marks: Mapping[str, str]) -> list[str]:
    """Return one line for each resource that a plan would leave without its marks.

    Checked is what would be created or updated and can be tagged. All keys of ``marks`` must be
    there, those of :data:`IDENTITY` with the same value (a resource may have a data class or a
    protection of its own). Tags that aren't known yet count as missing.
    """
    lines = []
    for change in changes:
        if not {"create", "update"} & set(change.actions) or change.type in UNCHECKED_TAGS:
            continue
        tags = _planned_tags(change.after or {})
        if tags is None:
            continue
        lacking = [key for key in marks if key not in tags]
        wrong = [key for key in IDENTITY if key in tags and tags[key] != marks.get(key)]
        if lacking:
            lines.append(f"{change.address}: lacks {', '.join(lacking)}")
        if wrong:
            lines.append(f"{change.address}: another value in {', '.join(wrong)}")
    return lines


def _planned_tags(after: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the tags that will be set; None when the type has no map of tags."""
    for attribute in ("tags_all", "tags"):
        value = after.get(attribute)
        if isinstance(value, Mapping):
            return value
    return {} if "tags_all" in after or "tags" in after else None
