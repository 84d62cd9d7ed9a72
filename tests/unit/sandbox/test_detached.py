"""Background processes: in a session of their own, and ended only by who knows them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.detached import created_at, end, is_running, start_detached

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(300)
"""


class Detached:
    """Starts processes and ends whatever the test leaves."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "out.log"
        self._folder = folder
        self._pids: list[int] = []

    def __call__(self, program: str, **env: str) -> int:
        argv = [sys.executable, "-c", program]
        pid = start_detached(argv, cwd=self._folder, env=env, log=self.log)
        self._pids.append(pid)
        return pid

    def wait_for(self, text: str) -> None:
        while text not in self.log.read_text():
            time.sleep(0.01)

    def close(self) -> None:
        for pid in self._pids:
            created = created_at(pid)
            if created is not None:
                end(pid, created, 0.1)


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[Detached]:
    made = Detached(tmp_path)
    yield made
    made.close()


def created(pid: int) -> float:
    found = created_at(pid)
    assert found is not None
    return found


def test_it_has_a_session_of_its_own_and_no_input(detached: Detached) -> None:
    pid = detached("import sys, time; print(repr(sys.stdin.read()), flush=True); time.sleep(300)")
    detached.wait_for("''")
    assert os.getsid(pid) == pid


def test_both_outputs_go_to_a_log_that_only_the_owner_reads(
    detached: Detached, tmp_path: Path
) -> None:
    detached.log.write_text("of an earlier run")
    detached.log.chmod(0o644)
    detached("import sys; print('one'); print('two', file=sys.stderr)")
    detached.wait_for("one")
    detached.wait_for("two")
    assert "earlier" not in detached.log.read_text()
    assert stat.S_IMODE(detached.log.stat().st_mode) == 0o600


def test_the_environment_is_what_was_given(detached: Detached) -> None:
    detached("import os; print(sorted(n for n in os.environ if n != 'LC_CTYPE'))", ONLY="this")
    detached.wait_for("['ONLY']")


def test_a_program_that_isnt_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start_detached(["/nowhere/program"], cwd=tmp_path, env={}, log=tmp_path / "log")


def test_end_asks_first(detached: Detached) -> None:
    pid = detached(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit()))\n"
        "print('ready', flush=True)\n"
        "time.sleep(300)"
    )
    detached.wait_for("ready")
    assert end(pid, created(pid), 30)
    assert "bye" in detached.log.read_text()
    assert created_at(pid) is None
    assert not psutil.pid_exists(pid)


def test_end_kills_what_doesnt_listen(detached: Detached) -> None:
    pid = detached(DEAF)
    detached.wait_for("ready")
    assert end(pid, created(pid), 0.2)
    assert not psutil.pid_exists(pid)


def test_end_leaves_a_process_of_another_time_alone() -> None:
    stranger = subprocess.Popen(["sleep", "300"])
    try:
        assert not end(stranger.pid, created(stranger.pid) - 60, 0.1)
        assert not is_running(stranger.pid, created(stranger.pid) - 60)
        assert is_running(stranger.pid, created(stranger.pid))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_has_ended_is_gone_though_nobody_waited_for_it(detached: Detached) -> None:
    pid = detached("pass")
    while created_at(pid) is not None:
        time.sleep(0.01)
    assert not end(pid, 0.0, 0.1)
