"""``ui``."""

from __future__ import annotations

from dataclasses import replace

import click

__all__ = ["command"]


@click.command("ui")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65_535),
    default=3000,
    show_default=True,
    help="0: any free port.",
)
@click.option("--sandbox", is_flag=True, help="Stacks that are not deployed yet go to the sandbox.")
def command(port: int, sandbox: bool) -> None:
    """Run Dagster's UI on 127.0.0.1, guarded against other web pages; Ctrl-C ends it."""
    from mlstacks_dagster.cli.running import prepare_target
    from mlstacks_dagster.defs.ui import running_ui, serve_ui
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    prepare_target(settings, sandbox)
    running = running_ui(settings)
    if running is not None:
        click.echo(f"Dagster's UI runs already: {running}")
        return
    serve_ui(
        replace(settings, sandbox=sandbox or settings.sandbox),
        port,
        on_ready=lambda url: click.echo(f"Dagster's UI: {url}  (Ctrl-C ends it)"),
    )
