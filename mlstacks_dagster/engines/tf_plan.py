"""What a saved plan would do, read from ``terraform show -json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.errors import CommandError

__all__ = ["PlanResult", "PlannedChange", "announced_changes", "parse_changes"]

_PathKey = str | int


@dataclass(frozen=True)
class PlannedChange:
    """One resource change of a plan.

    ``actions`` are Terraform's: ``create``, ``update``, ``delete``, ``read``, ``no-op``;
    ``after`` holds the planned values as far as they are known, secrets included;
    ``after_unknown`` marks what is known only after the apply; ``sensitive`` lists the paths
    of values that must not be shown.
    """

    address: str
    type: str
    name: str
    actions: tuple[str, ...]
    index: str | int | None = None
    mode: str = "managed"
    after: Mapping[str, Any] = field(default_factory=dict, repr=False)
    after_unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sensitive: tuple[tuple[_PathKey, ...], ...] = ()

    @property
    def is_create(self) -> bool:
        """True for a resource that does not exist yet (a replacement is none)."""
        return self.actions == ("create",)


@dataclass(frozen=True)
class PlanResult:
    """A plan's outcome; counts are Terraform's own summary, a replacement being one of each.

    ``planfile`` is the saved plan (0600), None when it was not kept. ``has_changes`` is also
    true when only outputs change.
    """

    has_changes: bool
    add: int = 0
    change: int = 0
    destroy: int = 0
    changes: tuple[PlannedChange, ...] = ()
    planfile: Path | None = None

    @property
    def total(self) -> int:
        """How many steps the apply is going to report."""
        return self.add + self.change + self.destroy


_ACTIONS = {"replace": ("delete", "create"), "remove": ("forget",)}


def announced_changes(items: Iterable[Mapping[str, Any]]) -> tuple[PlannedChange, ...]:
    """Return the changes that a plan announced in its output: no values, but no cost either.

    Reading a saved plan starts the provider again, for its schema.
    """
    return tuple(
        PlannedChange(
            address=resource["addr"],
            type=resource["resource_type"],
            name=resource["resource_name"],
            index=resource.get("resource_key"),
            mode="data" if resource["resource"].startswith("data.") else "managed",
            actions=_ACTIONS.get(item["action"], (item["action"],)),
        )
        for item in items
        if item.get("action") != "noop" and (resource := item.get("resource"))
    )


def parse_changes(text: str) -> tuple[PlannedChange, ...]:
    """Return the resource changes in the JSON of a plan; no-ops are left out.

    Raises :class:`CommandError` when the text isn't a plan.
    """
    try:
        changes = json.loads(text).get("resource_changes") or []
        parsed = tuple(_change(item) for item in changes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(
            f"terraform's description of the plan can't be read: {type(error).__name__}",
            remedy="see which Terraform is used: mlstacks-dagster tools",
        ) from None
    return tuple(change for change in parsed if change.actions != ("no-op",))


def _change(item: dict[str, Any]) -> PlannedChange:
    change = item["change"]
    unknown = change.get("after_unknown")
    return PlannedChange(
        address=item["address"],
        type=item["type"],
        name=item["name"],
        actions=tuple(change["actions"]),
        index=item.get("index"),
        mode=item.get("mode", "managed"),
        after=change.get("after") or {},
        after_unknown=unknown if isinstance(unknown, dict) else {},
        sensitive=tuple(_true_paths(change.get("after_sensitive"), ())),
    )


def _true_paths(value: Any, path: tuple[_PathKey, ...]) -> Iterator[tuple[_PathKey, ...]]:
    if value is True:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _true_paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _true_paths(inner, (*path, index))
