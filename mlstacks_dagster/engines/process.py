"""Child processes that outlive us, stop gracefully, and are found again.

A command's output goes to a private log file which the runner follows, not to a pipe: when our
process is killed, a pipe without a reader would kill Terraform in turn, and the state of what
it was creating would be lost. So a child whose starter died goes on, and :meth:`settle` finds
it through its record, interrupts it once and waits for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mlstacks_dagster.engines.child import TICK_SECONDS, Child, end_group, start_process
from mlstacks_dagster.engines.log_tail import LogTail
from mlstacks_dagster.engines.process_record import (
    ProcessRecord,
    group_members,
    is_alive,
    read_record,
    recorded_process,
)
from mlstacks_dagster.engines.signals import shielded
from mlstacks_dagster.errors import CommandCancelledError, CommandError, CommandTimeoutError
from mlstacks_dagster.files import disk_errors, private_folder

__all__ = ["Captured", "Command", "OnLine", "Patience", "ProcessRunner", "Settled", "settle"]

OnLine = Callable[[str], None]

_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Command:
    """One program call. ``env`` is the whole environment of the child.

    ``log`` receives standard output and error; ``record`` is where the running child is
    written down; ``verb`` says in it what the child does; ``pass_fds`` stay open in the child.
    ``stdin`` is what the child reads from standard input. After ``timeout`` seconds it is
    stopped as by an interrupt.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    log: Path
    record: Path | None = None
    verb: str = ""
    pass_fds: tuple[int, ...] = ()
    stdin: bytes | None = field(default=None, repr=False)
    timeout: float | None = None


@dataclass(frozen=True)
class Captured:
    """The end of a short, reading command; ``stdout`` may hold secrets."""

    returncode: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)


@dataclass(frozen=True)
class Patience:
    """Seconds to wait: after SIGINT before SIGTERM, and after that before SIGKILL."""

    interrupt: float = 600.0
    terminate: float = 30.0


@dataclass(frozen=True)
class Settled:
    """What :meth:`ProcessRunner.settle` found of an earlier command and did about it.

    ``awaited``: it still ran and came to its end. ``forced``: it had to be killed for that.
    ``leftovers``: process ids of helpers that it had left and that were ended. ``started`` and
    ``at`` are Unix times in seconds: its start, and now.
    """

    verb: str = ""
    found: bool = False
    awaited: bool = False
    forced: bool = False
    leftovers: tuple[int, ...] = ()
    started: float = 0.0
    at: float = 0.0

    def __bool__(self) -> bool:
        """True when there was an earlier command whose end nobody has seen.

        It may have been cut off in the middle of a write, even when it was awaited: only a
        parent learns how a process ended.
        """
        return self.found

    def __str__(self) -> str:
        """Say what was found and done."""
        if self.forced:
            return f"an earlier {self.verb} still ran and had to be killed"
        if self.awaited:
            return f"an earlier {self.verb} still ran; it was interrupted and has ended"
        helpers = f"; ended {len(self.leftovers)} of its helpers" if self.leftovers else ""
        return f"an earlier {self.verb} was cut off{helpers}"


