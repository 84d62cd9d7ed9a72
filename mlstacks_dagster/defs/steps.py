"""What every step has in common: reporting, and errors in Dagster's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.engines.wiring import Target
from mlstacks_dagster.errors import (
    CommandCancelledError,
    LeftoversError,
    MlstacksError,
    TransientCommandError,
)
from mlstacks_dagster.lifecycle.models import Progress, ResourceRow, StackEntry, UnitJob
from mlstacks_dagster.lifecycle.progress import ProgressFile

__all__ = [
    "MAX_RETRIES",
    "TAG_REPLAN",
    "TAG_TARGET",
    "StepReporter",
    "dagster_errors",
    "resource_table",
    "unit_job",
]

StepContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext

TAG_REPLAN = "mlstacks/replan"
TAG_TARGET = "mlstacks/target"
MAX_RETRIES = 3


class StepReporter:
    """Lines go to the step's stdout, milestones to the run's log, standings to a file."""

    def __init__(self, context: StepContext, site: Site) -> None:
        self._log = context.log
        path = site.settings.runs_dir / f"{context.run.run_id}.progress.jsonl"
        self._progress = ProgressFile(path)

    def line(self, text: str) -> None:
        """Print a line of a tool's output."""
        print(text, flush=True)

    def milestone(self, text: str) -> None:
        """Log an event."""
        self._log.info(text)

    def progress(self, progress: Progress) -> None:
        """Append a standing to the run's progress file."""
        self._progress.write(progress)


def unit_job(context: StepContext, entry: StackEntry, unit: str, site: Site) -> UnitJob:
    """Return the lifecycle's job for this step.

    Where a stack goes that isn't deployed yet is said by the run's tag, else by the settings.
    """
    if entry.plan is None:
        raise MlstacksError(f"stack {entry.name} has no plan")
    tags = context.run.tags
    target: Target = "sandbox" if site.settings.sandbox else "cloud"
    if tags.get(TAG_TARGET) in ("cloud", "sandbox"):
        target = "sandbox" if tags[TAG_TARGET] == "sandbox" else "cloud"
    return UnitJob(
        plan=entry.plan,
        unit=unit,
        run_id=context.run.run_id,
        replan=tags.get(TAG_REPLAN) == "true",
        target=entry.target or target,
    )


@contextmanager
def dagster_errors(context: StepContext, site: Site) -> Iterator[None]:
    """Turn our errors into Dagster's: only what may pass is tried again.

    Raises RetryRequested for a transient failure (up to ``MAX_RETRIES`` times, waiting longer
    each time), Failure without retries for all other errors of ours, and Dagster's interrupt
    when the tool was ended by a cancel.
    """
    try:
        yield
    except CommandCancelledError as error:
        context.log.info(str(error))
        raise dg.DagsterExecutionInterruptedError from None
    except TransientCommandError as error:
        if context.retry_number >= MAX_RETRIES:
            raise _failure(error) from None
        delay = site.retry_seconds * 2**context.retry_number
        context.log.warning(f"{error}\ntrying again in {delay:.0f} s")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=delay) from error
    except MlstacksError as error:
        raise _failure(error) from None


def resource_table(rows: tuple[ResourceRow, ...]) -> dg.TableMetadataValue:
    """Return resources as a table for the UI."""
    columns = [dg.TableColumn(name=n) for n in ("address", "type", "id")]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(data=row.model_dump()) for row in rows],
        schema=dg.TableSchema(columns=columns),
    )


def _failure(error: MlstacksError) -> dg.Failure:
    metadata: dict[str, Any] = {
        "error": type(error).__name__,
        "exit_code": error.exit_code,
        "remedy": error.remedy or "-",
    }
    if isinstance(error, LeftoversError):
        metadata["left"] = dg.MetadataValue.md(error.table)
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)
