"""A run's progress as a file of JSON lines: steps append, the command line follows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from mlstacks_dagster.lifecycle.models import Progress

__all__ = ["ProgressFile", "read_progress"]


class ProgressFile:
    """Appends to a progress file; several processes may do so at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: Progress | None = None

    def write(self, progress: Progress) -> None:
        """Append ``progress`` as one line; the same again is left out."""
        if progress == self._last:
            return
        self._last = progress
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, progress.model_dump_json().encode() + b"\n")
        finally:
            os.close(descriptor)


def read_progress(path: Path, offset: int = 0) -> tuple[list[Progress], int]:
    """Return the entries after byte ``offset`` and the offset to go on from.

    A line that isn't an entry (cut off by a full disk) is left out.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    entries = []
    for line in whole.splitlines():
        with suppress(ValidationError):
            entries.append(Progress.model_validate_json(line))
    return entries, offset + len(whole)
