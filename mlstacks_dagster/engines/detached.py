"""Background processes that outlive the command that started them.

A detached process has a session of its own, so that closing the terminal or interrupting the
command leaves it running. A process id alone proves nothing later, since ids are used again:
whoever ends a detached process also gives the time at which it was created.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["command_line", "created_at", "end", "is_running", "start_detached"]

# The kernel counts ticks since boot; a corrected clock moves the result by up to a second.
_CLOCK_TOLERANCE_SECONDS = 2.0

# Kept so that a child of ours that ends is reaped, however long we live.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start_detached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Start ``argv`` in a session of its own and return its process id.

    Standard input is empty; both outputs are written to ``log`` (mode 0600, emptied first).
    ``env`` is the whole environment of the process. Raises :class:`OSError` when the program
    can't be started or the log can't be written.
    """
    log.unlink(missing_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - argv is built by our own code
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
        )
    finally:
        os.close(handle)
    _children[child.pid] = child
    return child.pid


def created_at(pid: int) -> float | None:
    """Return when process ``pid`` was created (seconds since the epoch), None when it is gone."""
    process = _find(pid)
    try:
        return None if process is None else process.create_time()
    except psutil.NoSuchProcess:
        return None


def command_line(pid: int) -> list[str]:
    """Return the arguments of process ``pid``; empty when it is gone or not ours to read."""
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def is_running(pid: int, create_time: float) -> bool:
    """Say whether ``pid`` is still the process that was created at ``create_time``."""
    found = created_at(pid)
    return found is not None and abs(found - create_time) <= _CLOCK_TOLERANCE_SECONDS


def end(pid: int, create_time: float, grace_seconds: float) -> bool:
    """End the process ``pid`` if it is the one created at ``create_time``.

    It gets SIGTERM, ``grace_seconds`` to leave, then SIGKILL. Returns False when there is no
    such process any more; another process that got the same id is left alone.
    """
    process = _find(pid)
    if process is None or not is_running(pid, create_time):
        return False
    try:
        process.terminate()
        _wait(process, grace_seconds)
        if _find(pid) is not None and is_running(pid, create_time):
            process.kill()
            _wait(process, grace_seconds)
    except psutil.NoSuchProcess:
        pass
    _reap(pid)
    return True


def _find(pid: int) -> psutil.Process | None:
    _reap(pid)
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _wait(process: psutil.Process, seconds: float) -> None:
    child = _children.get(process.pid)
    try:
        if child is not None:
            child.wait(seconds)
        else:
            process.wait(seconds)
    except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
        pass
