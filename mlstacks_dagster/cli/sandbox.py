"""``sandbox start | env | status | stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlstacks_dagster.cli.common import json_option, print_json
from mlstacks_dagster.errors import SandboxError

if TYPE_CHECKING:
    from mlstacks_dagster.settings import Settings

__all__ = ["command", "ensure_started"]


@click.group("sandbox")
def command() -> None:
    """Run the emulated AWS on this machine: loopback only, forgotten when it stops."""


@command.command("start")
@json_option
def start(as_json: bool) -> None:
    """Start the sandbox; a second start finds the first."""
    from mlstacks_dagster.settings import Settings

    endpoint = ensure_started(Settings.load())
    if as_json:
        print_json({"running": True, "endpoint": endpoint})
    else:
        click.echo(f"sandbox: emulated AWS at {endpoint}")


@command.command("env")
@click.option("--region", default="eu-north-1", show_default=True, help="AWS_REGION to export.")
def env(region: str) -> None:
    """Print shell exports, so that any AWS client can look into the sandbox.

    Use it as: eval "$(mlstacks-dagster sandbox env)"
    """
    from mlstacks_dagster.sandbox.service import shell_exports, status
    from mlstacks_dagster.settings import Settings

    state = status(Settings.load())
    if state is None:
        raise SandboxError(
            "the sandbox is not running", remedy="start it: mlstacks-dagster sandbox start"
        )
    click.echo(shell_exports(state, region), nl=False)


@command.command("status")
@json_option
def show(as_json: bool) -> None:
    """Tell whether the sandbox runs."""
    from mlstacks_dagster.sandbox.service import status
    from mlstacks_dagster.settings import Settings

    state = status(Settings.load())
    if as_json:
        print_json({"running": state is not None, "endpoint": state.endpoint if state else None})
    else:
        click.echo(f"running at {state.endpoint}" if state else "not running")


@command.command("stop")
@json_option
def stop(as_json: bool) -> None:
    """Stop the sandbox; what was deployed in it is gone with it."""
    from mlstacks_dagster.sandbox.service import status
    from mlstacks_dagster.sandbox.service import stop as stop_service
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    state = status(settings)
    if state is not None:
        stop_service(settings)
        _close_stacks(settings, keep=None)
    if as_json:
        print_json({"running": False, "endpoint": None})
    else:
        click.echo("not running" if state is None else "stopped")


def ensure_started(settings: Settings) -> str:
    """Start the sandbox if it doesn't run; close the stacks of an earlier one.

    Returns its endpoint's URL.
    """
    from mlstacks_dagster.sandbox.service import start as start_service

    state = start_service(settings)
    _close_stacks(settings, keep=state.instance_id)
    return str(state.endpoint)


def _close_stacks(settings: Settings, keep: str | None) -> None:
    from mlstacks_dagster.ledger.store import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        gone = [
            s
            for s in ledger.stacks()
            if s.target == "sandbox" and s.sandbox_id and s.sandbox_id != keep
        ]
        for sandbox_id in {s.sandbox_id for s in gone if s.sandbox_id}:
            ledger.abandon_sandbox(sandbox_id, "the sandbox was stopped")
        if gone:
            from mlstacks_dagster.lifecycle.sealed_files import forget_sealed

            forget_sealed(gone, ledger, settings)
    if gone:
        from mlstacks_dagster.defs.forget import forget

        for stack in gone:
            forget(stack.plan, settings, "the sandbox it lived in was stopped")
            click.echo(f"{stack.name}: gone with the sandbox", err=True)
