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
    _make(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes | str, *, executable: bool = False) -> None:
    """Write ``content`` to ``path`` with mode 0600 (0700 when ``executable``).

    A missing folder is made with mode 0700. Readers see the old content or the new one, never a
    part; of two writers at the same time one wins. Raises :class:`OSError`.
    """
    data = content.encode() if isinstance(content, str) else content
    _make(path.parent)
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    mode = 0o700 if executable else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(temporary, "wb", opener=lambda p, _: os.open(p, flags, mode)) as stream:
            stream.write(data)
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


def _make(folder: Path) -> None:
    """Make what is missing of ``folder``, all of it for the owner only."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
