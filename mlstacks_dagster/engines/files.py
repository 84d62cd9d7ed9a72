"""Private files: readable by their owner only, and replaced in one step."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlstacks_dagster.errors import MlstacksError

__all__ = ["disk_errors", "private_folder", "write_private"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


def private_folder(path: Path) -> Path:
    """Make ``path`` a folder with mode 0700 (missing parents likewise) and return it."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write ``content`` to ``path`` with mode 0600 (0700 when ``executable``).

    Readers see the old content or the new one, never a part. Raises :class:`OSError`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    mode = 0o700 if executable else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with open(temporary, "wb", opener=lambda p, _: os.open(p, flags, mode)) as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def disk_errors(folder: Path, doing: str) -> Iterator[None]:
    """Turn an :class:`OSError` of the block into a :class:`MlstacksError` with a remedy.

    ``doing`` completes the sentence "while ..."; the block must not have created anything in
    the cloud, since the message says so.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"no space left on the disk of {folder} while {doing}; nothing was created"
            remedy = "free some space or move MLSTACKS_HOME to another disk, then run again"
        else:
            where = error.filename or folder
            message = f"can't write {where} while {doing}: {error.strerror}; nothing was created"
            remedy = "check the folder and its owner, then run again"
        raise MlstacksError(message, remedy=remedy) from error
