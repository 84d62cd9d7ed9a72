"""Following a log file that another process writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["LogTail"]

_CHUNK_BYTES = 1 << 20


class LogTail:
    """Hands the lines of ``path`` to ``on_line`` as they come; the file may not exist yet.

    With ``from_end``, what the file holds already is passed over.
    """

    def __init__(self, path: Path, on_line: Callable[[str], None], *, from_end: bool = False):
        self._path = path
        self._on_line = on_line
        self._from_end = from_end
        self._stream: BinaryIO | None = None
        self._rest = b""

    def poll(self) -> None:
        """Pass on the complete lines that were written since the last call."""
        stream = self._open()
        while stream is not None and (chunk := stream.read(_CHUNK_BYTES)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._emit(line)

    def finish(self) -> None:
        """Pass on everything that is left, a last line without its end included."""
        self.poll()
        if self._rest:
            rest, self._rest = self._rest, b""
            self._emit(rest)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> BinaryIO | None:
        if self._stream is None:
            try:
                self._stream = self._path.open("rb", buffering=0)
            except FileNotFoundError:
                return None
            if self._from_end:
                self._stream.seek(0, os.SEEK_END)
        return self._stream

    def _emit(self, line: bytes) -> None:
        self._on_line(line.rstrip(b"\r").decode(errors="replace"))
