"""Locks between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlstacks_dagster.errors import StackBusyError
from mlstacks_dagster.lifecycle.locks import hold, holder, is_held

_HOLDER = """
import sys
from pathlib import Path
from mlstacks_dagster.lifecycle.locks import hold
with hold(Path(sys.argv[1]), {"run": "theirs", "pid": "7"}, timeout=60):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "demo.network.lock"


def test_a_lock_that_another_process_holds_is_not_given(path: Path) -> None:
    with (
        other_process(path),
        pytest.raises(StackBusyError, match=r"demo\.network is still in use after 0 s by: run the"),
        hold(path, {"run": "ours"}, timeout=0),
    ):
        pytest.fail("two processes hold the lock")


def test_waiting_is_told_once_with_the_holder_and_ends_when_the_holder_ends(path: Path) -> None:
    told, sleeps = [], []
    with other_process(path) as child:

        def sleep(seconds: float) -> None:
            sleeps.append(seconds)
            if len(sleeps) == 3:
                child.communicate("")

        with hold(path, {"run": "ours"}, timeout=60, on_wait=told.append, sleep=sleep):
            assert holder(path) == {"run": "ours"}
    assert told == [{"run": "theirs", "pid": "7"}]
    assert len(sleeps) >= 3


def test_the_kernel_frees_the_lock_of_a_killed_process(path: Path) -> None:
    with other_process(path) as child:
        assert holder(path) == {"run": "theirs", "pid": "7"}
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not is_held(path)
        with hold(path, {"run": "ours"}, timeout=0):
            assert is_held(path)


def test_the_time_to_wait_is_measured_by_the_clock(path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with (
        hold(path, {"run": "first"}, timeout=0),
        pytest.raises(StackBusyError, match="after 3 s by: run first"),
        hold(path, {"run": "second"}, timeout=3, sleep=sleep, clock=lambda: now[0]),
    ):
        pytest.fail("the lock was given twice")
    assert 3 <= now[0] < 4


def test_a_free_lock_is_given_without_a_wait(path: Path) -> None:
    def never(_: object) -> None:
        pytest.fail("waited")

    with hold(path, {"run": "ours"}, timeout=0, on_wait=never, sleep=never):
        pass
    assert not is_held(path)
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_an_error_inside_frees_the_lock(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold(path, {"run": "ours"}, timeout=0):
        raise KeyboardInterrupt
    assert holder(path) is None


def test_an_interrupted_wait_leaves_the_holder_in_place(path: Path) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with hold(path, {"run": "first"}, timeout=0):
        with (
            pytest.raises(KeyboardInterrupt),
            hold(path, {"run": "second"}, timeout=60, sleep=interrupt),
        ):
            pytest.fail("the lock was given twice")
        assert holder(path) == {"run": "first"}


def test_nobody_holds_a_lock_that_never_was(path: Path) -> None:
    assert holder(path) is None
    assert not path.exists()


def test_a_holder_that_has_not_said_who_it_is_is_unknown(path: Path) -> None:
    with hold(path, {"run": "first"}, timeout=0):
        path.write_text("{half")
        with (
            pytest.raises(StackBusyError, match="by: unknown"),
            hold(path, {"run": "second"}, timeout=0),
        ):
            pytest.fail("the lock was given twice")


def test_a_shorter_name_leaves_nothing_of_a_longer_one(path: Path) -> None:
    with hold(path, {"run": "a" * 500}, timeout=0):
        pass
    with hold(path, {"run": "b"}, timeout=0):
        assert holder(path) == {"run": "b"}
