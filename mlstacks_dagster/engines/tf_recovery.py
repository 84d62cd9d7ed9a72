"""Telling a state lock that our killed command left from a lock that somebody holds.

A lock in a bucket outlives its holder. Ours, and safe to release, is only one that carries our
name and was taken while a command of this very work folder ran that we know to be dead.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from contextlib import suppress
from pathlib import Path

from mlstacks_dagster.engines.process import Settled
from mlstacks_dagster.engines.tf_state import LockInfo
from mlstacks_dagster.files import write_private

__all__ = ["Crashes", "is_ours", "whoami"]

_SLACK_SECONDS = 2.0


def whoami() -> str:
    """Return our name as Terraform writes it into a lock: ``user@host``."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class Crashes:
    """The commands of a work folder that were cut off since the last good one."""

    def __init__(self, work_dir: Path) -> None:
        self._path = work_dir / "crash.json"

    def note(self, settled: Settled) -> None:
        """Remember a command that was cut off."""
        spans = [*self.spans(), (settled.started, settled.at)]
        with suppress(OSError):
            write_private(self._path, json.dumps(spans).encode())

    def spans(self) -> list[tuple[float, float]]:
        """Return start and latest possible end of each, in Unix seconds."""
        try:
            return [(float(a), float(b)) for a, b in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def forget(self) -> None:
        """Forget them: a later command got the lock."""
        self._path.unlink(missing_ok=True)


def is_ours(crashes: Crashes, lock: LockInfo, who: str) -> bool:
    """Tell whether ``lock`` was taken by one of the commands that were cut off."""
    return lock.who == who and any(
        start - _SLACK_SECONDS <= lock.created <= end + _SLACK_SECONDS
        for start, end in crashes.spans()
    )
