"""Real child processes: they are followed, stopped gracefully, outlive us, and are found again."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.process import Command, Patience, ProcessRunner
from mlstacks_dagster.engines.process_record import ProcessRecord, group_members, read_record
from mlstacks_dagster.errors import CommandCancelledError, CommandError, ToolNotFoundError

WAIT_SECONDS = 30.0

HELPER = """
import subprocess, sys
helper = subprocess.Popen([sys.executable, "-I", "-S", "-c",
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(300)"])
print("helper", helper.pid, flush=True)
"""
GRACEFUL = """
import pathlib, signal, sys, time
count = 0
def stop(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while not count:
    time.sleep(0.02)
time.sleep(0.4)
pathlib.Path("interrupts").write_text(str(count))
print("saved", flush=True)
"""
UNTIL_TOLD = GRACEFUL.replace(
    "time.sleep(0.4)",
    'pathlib.Path("hit").touch()\nwhile not pathlib.Path("go").exists():\n    time.sleep(0.02)',
)


def eventually(condition: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {WAIT_SECONDS:.0f} s")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A work folder; whatever a failed test left running in it is ended."""
    work = tmp_path / "work"
    work.mkdir()
    yield work
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(work):
                process.kill()
        except (psutil.Error, OSError):
            continue


def command(folder: Path, code: str, **more) -> Command:
    argv = (sys.executable, "-I", "-S", "-u", "-c", textwrap.dedent(code))
    return Command(
        argv=argv,
        cwd=folder,
        env={"PATH": os.defpath},
        log=folder / "logs" / "child.log",
        record=folder / "child.json",
        verb="apply",
        **more,
    )


class Starter:
    """A process of its own that runs a command and can be killed or interrupted."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        given = {"argv": list(command(folder, code).argv), "folder": str(folder)}
        driver = """
            import json, signal, sys
            from pathlib import Path
            from mlstacks_dagster.engines.process import Command, Patience, ProcessRunner
            # Shells start background jobs with this signal ignored, and children inherit that.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            given = json.loads(sys.argv[1])
            folder = Path(given["folder"])
            order = Command(tuple(given["argv"]), folder, {"PATH": "/usr/bin:/bin"},
                            folder / "logs" / "child.log", folder / "child.json", "apply")
            try:
                runner = ProcessRunner(patience=Patience(60, 5))
                code = runner.run(order, lambda line: print(line, flush=True))
                print("code", code, flush=True)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(driver), json.dumps(given)],
            stdout=(folder.parent / "starter.log").open("wb"),
            stderr=subprocess.STDOUT,
        )

    @property
    def said(self) -> str:
        return (self.folder.parent / "starter.log").read_text()

    def until(self, text: str) -> None:
        eventually(lambda: text in self.said, f"{text!r} from the starter")

    def record(self) -> ProcessRecord:
        def complete() -> ProcessRecord | None:
            record = read_record(self.folder / "child.json")
            return record if record and record.pid else None

        found = eventually(complete, "the record of a running child")
        assert isinstance(found, ProcessRecord)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_lines_and_exit_code_come_back(folder):
    lines: list[str] = []
    script = """
        import sys
        print('a')
        print('b', file=sys.stderr)
        print('c', end='')
        sys.exit(3)
    """
    code = ProcessRunner().run(command(folder, script), lines.append)
    assert (code, lines) == (3, ["a", "b", "c"])


def test_nothing_is_lost_of_a_long_output(folder):
    lines: list[str] = []
    ProcessRunner().run(command(folder, "for i in range(50000): print(i)"), lines.append)
    assert lines == [str(i) for i in range(50000)]


def test_the_environment_is_exactly_what_was_given_and_input_is_empty(folder):
    lines: list[str] = []
    code = """
        import os, sys
        print(sorted(set(os.environ) - {'LC_CTYPE'}))
        print(repr(sys.stdin.read()))
    """
    ProcessRunner().run(command(folder, code), lines.append)
    assert lines == ["['PATH']", "''"]


def test_the_log_is_private_and_what_the_child_makes_too(folder):
    ProcessRunner().run(command(folder, "open('state', 'w').close(); print('x')"), print)
    for path in (folder / "logs" / "child.log", folder / "state"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert (folder / "logs" / "child.log").read_text() == "x\n"


def test_the_record_tells_of_the_child_while_it_runs_and_is_gone_after(folder):
    seen: list[tuple[ProcessRecord | None, int]] = []

    def look(_line: str) -> None:
        path = folder / "child.json"
        seen.append((read_record(path), stat.S_IMODE(path.stat().st_mode)))

    ProcessRunner().run(
        command(folder, "import time; print('x', flush=True); time.sleep(0.3)"), look
    )
    record, mode = seen[0]
    assert record is not None
    assert (record.verb, mode) == ("apply", 0o600)
    assert record.pid is not None
    assert gone(record.pid)
    assert not (folder / "child.json").exists()


def test_the_child_leads_a_session_of_its_own(folder):
    lines: list[str] = []
    code = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    ProcessRunner().run(command(folder, code), lines.append)
    assert lines == ["True"]


def test_a_missing_program_is_said_and_leaves_no_record(folder):
    order = replace(command(folder, ""), argv=("/nowhere/terraform",))
    with pytest.raises(ToolNotFoundError, match="/nowhere/terraform"):
        ProcessRunner().run(order, print)
    assert not (folder / "child.json").exists()


class Stop(BaseException):
    """What Dagster raises on cancel is no Exception either."""


def interrupting(lines: list[str], on: str) -> Callable[[str], None]:
    def take(line: str) -> None:
        lines.append(line)
        if line == on:
            raise Stop

    return take


def test_on_an_interrupt_the_child_gets_one_sigint_finishes_and_is_heard(folder):
    lines: list[str] = []
    with pytest.raises(Stop):
        ProcessRunner().run(command(folder, GRACEFUL), interrupting(lines, "ready"))
    assert (folder / "interrupts").read_text() == "1"
    assert lines == ["ready", "saved"]
    assert not (folder / "child.json").exists(), "it ended by itself"


def test_helpers_live_until_the_program_has_finished_and_not_longer(folder):
    code = HELPER + GRACEFUL.replace(
        'print("saved"', "import os; os.kill(helper.pid, 0); print('saved', helper.poll()"
    )
    lines: list[str] = []
    with pytest.raises(Stop):
        ProcessRunner().run(command(folder, code), interrupting(lines, "ready"))
    assert lines[-1] == "saved None", "the helper was alive when the program saved its work"
    assert gone(int(lines[0].split()[1]))


def test_a_child_that_ends_leaving_helpers_is_cleaned_up_after(folder):
    lines: list[str] = []
    assert ProcessRunner().run(command(folder, HELPER), lines.append) == 0
    assert gone(int(lines[0].split()[1]))


@pytest.mark.parametrize("ignored", ["SIGINT", "SIGINT, signal.SIGTERM"])
def test_a_child_that_will_not_stop_is_killed_in_the_end(folder, ignored):
    code = f"""
        import signal, time
        for number in (signal.{ignored}):
            signal.signal(number, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(300)
    """.replace("(signal.SIGINT)", "(signal.SIGINT,)")
    pids: list[int] = []

    def stop(_line: str) -> None:
        record = read_record(folder / "child.json")
        assert record is not None
        assert record.pid is not None
        pids.append(record.pid)
        raise Stop

    with pytest.raises(Stop):
        ProcessRunner(patience=Patience(0.2, 0.2)).run(command(folder, code), stop)
    assert gone(pids[0])
    assert (folder / "child.json").exists(), "it did not end by itself: the next run must know"


def test_a_caller_in_a_thread_can_cancel(folder):
    cancelled = threading.Event()
    raised: list[BaseException] = []
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        cancelled.set()

    def work() -> None:
        try:
            ProcessRunner(cancelled=cancelled.is_set).run(command(folder, GRACEFUL), take)
        except CommandCancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT_SECONDS)
    assert len(raised) == 1
    assert lines == ["ready", "saved"]


def test_a_second_interrupt_does_not_cut_the_clean_up_short(folder):
    starter = Starter(folder, UNTIL_TOLD)
    starter.until("ready")
    starter.process.send_signal(signal.SIGINT)
    eventually(lambda: starter.record().interrupted, "the child's interrupt")
    starter.process.send_signal(signal.SIGINT)
    starter.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)  # to be hit by them; when it is slow, they hit it later
    (folder / "go").touch()
    starter.process.wait(WAIT_SECONDS)
    assert (folder / "interrupts").read_text() == "1"
    assert starter.said.split() == ["ready", "saved", "interrupted"]


