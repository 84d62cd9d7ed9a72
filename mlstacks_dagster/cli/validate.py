"""``validate -f FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from mlstacks_dagster.cli.common import file_option, json_option, print_json

__all__ = ["command"]


@click.command("validate")
@file_option
@json_option
def command(file: Path, as_json: bool) -> None:
    """Check a stack file, its component files, and every value in them.

    Nothing is changed and no cloud is asked. Exit code 2 when something is wrong.
    """
    from mlstacks_dagster.catalog.loading import load_plan
    from mlstacks_dagster.settings import Settings

    plan = load_plan(file, Settings.load())
    if as_json:
        print_json(
            {"stack": plan.stack, "units": [u.name for u in plan.units], "warnings": plan.warnings}
        )
        return
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{plan.stack}: valid, {len(plan.units)} units")
