"""What several verbs share: options, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mlstacks_dagster.errors import InputError, Problem

__all__ = [
    "file_option",
    "json_option",
    "only_option",
    "print_errors",
    "print_json",
    "print_table",
    "select_units",
]

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
        help="Only this component (its name or type) or unit; unit:, name: or type: before it"
        " says which. May be repeated.",
    )(function)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


def print_errors(error: Exception) -> None:
    """Print an error as JSON: ``errors``, each with ``file``, ``line``, ``message``, ``remedy``."""
    problems = getattr(error, "problems", None) or (
        Problem(getattr(error, "message", str(error)), remedy=getattr(error, "remedy", "")),
    )
    print_json(
        {
            "errors": [
                {
                    "file": str(p.file) if p.file else None,
                    "line": p.line,
                    "message": p.message,
                    "remedy": p.remedy,
                }
                for p in problems
            ]
        }
    )


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a head, columns aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(r[i]) for r in [list(head), *cells]) for i in range(len(head))]
    for row in [list(head), *cells]:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def select_units(plan: Any, only: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of the units that ``only`` means, None for all.

    A word may be a unit's name, a component's name, or a component's type; ``unit:``, ``name:``
    or ``type:`` before it says which. Raises :class:`InputError` for a word that means nothing
    in this stack, or different units in different ways.
    """
    if not only:
        return None
    chosen: list[str] = []
    for word in only:
        meanings = _meanings(plan, word)
        if not meanings:
            known = sorted({u.name for u in plan.units})
            raise InputError(
                f"stack {plan.stack} has no component or unit {word!r}",
                remedy=f"one of: {', '.join(known)}",
            )
        if len(set(meanings.values())) > 1:
            ways = "; ".join(f"as a {way}: {', '.join(u)}" for way, u in meanings.items())
            raise InputError(
                f"{word!r} means different units of stack {plan.stack} ({ways})",
                remedy=f"write {' or '.join(f'{way}:{word}' for way in meanings)}",
            )
        chosen.extend(next(iter(meanings.values())))
    return tuple(dict.fromkeys(chosen))


def _meanings(plan: Any, word: str) -> dict[str, tuple[str, ...]]:
    """Return the units that ``word`` means, by the way in which it does."""
    way, colon, name = word.rpartition(":")
    found: dict[str, list[str]] = {"unit": [], "name": [], "type": []}
    for unit in plan.units:
        kind = unit.definition.component
        known = {"unit": unit.name, "name": unit.component_name, "type": kind and kind.type}
        for each, value in known.items():
            if value == name and (way == each or not colon):
                found[each].append(unit.name)
    return {each: tuple(units) for each, units in found.items() if units}
