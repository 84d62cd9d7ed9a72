"""The lock that keeps two runs from working on one stack at the same time.

Whoever launched it, the process of a run holds ``locks/<stack>.lock`` for each of its stacks,
and ``runs/<run id>.alive`` for itself. The kernel frees both when the process dies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.settings import Settings

__all__ = ["alive_path", "hold_run", "hold_stacks", "lock_path"]


def lock_path(settings: Settings, stack: str) -> Path:
    """Return the lock file of a stack."""
    return settings.locks_dir / f"{stack}.lock"


def alive_path(settings: Settings, run_id: str) -> Path:
    """Return the file that a run's process keeps locked while it lives."""
    return settings.runs_dir / f"{run_id}.alive"


@contextmanager
def hold_stacks(
    settings: Settings,
    stacks: Iterable[str],
    run_id: str,
    on_wait: Callable[[str, dict[str, str]], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the locks of all ``stacks``, taken in one order so that runs can't deadlock.

    ``on_wait`` is told once for each stack that is busy, and by whom. Raises StackBusyError
    after ``settings.lock_timeout`` seconds.
    """
    with ExitStack() as held:
        for stack in sorted(set(stacks)):
            held.enter_context(
                locks.hold(
                    lock_path(settings, stack),
                    _who(run_id),
                    timeout=settings.lock_timeout,
                    on_wait=lambda other, stack=stack: on_wait(stack, other),  # type: ignore[misc]
                    sleep=sleep,
                )
            )
        yield


@contextmanager
def hold_run(settings: Settings, run_id: str) -> Iterator[None]:
    """Show that the run's process lives; the file is removed at the end."""
    path = alive_path(settings, run_id)
    with locks.hold(path, _who(run_id), timeout=settings.lock_timeout):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _who(run_id: str) -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"run": run_id, "pid": str(os.getpid()), "since": now}