def test_a_child_killed_by_a_signal_leaves_its_record_but_no_helper(folder):
    lines: list[str] = []
    code = HELPER + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert ProcessRunner().run(command(folder, code), lines.append) == -9
    assert gone(int(lines[0].split()[1]))
    settled = ProcessRunner().settle(folder / "child.json", print)
    assert (settled.found, settled.awaited, settled.forced) == (True, False, False)
    assert not (folder / "child.json").exists()


def test_a_child_outlives_its_killed_starter_and_is_interrupted_and_awaited(folder):
    starter = Starter(folder, GRACEFUL)
    starter.until("ready")
    record = starter.record()
    starter.kill()
    assert record.pid is not None
    assert not gone(record.pid)
    lines: list[str] = []
    settled = ProcessRunner().settle(folder / "child.json", lines.append)
    assert (settled.verb, settled.awaited, settled.forced) == ("apply", True, False)
    assert (folder / "interrupts").read_text() == "1"
    assert lines == ["saved"], "only what came after is new"
    assert gone(record.pid)


def test_an_orphan_that_was_interrupted_before_is_only_awaited(folder):
    starter = Starter(folder, UNTIL_TOLD)
    starter.until("ready")
    starter.process.send_signal(signal.SIGINT)
    # The record says so first: a starter that is killed between the two leaves a child without it.
    eventually((folder / "hit").exists, "the child's interrupt")
    assert starter.record().interrupted
    starter.kill()

    def tell_and_sleep(seconds: float) -> None:
        (folder / "go").touch()
        time.sleep(seconds)

    runner = ProcessRunner(sleep=tell_and_sleep)
    assert runner.settle(folder / "child.json", print).awaited
    assert (folder / "interrupts").read_text() == "1"


