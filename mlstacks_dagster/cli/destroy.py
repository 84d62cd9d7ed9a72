"""``destroy -f FILE | NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlstacks_dagster.cli.common import json_option, only_option, print_json, select_units
from mlstacks_dagster.errors import LedgerError, RefusedError

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.models import StackEntry

__all__ = ["command"]


@click.command("destroy")
@click.argument("name", required=False)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The stack file.")
@click.option("--sandbox", is_flag=True, help="Insist that the stack lives in the sandbox.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask for the stack's name.")
@only_option
@json_option
def command(
    name: str | None,
    file: Path | None,
    sandbox: bool,
    yes: bool,
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """Destroy a stack, named or given by its file, in reverse order.

    A stack whose file is gone can be destroyed by name. Without -y, the stack's name is asked
    for. Run it again after any failure: it goes on where it stopped.
    """
    from mlstacks_dagster.cli.running import run_and_report
    from mlstacks_dagster.cli.stacks import find_entry
    from mlstacks_dagster.defs.requests import LaunchRequest
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.lifecycle.destroy import refuse_protected
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    entry = find_entry(settings, name, file)
    if entry.stack_id is None:
        _say_nothing_to_do(entry, as_json)
        return
    if entry.plan is None:
        raise LedgerError("\n".join(entry.problems))
    if sandbox and entry.target != "sandbox":
        raise RefusedError(
            f"stack {entry.name} is deployed in the cloud, not in the sandbox",
            remedy="leave out --sandbox to destroy it there",
        )
    units = select_units(entry.plan, only)
    with Ledger.open(settings.ledger_url) as ledger:
        refuse_protected(ledger.stack(entry.stack_id))
    if not yes:
        _confirm(entry, units)
    request = LaunchRequest(
        kind="destroy", entry=entry, units=units, target=entry.target or "cloud", reason="manual"
    )
    run_and_report(request, settings, as_json=as_json)


def _say_nothing_to_do(entry: StackEntry, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": None, "success": True, "error": "", "units": {}})
    else:
        click.echo(f"{entry.name} is not deployed; nothing to destroy")


def _confirm(entry: StackEntry, units: tuple[str, ...] | None) -> None:
    what = ", ".join(units) if units else "everything"
    click.echo(
        f"This destroys {what} of stack {entry.name} in the {entry.target}, data included.",
        err=True,
    )
    typed = click.prompt("Type the stack's name to go on", default="", show_default=False, err=True)
    if typed != entry.name:
        raise RefusedError("not confirmed; nothing was destroyed")
