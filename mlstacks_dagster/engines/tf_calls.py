"""Running Terraform in a staged unit: logs, events, locks, errors."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlstacks_dagster.engines.environment import terraform_environment
from mlstacks_dagster.engines.process import Command, ProcessRunner
from mlstacks_dagster.engines.tf_argv import force_unlock_argv
from mlstacks_dagster.engines.tf_errors import command_failed
from mlstacks_dagster.engines.tf_events import Event, OnEvent, StreamParser
from mlstacks_dagster.engines.tf_init import forget_init
from mlstacks_dagster.engines.tf_recovery import Crashes, is_ours, whoami
from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.engines.tf_state import LockInfo
from mlstacks_dagster.engines.tools import TerraformTool
from mlstacks_dagster.errors import StateLockedError

__all__ = ["Outcome", "TerraformCalls", "ignore"]

_FULL_BYTES = 64 << 10  # less than a state or a log needs


@dataclass(frozen=True)
class Outcome:
    """A command's exit code, and what its output said."""

    code: int
    parser: StreamParser


def ignore(_event: Event) -> None:
    """Take no notice of an event."""


class TerraformCalls:
    """Runs command lines of one tool in staged units.

    ``lock_timeout`` is how many seconds to wait for somebody else's state lock; ``who`` is our
    name in such locks; ``timer`` counts seconds. ``count`` is the number of commands so far
    that could have changed a state; ``seconds`` what all processes together took.
    """

    def __init__(
        self,
        tool: TerraformTool,
        runner: ProcessRunner,
        plugin_cache: Path,
        *,
        lock_timeout: int = 60,
        who: Callable[[], str] = whoami,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tool = tool
        self.runner = runner
        self._plugin_cache = plugin_cache
        self._lock_timeout = lock_timeout
        self._who = who
        self._timer = timer
        self.count = 0
        self.seconds = 0.0

    def cache_of(self, workspace: Workspace) -> Path | None:
        """Return the provider cache that the unit uses; None when it has a mirror."""
        return None if workspace.request.wiring.provider_mirror else self._plugin_cache

    def stale(self, workspace: Workspace, lock: LockInfo) -> bool:
        """Tell whether ``lock`` is one that a killed command of this unit left behind."""
        return is_ours(Crashes(workspace.root), lock, self._who())

    def unlock(self, workspace: Workspace, lock_id: str, on_event: OnEvent) -> None:
        """Release a state lock, whoever holds it."""
        argv = force_unlock_argv(self.tool.argv, lock_id)
        self.run(workspace, "force-unlock", argv, on_event)

    def run_locking(
        self,
        workspace: Workspace,
        verb: str,
        argv: Callable[[int], tuple[str, ...]],
        on_event: OnEvent,
        *,
        total: int = 0,
        ok: tuple[int, ...] = (0,),
    ) -> Outcome:
        """Run a command that needs the state lock; a stale lock is released, others awaited."""
        try:
            outcome = self.run(workspace, verb, argv(0), on_event, total=total, ok=ok)
        except StateLockedError as error:
            lock = error.lock
            if not isinstance(lock, LockInfo):
                raise
            if workspace.state_file is None and self.stale(workspace, lock):
                text = f"releasing the state lock {lock.id} of a killed run of ours"
                on_event(Event(f"{workspace.unit}: {text}", "milestone"))
                self.unlock(workspace, lock.id, on_event)
            else:
                on_event(
                    Event(f"{workspace.unit}: waiting for the state lock of {lock}", "milestone")
                )
            again = argv(self._lock_timeout)
            outcome = self.run(workspace, verb, again, on_event, total=total, ok=ok)
        Crashes(workspace.root).forget()
        return outcome

    def run(
        self,
        workspace: Workspace,
        verb: str,
        argv: tuple[str, ...],
        on_event: OnEvent,
        *,
        total: int = 0,
        ok: tuple[int, ...] = (0,),
        pass_fds: tuple[int, ...] = (),
    ) -> Outcome:
        """Run a command whose lines become events; raises what :func:`command_failed` makes.

        ``total`` is the number of resources it works on, ``ok`` the exit codes that are good.
        """
        self.count += 1
        parser = StreamParser(workspace.redact, on_event, total)
        command = Command(
            argv=argv,
            cwd=workspace.module,
            env=self._environment(workspace),
            log=workspace.log(verb),
            record=workspace.record,
            verb=verb,
            pass_fds=pass_fds,
        )
        started = self._timer()
        try:
            code = self.runner.run(command, parser.feed)
        finally:
            self.seconds += self._timer() - started
        if code in ok:
            return Outcome(code, parser)
        if verb == "plan":
            with suppress(OSError):
                forget_init(workspace, keep_lock_file=True)
        raise command_failed(
            f"{workspace.unit}: terraform {verb}",
            code,
            parser.errors,
            tail=parser.tail,
            state_file=workspace.state_file,
            log=command.log,
            full=_full_disk(workspace),
        )

    def read(self, workspace: Workspace, argv: tuple[str, ...]) -> str:
        """Return what a reading command prints; it may hold secrets."""
        started = self._timer()
        try:
            done = self.runner.capture(argv, workspace.module, self._environment(workspace))
        finally:
            self.seconds += self._timer() - started
        if done.returncode == 0:
            return done.stdout
        parser = StreamParser(workspace.redact, ignore)
        for line in done.stderr.splitlines():
            parser.feed(line)
        verb = argv[len(self.tool.argv)]
        what = f"{workspace.unit}: terraform {verb}"
        raise command_failed(what, done.returncode, parser.errors, tail=parser.tail)

    def _environment(self, workspace: Workspace) -> dict[str, str]:
        cache = self.cache_of(workspace)
        return terraform_environment(workspace.request.environment, workspace.cli_config, cache)


def _full_disk(workspace: Workspace) -> Path | None:
    """Return a folder that Terraform writes to and whose disk is full."""
    state = workspace.state_file
    for folder in (workspace.root, *([state.parent] if state else [])):
        with suppress(OSError):
            if shutil.disk_usage(folder).free < _FULL_BYTES:
                return folder
    return None
