"""``demo``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mlstacks_dagster.settings import Settings

__all__ = ["command"]

_EXAMPLE = "aws-quickstart"


@click.command("demo")
def command() -> None:
    """Deploy the quickstart example into the sandbox and show where to look."""
    from mlstacks_dagster.cli.deploy import deploy_file
    from mlstacks_dagster.cli.sandbox import ensure_started
    from mlstacks_dagster.settings import Settings, data_root

    settings = Settings.load()
    began = time.monotonic()
    click.echo(f"sandbox: emulated AWS and Kubernetes at {ensure_started(settings)}")
    _ensure_helm(settings)
    file = data_root() / "examples" / _EXAMPLE / "stack.yaml"
    entry = deploy_file(file, sandbox=True)
    _print_outputs(settings, entry.name)
    click.echo(f"\nDone in {time.monotonic() - began:.0f} s. Look around:\n")
    click.echo("  make ui                              Dagster's UI: the graph, the run, its logs")
    click.echo(f"  mlstacks-dagster status {entry.name}")
    click.echo('  eval "$(mlstacks-dagster sandbox env)"  then any AWS client')
    click.echo(f"  mlstacks-dagster destroy {entry.name}     take it down again")


def _ensure_helm(settings: Settings) -> None:
    from mlstacks_dagster.engines.helm_tools import find_helm, install_tools
    from mlstacks_dagster.errors import ToolNotFoundError

    try:
        find_helm(settings)
    except ToolNotFoundError:
        click.echo("helm: fetching it (38 MB, once)")
        install_tools(settings)


def _print_outputs(settings: Settings, name: str) -> None:
    from mlstacks_dagster.ledger.store import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        stack = ledger.live_stack(name)
        units = ledger.units(stack.stack_id) if stack else []
        click.echo("\nOutputs:")
        for unit in units:
            for key, value in sorted(unit.outputs.items()):
                text = str(value)
                click.echo(f"  {unit.unit}.{key} = {text if len(text) < 80 else text[:77] + '...'}")
