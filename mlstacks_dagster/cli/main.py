"""The ``mlstacks-dagster`` command.

Verbs are imported when they are called, so that ``--help`` and ``version`` answer at once.
Exit codes: 0 done, 1 failed, 2 bad input, 3 refused.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import click

from mlstacks_dagster.cli.common import print_errors
from mlstacks_dagster.errors import MlstacksError, RefusedError

__all__ = ["cli", "main"]

# verb: the help line that the overview shows without importing the verb
VERBS = {
    "validate": "Check a stack file and everything it names.",
    "plan": "Show the units of a stack, their order, and which of them a deploy would change.",
    "deploy": "Deploy a stack, or some of its components.",
    "destroy": "Destroy a stack, or some of its components.",
    "status": "Show what is deployed.",
    "output": "Print the outputs of a deployed stack.",
    "sweep": "List what destroyed stacks have left, and delete what you approve.",
    "catalog": "List what can be deployed.",
    "sandbox": "Start, stop or look into the emulated AWS on this machine.",
    "demo": "Deploy the quickstart example into the sandbox.",
    "ui": "Open Dagster's UI on this machine.",
    "tools": "Show which tools would be used, and where they come from.",
    "version": "Print the version.",
}

HIDDEN = ("kube-token",)  # called by Kubernetes clients, not by people


# A command makes many objects, few of them in cycles, and ends: looking for cycles as often as
# Python does took a tenth of a deploy's processor time here.
_OBJECTS_PER_COLLECTION = 50_000


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS and cmd_name not in HIDDEN:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"mlstacks_dagster.cli.{name}")
        return cast("click.Command", module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Deploy MLOps infrastructure with Terraform and Helm, and take it down without a trace."""


def main(argv: Sequence[str] | None = None, launcher: Callable[..., Any] | None = None) -> None:
    """Run the command; an error of ours becomes a message and an exit code.

    The message goes to stderr; with ``--json`` the error is on stdout as JSON, too.

    ``argv`` is what the process was called with; ``launcher`` takes the place of
    :func:`mlstacks_dagster.defs.launch.launch`.
    """
    if argv is None:
        gc.set_threshold(_OBJECTS_PER_COLLECTION)
    try:
        cli.main(argv, prog_name="mlstacks-dagster", standalone_mode=False, obj=launcher)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail(argv, RefusedError("aborted"), lambda: click.echo("aborted", err=True), 1)
    except click.ClickException as error:
        _fail(argv, MlstacksError(error.format_message()), error.show, error.exit_code)
    except MlstacksError as error:
        shown = str(error)
        _fail(argv, error, lambda: click.echo(f"error: {shown}", err=True), error.exit_code)


def _fail(
    argv: Sequence[str] | None, error: MlstacksError, show: Callable[[], None], code: int
) -> NoReturn:
    """Show an error to people, with ``--json`` to programs too, and exit."""
    show()
    if "--json" in (sys.argv[1:] if argv is None else argv):
        print_errors(error)
    sys.exit(code)