class ProcessRunner:
    """Runs commands; ``clock`` (Unix time) and ``sleep`` count seconds.

    ``cancelled`` is asked several times a second, for callers that run in a thread which no
    signal interrupts; when it says True, the command is stopped as by an interrupt and
    :class:`CommandCancelledError` is raised.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        *,
        patience: Patience | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._patience = patience or Patience()
        self._cancelled = cancelled

    def run(self, command: Command, on_line: OnLine) -> int:
        """Run ``command`` and return its exit code, negative when a signal ended it.

        ``on_line`` gets each line of output without its end. Whatever is raised meanwhile,
        interrupts included, is raised again after the child was stopped: one SIGINT, a long
        wait, SIGTERM, SIGKILL. Nothing of the child's process group is alive afterwards. The
        record is removed when the child ended by itself and kept when a signal ended it.
        Raises :class:`ToolNotFoundError` when the program can't be started and
        :class:`CommandTimeoutError` when it was stopped after the command's ``timeout``.
        """
        tail = LogTail(command.log, on_line)
        child: Child | None = None
        try:
            with shielded(redeliver=True):
                child = self._start(command)
            self._follow(child, tail, command.timeout)
        except BaseException:
            if child is not None:
                with shielded(), suppress(Exception):
                    self._stop(child, tail)
            raise
        finally:
            if child is not None:
                with shielded(redeliver=True):
                    child.close()
            tail.close()
        return child.returncode

    def capture(
        self,
        argv: tuple[str, ...],
        cwd: Path,
        env: Mapping[str, str],
        timeout: float = 300.0,
        *,
        stdin: bytes | None = None,
    ) -> Captured:
        """Run a command that only reads and return its output.

        ``stdin`` is what it reads from standard input. It is killed when we are interrupted,
        or after ``timeout`` seconds, which raises :class:`CommandError`. Raises
        :class:`ToolNotFoundError` when it can't be started.
        """
        with _input(stdin, cwd) as source:
            process = start_process(
                argv, cwd, env, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandError(
                f"{Path(argv[0]).name} gave no answer within {timeout:.0f} s in {cwd}",
                remedy="run again; if it stays so, look at the load of this machine",
            ) from None
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        return Captured(
            process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
        )

    def settle(self, record_path: Path, on_line: OnLine) -> Settled:
        """Bring an earlier command of this record to its end, if there is one.

        Call it before a new command works in the same folder. A process that still runs gets
        one SIGINT (unless it had it) and is awaited, its further output going to ``on_line``;
        helpers that it left are ended; the record is removed.
        """
        record = read_record(record_path)
        if record is None:
            record_path.unlink(missing_ok=True)
            return Settled(at=self._clock())
        process = recorded_process(record)
        forced = False
        if process is not None:
            record = record if record.pid is not None else record.running_as(process)
            forced = self._await_stranger(process, record, record_path, on_line)
        leftovers: tuple[int, ...] = ()
        if record.pid is not None:
            leftovers = end_group(record.pid, record.created or record.started, self._sleep)
        record_path.unlink(missing_ok=True)
        return Settled(
            verb=record.verb,
            found=True,
            awaited=process is not None,
            forced=forced,
            leftovers=leftovers,
            started=record.started,
            at=self._clock(),
        )

    def _start(self, command: Command) -> Child:
        record = ProcessRecord(
            program=command.argv[0],
            verb=command.verb,
            cwd=str(command.cwd.resolve()),
            log=str(command.log),
            started=self._clock(),
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        with disk_errors(command.log.parent, f"starting {command.verb or command.argv[0]}"):
            private_folder(command.log.parent)
            log = os.open(command.log, flags, 0o600)
            if command.record is not None:
                record.save(command.record)
        try:
            with _input(command.stdin, command.log.parent) as source:
                process = start_process(
                    command.argv,
                    command.cwd,
                    command.env,
                    stdin=source,
                    stdout=log,
                    stderr=log,
                    pass_fds=command.pass_fds,
                )
        except BaseException:
            if command.record is not None:
                command.record.unlink(missing_ok=True)
            raise
        finally:
            os.close(log)
        return Child(process, record, command.record, self._sleep)

    def _follow(self, child: Child, tail: LogTail, timeout: float | None) -> None:
        deadline = None if timeout is None else self._clock() + timeout
        while not child.ended.wait(TICK_SECONDS):
            tail.poll()
            if deadline is not None and self._clock() >= deadline:
                raise CommandTimeoutError(
                    f"{child.record.verb or child.record.program} did not end within {timeout:g} s"
                )
            if self._cancelled is not None and self._cancelled():
                raise CommandCancelledError(
                    f"{child.record.verb or child.record.program} was cancelled"
                )
        tail.finish()

    def _stop(self, child: Child, tail: LogTail) -> None:
        child.interrupt()
        for seconds, number in (
            (self._patience.interrupt, signal.SIGTERM),
            (self._patience.terminate, signal.SIGKILL),
            (_KILL_SECONDS, None),
        ):
            deadline = self._clock() + seconds
            while not child.ended.wait(TICK_SECONDS) and self._clock() < deadline:
                with suppress(Exception):
                    tail.poll()
            if child.ended.is_set() or number is None:
                break
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)
        with suppress(Exception):
            tail.finish()

    def _await_stranger(
        self, process: psutil.Process, record: ProcessRecord, record_path: Path, on_line: OnLine
    ) -> bool:
        """Wait for a process that isn't our child; True when it had to be killed."""
        tail = LogTail(Path(record.log), on_line, from_end=True)
        if not record.interrupted:
            record = record.marked_interrupted()
            record.save(record_path)
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
        try:
            for seconds, number in (
                (self._patience.interrupt, signal.SIGTERM),
                (self._patience.terminate, signal.SIGKILL),
            ):
                deadline = self._clock() + seconds
                while is_alive(process) and self._clock() < deadline:
                    tail.poll()
                    self._sleep(TICK_SECONDS)
                if not is_alive(process):
                    tail.finish()
                    return number is signal.SIGKILL
                for member in group_members(process.pid, record.created or record.started):
                    with suppress(psutil.NoSuchProcess):
                        member.send_signal(number)
        finally:
            tail.close()
        return True


@contextmanager
def _input(content: bytes | None, folder: Path) -> Iterator[int]:
    """Yield a file descriptor to read ``content`` from; the file has no name that could stay."""
    if content is None:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(content)
        stream.flush()
        stream.seek(0)
        yield stream.fileno()


def settle(record: Path, on_line: OnLine) -> Settled:
    """Bring an earlier command of this record to its end: :meth:`ProcessRunner.settle`."""
    return ProcessRunner().settle(record, on_line)
