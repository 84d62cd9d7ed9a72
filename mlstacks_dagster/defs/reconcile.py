"""Runs that a crash left open are closed, so that nothing waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from mlstacks_dagster.defs.stack_lock import alive_path
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.settings import Settings

__all__ = ["reconcile"]

_OPEN = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_GRACE_SECONDS = 120.0
_KEPT_SECONDS = 7 * 86400.0


def reconcile(
    instance: dg.DagsterInstance,
    settings: Settings,
    clock: Callable[[], float] = time.time,
) -> list[str]:
    """Close the runs whose process is gone; return their ids.

    The process of a run keeps a file locked, which the kernel frees when it dies. A run without
    that file may just be starting: it is left alone for two minutes.
    """
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_OPEN)):
        run = record.dagster_run
        path = alive_path(settings, run.run_id)
        young = clock() - record.update_timestamp.timestamp() < _GRACE_SECONDS
        if locks.is_held(path) or (young and not path.exists()):
            continue
        message = "The run's process is gone: it crashed or was killed. Run it again to finish."
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
        path.unlink(missing_ok=True)
        closed.append(run.run_id)
    _tidy(settings, clock())
    return closed


def _tidy(settings: Settings, now: float) -> None:
    """Remove files of runs that ended long ago without being able to."""
    for path in settings.runs_dir.glob("*"):
        try:
            if now - path.stat().st_mtime > _KEPT_SECONDS and not locks.is_held(path):
                path.unlink()
        except OSError:
            continue
