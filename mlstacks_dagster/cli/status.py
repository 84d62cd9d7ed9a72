"""``status [NAME]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlstacks_dagster.cli.common import json_option, print_json, print_table
from mlstacks_dagster.errors import InputError, MlstacksError

if TYPE_CHECKING:
    from mlstacks_dagster.ledger.records import StackRecord
    from mlstacks_dagster.ledger.store import Ledger

__all__ = ["command"]


@click.command("status")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Show the deployed stacks, or one stack's units, as the ledger knows them."""
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.settings import Settings

    with Ledger.open(Settings.load().ledger_url) as ledger:
        stacks = [s for s in ledger.stacks() if name in (None, s.name)]
        if name is not None and not stacks:
            raise InputError(f"stack {name} is not deployed", remedy="see: mlstacks-dagster status")
        found = [_describe(stack, ledger) for stack in stacks]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("nothing is deployed")
    elif name is None:
        print_table(
            ("STACK", "WHERE", "REGION", "UNITS", "RESOURCES", "EXPIRES"),
            [
                (s["name"], s["target"], s["region"], s["summary"], s["resources"], s["expires"])
                for s in found
            ],
        )
    else:
        _print_units(found[0])
    for stack in found:
        if stack["problem"]:
            click.echo(f"\n{stack['problem']}", err=True)


def _describe(stack: StackRecord, ledger: Ledger) -> dict[str, Any]:
    from mlstacks_dagster.lifecycle.due import moment

    units = ledger.units(stack.stack_id)
    applied = sum(u.status == "applied" for u in units)
    total, problem = _planned_units(stack)
    return {
        "name": stack.name,
        "stack_id": stack.stack_id,
        "target": stack.target,
        "region": stack.region,
        "expires": moment(stack.expires_at) if stack.expires_at else "never",
        "protect": stack.protect,
        "summary": f"{applied}/{total} applied",
        "problem": problem,
        "resources": sum(u.resource_count for u in units),
        "units": [
            {
                "unit": u.unit,
                "status": u.status,
                "resources": u.resource_count,
                "drifted": u.drifted,
                "since": moment(u.applied_at or u.created_at),
                "run_id": u.run_id,
            }
            for u in units
        ],
    }


def _planned_units(stack: StackRecord) -> tuple[str, str]:
    """Return how many units the stack has; for a record that can't be read, why not."""
    try:
        return str(len(stack.plan.units)), ""
    except MlstacksError as error:
        return "?", str(error)


def _print_units(stack: dict[str, Any]) -> None:
    where = f"{stack['target']}, {stack['region']}"
    click.echo(f"{stack['name']} ({stack['stack_id']}) in the {where}; expires: {stack['expires']}")
    print_table(
        ("UNIT", "STATUS", "RESOURCES", "SINCE", "RUN"),
        [
            (
                u["unit"],
                u["status"] + (" (drifted)" if u["drifted"] else ""),
                u["resources"],
                u["since"],
                u["run_id"],
            )
            for u in stack["units"]
        ],
    )
