"""The provider cache has one writer at a time, also after the writer's starter died."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from mlstacks_dagster.engines.child import start_process
from mlstacks_dagster.engines.tf_init import cache_lock

_HOLDER = """
import sys
from pathlib import Path
from mlstacks_dagster.engines.tf_init import cache_lock
with cache_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _takes_it(cache: Path) -> tuple[threading.Thread, threading.Event]:
    """Start to take the lock; the event is set once it is had."""
    had = threading.Event()

    def take() -> None:
        with cache_lock(cache):
            had.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread, had


def test_a_second_process_waits_until_the_first_is_done(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        thread, had = _takes_it(cache)
        assert not had.wait(0.5), "two had the cache at once"
        holder.stdin.close()
        assert had.wait(30)
        thread.join()


def test_an_init_whose_starter_is_gone_keeps_the_lock(tmp_path: Path) -> None:
    """The starter's death closes its descriptor; the child's copy still excludes others."""
    cache = tmp_path / "cache"
    with cache_lock(cache) as fds:
        child = start_process(
            (sys.executable, "-c", "import sys; sys.stdin.read()"),
            tmp_path,
            dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
        )
    thread, had = _takes_it(cache)
    assert not had.wait(0.5), "the cache was free while an init worked on it"
    assert child.stdin
    child.stdin.close()
    assert child.wait() == 0
    assert had.wait(30)
    thread.join()


def test_without_a_cache_there_is_nothing_to_wait_for() -> None:
    with cache_lock(None) as outer, cache_lock(None) as inner:
        assert outer == inner == ()


def test_the_cache_is_private(tmp_path: Path) -> None:
    with cache_lock(tmp_path / "cache"):
        assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
