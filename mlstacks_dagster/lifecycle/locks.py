"""Advisory locks that the kernel frees when their holder dies.

A lock is a file under flock(2). The holder writes who it is into the file, so that whoever
waits can say for whom.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlstacks_dagster.errors import StackBusyError

__all__ = ["hold", "holder", "is_held"]

_POLL_SECONDS = 0.2


@contextmanager
def hold(
    path: Path,
    who: dict[str, str],
    *,
    timeout: float,
    on_wait: Callable[[dict[str, str]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the lock at ``path`` as ``who``; wait up to ``timeout`` seconds for it.

    ``on_wait`` is called once, with the present holder, when the lock isn't free at once.
    Raises :class:`StackBusyError` when the time is over. An interrupt ends the wait.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock() + timeout
        told = False
        while not _try(descriptor):
            if not told:
                told = True
                on_wait(_read(descriptor))
            if clock() >= deadline:
                other = ", ".join(f"{k} {v}" for k, v in _read(descriptor).items()) or "unknown"
                raise StackBusyError(
                    f"{path.stem} is still in use after {timeout:.0f} s by: {other}",
                    remedy="wait for that run, or cancel it in the UI",
                )
            sleep(_POLL_SECONDS)
        _write(descriptor, who)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> dict[str, str] | None:
    """Return who holds the lock now, or None when it is free."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor) else _read(descriptor)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Tell whether any process holds the lock."""
    return holder(path) is not None


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> dict[str, str]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()}


def _write(descriptor: int, who: dict[str, str]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(who).encode(), 0)
