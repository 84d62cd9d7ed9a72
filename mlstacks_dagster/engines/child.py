"""One started child process: its start, its single interrupt, its end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from mlstacks_dagster.engines.process_record import ProcessRecord, group_members
from mlstacks_dagster.errors import InputError, ToolNotFoundError

__all__ = ["TICK_SECONDS", "Child", "end_group", "start_process"]

TICK_SECONDS = 0.03
_END_GROUP_SECONDS = 10.0


class Child:
    """A started process: told apart from its leftovers, reaped last.

    The watching thread waits without reaping, so the process id, and with it the id of the
    group, can't be given to anybody else before the group was cleaned up.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        record: ProcessRecord,
        record_path: Path | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._process = process
        self._record_path = record_path
        self._sleep = sleep
        self.pid = process.pid
        self.record = record
        self.ended = threading.Event()
        with suppress(psutil.NoSuchProcess, OSError):
            self._note(record.running_as(psutil.Process(process.pid)))
        threading.Thread(target=self._watch, daemon=True, name=f"wait-{self.pid}").start()

    @property
    def returncode(self) -> int:
        """The exit code, negative for a signal; wait for :meth:`close` first."""
        return self._process.returncode

    def interrupt(self) -> None:
        """Send the one SIGINT: to the program only, its helpers must live while it finishes."""
        if self.ended.is_set() or self.record.interrupted:
            return
        with suppress(OSError):
            self._note(self.record.marked_interrupted())
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def close(self) -> None:
        """End what is left of the group, reap the process, remove the record if it may go."""
        end_group(self.pid, self.record.created or self.record.started, self._sleep)
        self._process.wait()
        if self._record_path is not None and self.returncode >= 0:
            self._record_path.unlink(missing_ok=True)

    def _note(self, record: ProcessRecord) -> None:
        self.record = record
        if self._record_path is not None:
            record.save(self._record_path)

    def _watch(self) -> None:
        try:
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._process.wait()
        except ChildProcessError:
            pass
        finally:
            self.ended.set()


def end_group(pgid: int, since: float, sleep: Callable[[float], None]) -> tuple[int, ...]:
    """Kill what lives in process group ``pgid`` since the Unix time ``since``; return the ids."""
    ended: dict[int, None] = {}
    for _ in range(int(_END_GROUP_SECONDS / TICK_SECONDS)):
        members = group_members(pgid, since)
        if not members:
            break
        for member in members:
            with suppress(psutil.Error):
                member.kill()
                ended[member.pid] = None
        sleep(TICK_SECONDS)
    return tuple(ended)


def start_process(
    argv: tuple[str, ...],
    cwd: Path,
    env: Mapping[str, str],
    *,
    stdout: int,
    stderr: int,
    stdin: int = subprocess.DEVNULL,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; the files that it makes are private.

    ``env`` is its whole environment; without ``stdin`` it has nothing to read.
    Raises :class:`ToolNotFoundError` when there is no such program, and :class:`InputError` when
    ``env`` is more than the system gives to a process.
    """
    try:
        return subprocess.Popen(  # noqa: S603 - argv comes from pure functions, never a shell
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=0o077,
            pass_fds=pass_fds,
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise _too_large(argv, env) from error
        if not isinstance(error, FileNotFoundError | PermissionError) or not cwd.is_dir():
            raise
        raise ToolNotFoundError(
            f"{argv[0]} can't be started: {error.strerror}",
            remedy="see which tools were found: mlstacks-dagster tools",
        ) from error


def _too_large(argv: tuple[str, ...], env: Mapping[str, str]) -> InputError:
    sizes = {name: len(os.fsencode(value)) for name, value in env.items()}
    name = max(sizes, key=sizes.__getitem__, default="")
    return InputError(
        f"{argv[0]} can't be started: its environment is too large; the largest variable is"
        f" {name} with {sizes.get(name, 0)} bytes, of {sum(sizes.values())} in all",
        remedy="make it shorter, or put the value into a file and name the file; a system takes"
        " about 128 KiB in one variable",
    )
