"""``demo``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mlstacks_dagster.settings import Settings

__all__ = ["command", "hints"]

_EXAMPLE = "aws-quickstart"


@click.command("demo")
def command() -> None:
    """Deploy the quickstart example into the sandbox and show where to look."""
    from mlstacks_dagster.cli.deploy import deploy_file
    from mlstacks_dagster.cli.sandbox import ensure_started
    from mlstacks_dagster.settings import Settings, data_root, process_environment

    settings = Settings.load()
    began = time.monotonic()
    click.echo(f"sandbox: emulated AWS and Kubernetes at {ensure_started(settings)}")
    _ensure_helm(settings)
    file = data_root() / "examples" / _EXAMPLE / "stack.yaml"
    entry = deploy_file(file, sandbox=True)
    _print_outputs(settings, entry.name)
    click.echo(f"\nDone in {time.monotonic() - began:.0f} s. Look around:\n")
    for line in hints(entry.name, sys.argv[0], process_environment()):
        click.echo(f"  {line}")


def hints(stack: str, called: str, environ: Mapping[str, str]) -> list[str]:
    """Return what to look at next, as commands that work where the demo was started.

    ``called`` is the path of this program, as its process was started.
    """
    program = Path(called).name
    if shutil.which(program, path=environ.get("PATH")) != str(Path(called).absolute()):
        program = shlex.quote(os.path.relpath(called))
    home = environ.get("MLSTACKS_HOME")
    lines = [f"export MLSTACKS_HOME={shlex.quote(str(Path(home).absolute()))}"] if home else []
    return [
        *lines,
        f"{program} ui --sandbox           # Dagster's UI: the graph, the run, its logs",
        f"{program} status {stack}",
        f'eval "$({program} sandbox env)"  # then any AWS client',
        f"{program} destroy {stack}     # take it down again",
    ]


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
