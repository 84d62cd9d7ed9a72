"""``version``."""

from __future__ import annotations

import click

from mlstacks_dagster.cli.common import json_option, print_json
from mlstacks_dagster.version import __version__

__all__ = ["command"]


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        click.echo(__version__)
