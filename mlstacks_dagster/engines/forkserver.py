"""The server that step processes are forked from, started before it is needed.

Python starts it on first use and imports its modules then: seconds that can pass while the
command line itself is still importing Dagster.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing import forkserver

__all__ = ["warm"]


def warm(preload: Sequence[str]) -> None:
    """Start the fork server, which imports the modules ``preload``; a second call does nothing.

    It ends with this process.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    forkserver.ensure_running()
