"""What is written down about a running child, and how it is found again.

The record lets a later process find a command whose starter was killed. A process id alone
proves nothing, since the kernel reuses them; it counts only together with the time at which
the process was created.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from mlstacks_dagster.files import write_private

__all__ = ["ProcessRecord", "group_members", "is_alive", "read_record", "recorded_process"]

_CLOCK_SLACK_SECONDS = 1.0


@dataclass(frozen=True)
class ProcessRecord:
    """A child process; ``pid`` is None while it is being started.

    ``started`` and ``created`` are Unix times in seconds: when we set out to start it, and
    when the kernel says that it came to be. The process leads a session of its own, so
    ``pid`` is also the id of its process group.
    """

    program: str
    verb: str
    cwd: str
    log: str
    started: float
    pid: int | None = None
    created: float | None = None
    interrupted: bool = False

    def save(self, path: Path) -> None:
        """Write the record (0600), replacing an older one in one step."""
        write_private(path, json.dumps(asdict(self)).encode())

    def running_as(self, process: psutil.Process) -> ProcessRecord:
        """Return the record completed with the process that was started."""
        return replace(self, pid=process.pid, created=process.create_time())

    def marked_interrupted(self) -> ProcessRecord:
        """Return the record saying that the process got its one SIGINT."""
        return replace(self, interrupted=True)


def read_record(path: Path) -> ProcessRecord | None:
    """Return the record at ``path``; None when there is none or it can't be read."""
    try:
        return ProcessRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_alive(process: psutil.Process) -> bool:
    """Tell whether the process still does something; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def recorded_process(record: ProcessRecord) -> psutil.Process | None:
    """Return the live process that ``record`` speaks of, or None."""
    if record.pid is None:
        return _find_unrecorded(record)
    with suppress(psutil.Error):
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - (record.created or 0.0)) <= _CLOCK_SLACK_SECONDS
        if same and is_alive(process):
            return process
    return None


def group_members(pgid: int, since: float) -> list[psutil.Process]:
    """Return the live processes of group ``pgid`` that were created at ``since`` or later.

    ``since`` is a Unix time in seconds; older processes of a group of the same number are
    strangers.
    """
    return [p for p in _group(pgid) if p.create_time() >= since - _CLOCK_SLACK_SECONDS]


def _group(pgid: int) -> Iterator[psutil.Process]:
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getpgid(pid) == pgid:
                process = psutil.Process(pid)
                if is_alive(process):
                    yield process


def _find_unrecorded(record: ProcessRecord) -> psutil.Process | None:
    """Find a child whose starter died before it could write the child's id down."""
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getsid(pid) != pid:
                continue
            process = psutil.Process(pid)
            if (
                process.create_time() >= record.started - _CLOCK_SLACK_SECONDS
                and process.cwd() == record.cwd
                and process.cmdline()[:1] == [record.program]
                and is_alive(process)
            ):
                return process
    return None
