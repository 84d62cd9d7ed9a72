"""What was read in Terraform modules, kept in files so that each module is parsed once.

A file that can't be read is as good as none, and one that can't be written is left out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlstacks_dagster.files import write_private

__all__ = ["keep", "kept"]

_LIMIT = 1000


def kept(folder: Path, name: str) -> bytes | None:
    """Return what :func:`keep` was given under ``name``, None when it isn't there."""
    try:
        return (folder / name).read_bytes()
    except OSError:
        return None


def keep(folder: Path, name: str, content: bytes, *, limit: int = _LIMIT) -> None:
    """Keep ``content`` in ``folder / name``, for its owner only; written whole or not at all.

    Of more than ``limit`` files, those written first are removed.
    """
    with suppress(OSError):
        write_private(folder / name, content)
        _remove_oldest(folder, limit)


def _remove_oldest(folder: Path, limit: int) -> None:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in files[limit:]:
        path.unlink(missing_ok=True)
