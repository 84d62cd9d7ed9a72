"""Sweeps as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from mlstacks_dagster.cli.common import print_table
from mlstacks_dagster.sweep.inventory.report import entry_row
from mlstacks_dagster.sweep.inventory.times import duration

if TYPE_CHECKING:
    from mlstacks_dagster.sweep.inventory.model import Coverage, Scope
    from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
    from mlstacks_dagster.sweep.inventory.plan import PlanEntry, SweepPlan

__all__ = ["print_deletion", "print_plan"]

_SHOWN = 5
_GOING = ("WAVE", "TYPE", "ID", "REGION", "AGE", "USD/MONTH", "WHY IT IS OURS")
_STAYING = ("TYPE", "ID", "REGION", "AGE", "", "WHY IT STAYS")


def print_plan(plan: SweepPlan, approval: str) -> None:
    """Print what would go, what stays and why, what was not listed, and how to approve."""
    click.echo(f"{_place(plan.scope)}: {plan.verdict}")
    if plan.entries:
        price = f", about {plan.usd_per_month:.2f} USD a month" if plan.usd_per_month else ""
        click.echo(f"\n{len(plan.entries)} left over and provably ours{price}:\n")
        print_table(_GOING, [_going(entry, plan.made_at) for entry in plan.entries])
    if plan.others:
        click.echo(f"\n{len(plan.others)} left over, or perhaps, and not touched:\n")
        print_table(_STAYING, [_staying(entry, plan.made_at) for entry in plan.others])
    _print_unlisted(plan.unverified)
    if plan.refused:
        click.echo(f"\nThis plan can't be approved: {plan.refused}")
    elif plan.entries:
        click.echo(f"\nTo delete the {len(plan.entries)}, and nothing else:\n  {approval}")
    click.echo()


def print_deletion(report: DeleteReport) -> None:
    """Print what became of each thing; what is left comes first."""
    total, left = len(report.outcomes), report.left
    click.echo(
        f"{_place(report.scope)}: {total - len(left)} of {total} gone "
        f"after {duration(report.seconds)}\n"
    )
    rows = [
        _plain(
            outcome.outcome,
            outcome.entry.ref.type,
            outcome.entry.ref.id,
            outcome.entry.ref.region,
            outcome.why,
        )
        for outcome in sorted(report.outcomes, key=lambda outcome: outcome.done)
    ]
    if rows:
        print_table(("RESULT", "TYPE", "ID", "REGION", "WHY"), rows)
    _print_unlisted(report.unverified)
    if not report.complete:
        click.echo("\nlist again for what is left: mlstacks-dagster sweep", err=True)


def _going(entry: PlanEntry, now: float) -> Sequence[str]:
    row = entry_row(entry, now)
    wave = f"{entry.wave}" if entry.action == "delete" else f"{entry.wave} (waits)"
    price = f"{row.usd_per_month:.2f}" if row.usd_per_month else ""
    return _plain(wave, row.type, row.id, row.region, row.age, price, row.why_ours)


def _staying(entry: PlanEntry, now: float) -> Sequence[str]:
    row, verdict = entry_row(entry, now), entry.verdict
    return _plain(row.type, row.id, row.region, row.age, verdict.decision, verdict.reason)


def _print_unlisted(rows: Iterable[Coverage]) -> None:
    """Print what nothing is known of, a line for each type and reason."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        places.setdefault((row.type, row.status, row.why), []).append(row.region)
    if not places:
        return
    click.echo("\nNot listed, so nothing is known of:\n")
    lines = []
    for (kind, status, why), regions in places.items():
        more = f" and {len(regions) - _SHOWN} more" if len(regions) > _SHOWN else ""
        lines.append(_plain(kind, ", ".join(regions[:_SHOWN]) + more, status, why))
    print_table(("TYPE", "REGIONS", "", "WHY"), lines)


def _place(scope: Scope) -> str:
    alias = f" ({scope.alias})" if scope.alias else ""
    regions = f"{len(scope.regions)} region" + ("s" if len(scope.regions) != 1 else "")
    (where,) = _plain(f"{scope.provider} {scope.account}{alias}, {regions}")
    return where


def _plain(*texts: str) -> tuple[str, ...]:
    # Others wrote names and tags: no control character of theirs may reach the terminal.
    joined = (" ".join(text.split()) for text in texts)
    return tuple("".join(c if c.isprintable() else "?" for c in text) for text in joined)
