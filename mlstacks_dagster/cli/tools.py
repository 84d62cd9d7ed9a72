"""``tools``."""

from __future__ import annotations

import click

from mlstacks_dagster.cli.common import json_option, print_json

__all__ = ["command"]


@click.command("tools")
@json_option
def command(as_json: bool) -> None:
    """Show which Terraform would be used, and where it comes from."""
    from mlstacks_dagster.engines.tools import find_terraform
    from mlstacks_dagster.settings import Settings

    tool = find_terraform(Settings.load())
    version = ".".join(str(part) for part in tool.version)
    if as_json:
        print_json({"name": tool.name, "version": version, "source": tool.source})
        return
    click.echo(f"{tool.name} {version} ({tool.source})")
