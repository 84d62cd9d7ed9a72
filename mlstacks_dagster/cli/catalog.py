"""``catalog``."""

from __future__ import annotations

from pathlib import Path

import click

from mlstacks_dagster.cli.common import json_option, print_json, print_table
from mlstacks_dagster.errors import InputError

__all__ = ["command"]


@click.command("catalog")
@json_option
@click.option(
    "--write",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write docs/catalog.md, docs/sweep-coverage.md and schemas/ under this folder.",
)
def command(as_json: bool, write: Path | None) -> None:
    """List every unit that can be deployed."""
    from mlstacks_dagster.catalog.discovery import load_catalog
    from mlstacks_dagster.settings import Settings

    catalog = load_catalog(Settings.load())
    if write is not None:
        from mlstacks_dagster.catalog.docs import write_generated
        from mlstacks_dagster.sweep.docs import COVERAGE_PAGE, coverage_page

        try:
            write_generated(write, {write / COVERAGE_PAGE: coverage_page()})
        except OSError as error:
            raise InputError(
                f"can't write under {write}: {(error.strerror or str(error)).lower()}",
                remedy="name a folder that you may write to",
            ) from error
        click.echo(f"wrote docs/catalog.md, {COVERAGE_PAGE} and schemas/ under {write}")
        return
    units = sorted(catalog.units, key=lambda u: (u.provider, u.component is not None, u.name))
    rows = [
        (
            unit.provider,
            unit.name,
            f"{unit.component.type}/{unit.component.flavor}" if unit.component else "(base)",
            unit.engine,
            ", ".join(r.capability for r in unit.requires if r.when is None),
        )
        for unit in units
    ]
    if as_json:
        print_json([unit.model_dump(mode="json") for unit in units])
        return
    print_table(("PROVIDER", "UNIT", "COMPONENT", "ENGINE", "NEEDS"), rows)
