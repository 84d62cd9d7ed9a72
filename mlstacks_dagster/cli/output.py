"""``output FILE | NAME``."""

from __future__ import annotations

from pathlib import Path

import click

from mlstacks_dagster.cli.common import json_option, print_json
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.spec.suggest import nearest

__all__ = ["command"]


@click.command("output")
@click.argument("stack", required=False)
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The stack file.")
@click.option("-k", "--key", help="Only this output: UNIT.OUTPUT, or OUTPUT when it is unique.")
@click.option("--secret", help="Print a Kubernetes Secret of the stack, as JSON.")
@json_option
def command(
    stack: str | None, file: Path | None, key: str | None, secret: str | None, as_json: bool
) -> None:
    """Print what a deployed stack offers: bucket names, URIs, role ARNs.

    Sensitive outputs stay where they are and are not printed; `--secret mlflow-auth` reads the
    Secret of that name from the stack's cluster.
    """
    from mlstacks_dagster.cli.stacks import find_entry
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    entry = find_entry(settings, stack, file)
    if entry.stack_id is None:
        raise InputError(
            f"stack {entry.name} is not deployed", remedy="deploy it, then ask for its outputs"
        )
    if secret is not None:
        from mlstacks_dagster.lifecycle.passwords import stack_secret

        print_json(stack_secret(entry.name, secret, settings))
        return
    with Ledger.open(settings.ledger_url) as ledger:
        outputs = {
            f"{unit.unit}.{name}": value
            for unit in ledger.units(entry.stack_id)
            for name, value in sorted(unit.outputs.items())
        }
    if key is not None:
        value = _pick(outputs, key)
        if as_json or not isinstance(value, str):
            print_json(value)
        else:
            click.echo(value)
    elif as_json:
        print_json(outputs)
    else:
        for name, value in outputs.items():
            click.echo(f"{name} = {value}")


def _pick(outputs: dict[str, object], key: str) -> object:
    found = [name for name in outputs if name == key or name.split(".", 1)[1] == key]
    if len(found) == 1:
        return outputs[found[0]]
    if found:
        raise InputError(f"several units have an output {key}", remedy=f"one of {', '.join(found)}")
    close = nearest(key, {n.split(".", 1)[1] for n in outputs} | set(outputs))
    raise InputError(
        f"no deployed unit has an output {key}",
        remedy=f"did you mean {close}?" if close else "list them: mlstacks-dagster output NAME",
    )
