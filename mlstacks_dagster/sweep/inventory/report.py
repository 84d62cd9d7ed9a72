"""Reports of sweeps: a table for people as Markdown, the same as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.sweep.inventory.model import Coverage, Scope
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport, EntryOutcome
from mlstacks_dagster.sweep.inventory.plan import PlanEntry, SweepPlan
from mlstacks_dagster.sweep.inventory.times import duration, moment

__all__ = [
    "COLUMNS",
    "Row",
    "as_text",
    "delete_json",
    "delete_markdown",
    "entry_row",
    "plan_json",
    "plan_markdown",
    "plan_rows",
    "table",
]

COLUMNS = ("Type", "Id", "Region", "What", "Why it is ours", "Used by", "Age", "USD/month")


class Row(BaseModel):
    """One line of a report; all texts but the price. ``age`` is for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    id: str
    region: str
    what: str
    why_ours: str
    used_by: str
    age: str
    usd_per_month: float

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the columns."""
        price = f"{self.usd_per_month:.2f}" if self.usd_per_month else ""
        return (
            self.type,
            self.id,
            self.region,
            self.what,
            self.why_ours,
            self.used_by,
            self.age,
            price,
        )


def entry_row(entry: PlanEntry, now: float, what: str = "") -> Row:
    """Return an entry as a row; ``what`` defaults to what is planned for it."""
    item, verdict = entry.item, entry.verdict
    planned = {"delete": f"delete in wave {entry.wave}", "wait": f"wait in wave {entry.wave}"}
    reason = f"{verdict.decision}: {verdict.reason}"
    why = "; ".join(verdict.evidence[:2]) or verdict.reason
    users = [str(user) for user in item.used_by]
    return Row(
        type=item.ref.type,
        id=item.ref.id + (f" ({item.name})" if item.name not in ("", item.ref.id) else ""),
        region=item.ref.region,
        what=what or planned.get(entry.action, reason),
        why_ours=f"{verdict.proof}: {why}" if verdict.proof else why,
        used_by=", ".join(users[:3]) + (f" and {len(users) - 3} more" if users[3:] else ""),
        age="" if item.created is None else duration(now - item.created),
        usd_per_month=entry.usd_per_month,
    )


def plan_rows(plan: SweepPlan) -> tuple[Row, ...]:
    """Return a row for each thing that would go, then for each that stays."""
    return tuple(entry_row(entry, plan.made_at) for entry in (*plan.entries, *plan.others))


def plan_markdown(plan: SweepPlan) -> str:
    """Return a plan as Markdown: the result, the table, what was not listed."""
    where = _where(plan.scope)
    lines = [f"## Sweep of {where}: {plan.verdict}", ""]
    if plan.entries:
        lines.append(
            f"{len(plan.entries)} things would be deleted, about {plan.usd_per_month:.2f} USD "
            f"a month. Plan `{plan.hash}`, made {moment(plan.made_at)}."
        )
    else:
        lines.append("Nothing would be deleted.")
    if plan.refused:
        lines += ["", f"**Refused:** {plan.refused}."]
    rows = plan_rows(plan)
    if rows:
        lines += ["", table(rows)]
    return "\n".join([*lines, *_unverified(plan.unverified), ""])


def plan_json(plan: SweepPlan) -> dict[str, Any]:
    """Return a plan as JSON values for programs, with its rows and without its raw items."""
    return {
        **_scope(plan.scope),
        "verdict": plan.verdict,
        "plan": plan.hash,
        "made_at": plan.made_at,
        "deletes": len(plan.entries),
        "usd_per_month": plan.usd_per_month,
        "refused": plan.refused,
        "counts": plan.counts,
        "delete": [entry_row(e, plan.made_at).model_dump() for e in plan.entries],
        "keep": [entry_row(e, plan.made_at).model_dump() for e in plan.others],
        "unverified": [row.model_dump() for row in plan.unverified],
    }


def delete_markdown(report: DeleteReport, now: float) -> str:
    """Return what a delete did as Markdown; what is left comes first."""
    left = report.left
    result = "complete" if report.complete else f"{len(left)} left"
    lines = [
        f"## Deletion in {_where(report.scope)}: {result}",
        "",
        f"Plan `{report.plan_hash}`: {len(report.outcomes) - len(left)} of "
        f"{len(report.outcomes)} things are gone, after {duration(report.seconds)}.",
    ]
    rows = [_outcome_row(outcome, now) for outcome in _left_first(report.outcomes)]
    if rows:
        lines += ["", table(rows)]
    return "\n".join([*lines, *_unverified(report.unverified), ""])


def delete_json(report: DeleteReport, now: float) -> dict[str, Any]:
    """Return what a delete did as JSON values for programs."""
    return {
        **_scope(report.scope),
        "plan": report.plan_hash,
        "complete": report.complete,
        "seconds": round(report.seconds, 1),
        "outcomes": [
            {
                **_outcome_row(outcome, now).model_dump(exclude={"what"}),
                "outcome": outcome.outcome,
                "why": outcome.why,
                "blockers": list(outcome.blockers),
            }
            for outcome in _left_first(report.outcomes)
        ],
        "unverified": [row.model_dump() for row in report.unverified],
    }


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row.cells()) + " |" for row in rows]
    return "\n".join(lines)


def as_text(values: dict[str, Any]) -> str:
    """Return JSON values as one line, the same for the same values."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _outcome_row(outcome: EntryOutcome, now: float) -> Row:
    what = outcome.outcome + (f": {outcome.why}" if outcome.why else "")
    row = entry_row(outcome.entry, now, what)
    return row.model_copy(update={"used_by": ", ".join(outcome.blockers[:3])})


def _left_first(outcomes: Iterable[EntryOutcome]) -> list[EntryOutcome]:
    return sorted(outcomes, key=lambda outcome: outcome.done)


def _unverified(rows: Sequence[Coverage]) -> list[str]:
    if not rows:
        return []
    lines = ["", "Not listed, so nothing is known of:", ""]
    return lines + [
        f"- {_cell(row.type)} in {_cell(row.region)}: {row.status}"
        + (f" ({_cell(row.why)})" if row.why else "")
        for row in rows
    ]


def _cell(text: str) -> str:
    # Names and tags are written by others: they must not end a cell or start HTML.
    text = " ".join(text.split())
    for char in "\\`*_[]|":
        text = text.replace(char, f"\\{char}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _where(scope: Scope) -> str:
    alias = f" ({_cell(scope.alias)})" if scope.alias else ""
    return f"{scope.provider} {_cell(scope.account)}{alias}"


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "provider": scope.provider,
        "account": scope.account,
        "alias": scope.alias,
        "regions": list(scope.regions),
    }
