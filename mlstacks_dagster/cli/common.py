"""What several verbs share: options, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mlstacks_dagster.errors import InputError

__all__ = ["file_option", "json_option", "only_option", "print_json", "print_table", "select_units"]

F = TypeVar("F", bound=Callable[..., Any])


def file_option(function: F) -> F:
    """Add ``-f FILE``, the stack file."""
    return click.option(
        "-f",
        "--file",
        "file",
        required=True,
        type=click.Path(path_type=Path),
        help="The stack file.",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def only_option(function: F) -> F:
    """Add ``--only``, a component's name, its type, or a unit's name; may be repeated."""
    return click.option(
        "--only",
        "only",
        multiple=True,
        metavar="COMPONENT",
        help="Only this component (its name or type) or unit. May be repeated.",
    )(function)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a head, columns aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(r[i]) for r in [list(head), *cells]) for i in range(len(head))]
    for row in [list(head), *cells]:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def select_units(plan: Any, only: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of the units that ``only`` means, None for all.

    A word may be a unit's name, a component's name, or a component's type.
    Raises :class:`InputError` for a word that means nothing in this stack.
    """
    if not only:
        return None
    chosen: list[str] = []
    for word in only:
        found = [
            unit.name
            for unit in plan.units
            if word in (unit.name, unit.component_name)
            or (unit.definition.component and unit.definition.component.type == word)
        ]
        if not found:
            known = sorted({u.name for u in plan.units})
            raise InputError(
                f"stack {plan.stack} has no component or unit {word!r}",
                remedy=f"one of: {', '.join(known)}",
            )
        chosen.extend(found)
    return tuple(dict.fromkeys(chosen))
