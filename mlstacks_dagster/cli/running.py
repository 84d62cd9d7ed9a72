"""Launch a Dagster run from the command line and show how it goes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from mlstacks_dagster.cli.common import print_json, print_table

if TYPE_CHECKING:
    from mlstacks_dagster.defs.launch import LaunchResult
    from mlstacks_dagster.defs.requests import LaunchRequest
    from mlstacks_dagster.lifecycle.models import Progress
    from mlstacks_dagster.settings import Settings

__all__ = ["ProgressPrinter", "prepare_target", "run_and_report"]


class ProgressPrinter:
    """Prints a line when a unit enters a phase, and as its resources get done."""

    def __init__(self, units: Iterable[str] = ()) -> None:
        self._width = max((len(unit) for unit in units), default=26)
        self._shown: dict[str, tuple[str, int]] = {}

    def __call__(self, progress: Progress) -> None:
        """Print ``progress`` unless it says nothing new."""
        phase = progress.phase if progress.state == "working" else progress.state
        key = (phase, progress.done)
        if self._shown.get(progress.unit) == key:
            return
        self._shown[progress.unit] = key
        count = f"{progress.done}/{progress.total}" if progress.total else ""
        unit = f"{progress.unit:<{self._width}}"
        click.echo(f"{progress.seconds:7.1f}s  {unit} {phase:<24} {count}".rstrip(), err=True)


def prepare_target(settings: Settings, sandbox: bool) -> None:
    """Start the sandbox if it is wanted; close the stacks of one that is gone."""
    if not sandbox:
        return
    from mlstacks_dagster.cli.sandbox import ensure_started

    ensure_started(settings)


def run_and_report(request: LaunchRequest, settings: Settings, *, as_json: bool) -> LaunchResult:
    """Run ``request``, print progress to stderr and the units' ends to stdout.

    Exits with 1 when the run failed, with 3 when all that failed was refused.
    """
    from mlstacks_dagster.engines.forkserver import warm

    warm(["mlstacks_dagster.defs.preload"])
    from mlstacks_dagster.defs.launch import launch

    units = [unit.name for unit in request.entry.plan.units] if request.entry.plan else ()
    launcher = click.get_current_context().obj or launch
    result: LaunchResult = launcher(
        request,
        settings,
        on_progress=ProgressPrinter(request.units or units),
        on_log=lambda text: click.echo(text, err=True),
    )
    if as_json:
        print_json(
            {
                "run_id": result.run_id,
                "success": result.success,
                "error": result.error,
                "units": {
                    name: {"outcome": unit.outcome, "error": unit.error}
                    for name, unit in result.units.items()
                },
                **_verification(result),
            }
        )
    else:
        rows = [(name, unit.outcome) for name, unit in result.units.items()]
        if result.verified:
            rows.append(("(nothing left)", result.verified.outcome))
        print_table(("UNIT", "RESULT"), rows)
    parts = {**result.units, **({"verification": result.verified} if result.verified else {})}
    for name, unit in parts.items():
        if unit.error:
            click.echo(f"\n{name}: {unit.error}", err=True)
    if result.error:
        click.echo(f"\n{result.error}", err=True)
    if not result.success:
        word = "cancelled" if result.cancelled else "failed"
        click.echo(f"\nrun {result.run_id} {word}; run the same command again to go on", err=True)
        codes = {unit.exit_code for unit in parts.values() if unit.outcome == "failed"}
        sys.exit(3 if codes == {3} and not result.cancelled else 1)
    return result


def _verification(result: LaunchResult) -> dict[str, Any]:
    if result.verified is None:
        return {}
    return {"verified": {"outcome": result.verified.outcome, "error": result.verified.error}}
