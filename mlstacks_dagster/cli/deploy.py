"""``deploy -f FILE``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlstacks_dagster.cli.common import file_option, json_option, only_option, select_units
from mlstacks_dagster.errors import RefusedError

if TYPE_CHECKING:
    from mlstacks_dagster.lifecycle.models import StackEntry
    from mlstacks_dagster.settings import Settings

__all__ = ["command", "deploy_file"]


@click.command("deploy")
@file_option
@click.option("--sandbox", is_flag=True, help="Deploy into the emulated AWS on this machine.")
@only_option
@click.option(
    "--replan", is_flag=True, help="Plan every unit, also those whose inputs are the same."
)
@json_option
def command(file: Path, sandbox: bool, only: tuple[str, ...], replan: bool, as_json: bool) -> None:
    """Deploy a stack: a Dagster run, one step a unit, in parallel where the order allows.

    Run it again after any failure: it goes on where it stopped.
    """
    deploy_file(file, sandbox=sandbox, only=only, replan=replan, as_json=as_json)


def deploy_file(
    file: Path,
    *,
    sandbox: bool,
    only: tuple[str, ...] = (),
    replan: bool = False,
    as_json: bool = False,
) -> StackEntry:
    """Deploy the stack of ``file`` and print what was done; exits with 1 when the run failed."""
    from mlstacks_dagster.catalog.loading import load_plan
    from mlstacks_dagster.cli.running import prepare_target, run_and_report
    from mlstacks_dagster.defs.requests import LaunchRequest
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.lifecycle.due import refuse_ended
    from mlstacks_dagster.lifecycle.snapshot import stack_entry
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    plan = load_plan(file, settings)
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    emulated = sandbox or settings.sandbox
    with Ledger.open(settings.ledger_url) as ledger:
        _check_target(stack_entry(plan, ledger, settings), emulated)
        prepare_target(settings, sandbox)
        entry = stack_entry(plan, ledger, settings)
        refuse_ended(plan, ledger.live_stack(plan.stack), time.time())
    units = select_units(entry.plan, only)
    if units is None and entry.plan is not None:
        units = tuple(u.name for u in entry.plan.units if u.name not in entry.retired)
    request = LaunchRequest(
        kind="deploy",
        entry=entry,
        units=units,
        target="sandbox" if emulated else "cloud",
        replan=replan,
    )
    run_and_report(request, settings, as_json=as_json)
    if not as_json:
        _print_after(entry, settings, emulated)
    return entry


def _check_target(entry: StackEntry, sandbox: bool) -> None:
    wanted = "sandbox" if sandbox else "cloud"
    if entry.target is not None and entry.target != wanted:
        flag = "add --sandbox" if entry.target == "sandbox" else "leave out --sandbox"
        raise RefusedError(
            f"stack {entry.name} is deployed in the {entry.target}",
            remedy=f"{flag}, or destroy it first, or choose another name",
        )


def _print_after(entry: StackEntry, settings: Settings, sandbox: bool) -> None:
    from mlstacks_dagster.lifecycle.export import export_path

    if entry.retired:
        click.echo(
            f"\nstill deployed but no longer in the stack file: {', '.join(entry.retired)}"
            f"\n  -> mlstacks-dagster destroy {entry.name} --only {entry.retired[0]}"
        )
    click.echo(f"\nZenML stack file: {export_path(settings, entry.name)}")
    if sandbox:
        click.echo("Everything above lives in the sandbox: an emulated AWS, nothing is billed.")
