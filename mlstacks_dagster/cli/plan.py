"""``plan -f FILE``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlstacks_dagster.cli.common import file_option, json_option, print_json, print_table

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.models import StackEntry

__all__ = ["command"]


@click.command("plan")
@file_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """Show the units of a stack in the order of their deploy, and what it would do to each.

    No cloud is asked: "unchanged" means that a unit's inputs are those that were last applied,
    "change" that they aren't, "perhaps" that it takes outputs of a unit that changes. What
    exactly changes is in Terraform's own plan, which is made and shown by the deploy.
    """
    from mlstacks_dagster.catalog.loading import load_plan
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.lifecycle.preview import preview
    from mlstacks_dagster.lifecycle.snapshot import stack_entry
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    plan = load_plan(file, settings)
    with Ledger.open(settings.ledger_url) as ledger:
        entry = stack_entry(plan, ledger, settings)
        statuses: dict[str, str] = {}
        if entry.stack_id:
            statuses = {u.unit: u.status for u in ledger.units(entry.stack_id)}
        actions = preview(entry.plan, ledger, settings) if entry.plan else {}
    rows = _rows(entry, statuses, actions)
    if as_json:
        print_json({"stack": plan.stack, "units": rows, "warnings": plan.warnings})
        return
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    print_table(
        ("UNIT", "COMPONENT", "REGION", "AFTER", "NOW", "DEPLOY"),
        [
            (
                r["unit"],
                r["component"] or "(base)",
                r["region"],
                ", ".join(r["after"]),
                r["status"],
                r["deploy"],
            )
            for r in rows
        ],
    )


def _rows(
    entry: StackEntry, statuses: Mapping[str, str], actions: Mapping[str, str]
) -> list[dict[str, Any]]:
    units = entry.plan.units if entry.plan else ()
    return [
        {
            "unit": unit.name,
            "component": unit.component_name,
            "region": unit.region,
            "after": list(unit.depends_on),
            "settings": unit.variables,
            "status": "no longer in the file"
            if unit.name in entry.retired
            else statuses.get(unit.name, "not deployed"),
            "deploy": "stays" if unit.name in entry.retired else actions[unit.name],
        }
        for unit in units
    ]