def test_an_orphan_that_will_not_stop_is_killed_in_the_end(folder):
    code = """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(300)
    """
    starter = Starter(folder, code)
    starter.until("ready")
    record = starter.record()
    starter.kill()
    runner = ProcessRunner(patience=Patience(0.2, 0.2))
    settled = runner.settle(folder / "child.json", print)
    assert settled.forced
    assert record.pid is not None
    assert gone(record.pid)


def test_helpers_of_a_dead_orphan_are_ended(folder):
    starter = Starter(folder, HELPER + "import time; time.sleep(300)")
    starter.until("helper")
    record = starter.record()
    helper = int(starter.said.split()[1])
    starter.kill()
    assert record.pid is not None
    os.kill(record.pid, signal.SIGKILL)
    eventually(lambda: gone(record.pid or 0), "the child's end")
    assert not gone(helper)
    settled = ProcessRunner().settle(folder / "child.json", print)
    assert settled.leftovers == (helper,)
    assert gone(helper)


def test_a_child_that_was_never_written_down_is_found_by_its_folder(folder):
    starter = Starter(folder, GRACEFUL)
    starter.until("ready")
    record = starter.record()
    starter.kill()
    replace(record, pid=None, created=None).save(folder / "child.json")
    assert ProcessRunner().settle(folder / "child.json", print).awaited
    assert record.pid is not None
    assert gone(record.pid)


def test_a_stranger_with_the_recorded_id_is_left_alone(folder):
    stranger = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(300)"], start_new_session=True
    )
    try:
        ProcessRecord(
            program="terraform",
            verb="apply",
            cwd=str(folder),
            log=str(folder / "log"),
            started=time.time() + 3600,
            pid=stranger.pid,
            created=time.time() + 3600,
        ).save(folder / "child.json")
        settled = ProcessRunner().settle(folder / "child.json", print)
        assert (settled.awaited, settled.leftovers) == (False, ())
        assert stranger.poll() is None
        assert group_members(stranger.pid, 0.0), "it is found by who asks for it rightly"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", [None, "", "[]", '{"pid": 1}'])
def test_without_a_readable_record_there_is_nothing_to_settle(folder, content):
    if content is not None:
        (folder / "child.json").write_text(content)
    assert not ProcessRunner().settle(folder / "child.json", print)
    assert not (folder / "child.json").exists()


def test_capture_returns_both_outputs_and_the_code(folder):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(2)"
    captured = ProcessRunner().capture(command(folder, code).argv, folder, {})
    assert (captured.returncode, captured.stdout, captured.stderr) == (2, "out\n", "err\n")


def test_capture_gives_up_in_the_end_and_leaves_nothing(folder):
    code = HELPER + "open('helper', 'w').write(str(helper.pid)); import time; time.sleep(300)"
    with pytest.raises(CommandError, match="no answer"):
        ProcessRunner().capture(command(folder, code).argv, folder, {}, timeout=2.0)
    eventually(lambda: gone(int((folder / "helper").read_text())), "the helper's end")
