"""The Terraform engine: one method a verb, on a staged unit.

Only a saved plan is applied; it is kept when the apply fails and removed once it is applied.
Everything that is shown went through the unit's redactor.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mlstacks_dagster.engines import tf_argv
from mlstacks_dagster.engines.environment import terraform_environment
from mlstacks_dagster.engines.process import Captured, Command, ProcessRunner, Settled
from mlstacks_dagster.engines.tf_errors import command_failed
from mlstacks_dagster.engines.tf_events import Event, OnEvent, StreamParser
from mlstacks_dagster.engines.tf_init import cache_lock, forget_init, is_initialised, remember_init
from mlstacks_dagster.engines.tf_plan import PlannedChange, PlanResult, parse_changes
from mlstacks_dagster.engines.tf_recovery import Crashes, is_ours, whoami
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace, stage
from mlstacks_dagster.engines.tf_state import (
    LockInfo,
    OutputValue,
    StateResource,
    StateSnapshot,
    check_state_file,
    parse_state,
    restore_cut_off_state,
)
from mlstacks_dagster.engines.tools import TerraformTool
from mlstacks_dagster.errors import MlstacksError, StateError, StateLockedError
from mlstacks_dagster.settings import Settings

__all__ = [
    "ApplyResult",
    "Event",
    "OutputValue",
    "PlanResult",
    "PlannedChange",
    "StateResource",
    "TerraformEngine",
]

_MIN_FREE_BYTES = 16 << 20


@dataclass(frozen=True)
class ApplyResult:
    """What an apply did; a replacement counts as one added and one destroyed."""

    add: int = 0
    change: int = 0
    destroy: int = 0


@dataclass
class _Outcome:
    code: int
    parser: StreamParser


def _ignore(_event: Event) -> None:
    """Take no notice of an event."""


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class TerraformEngine:
    """Runs Terraform (or OpenTofu) on staged units.

    ``lock_timeout`` is how many seconds to wait for somebody else's state lock; ``who`` is our
    name in such locks; ``free_bytes`` tells the free space of a folder's disk; ``timer`` counts
    seconds. ``seconds`` adds up what the processes of this engine took.
    """

    def __init__(
        self,
        tool: TerraformTool,
        runner: ProcessRunner,
        settings: Settings,
        *,
        lock_timeout: int = 60,
        who: Callable[[], str] = whoami,
        free_bytes: Callable[[Path], int] = _free_bytes,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tool = tool
        self._runner = runner
        self._plugin_cache = settings.plugin_cache
        self._lock_timeout = lock_timeout
        self._who = who
        self._free_bytes = free_bytes
        self._timer = timer
        self._snapshots: dict[Path, StateSnapshot] = {}
        self.seconds = 0.0

    @property
    def tool_name(self) -> str:
        """The tool and its version, for people."""
        return f"{self._tool.name} {self._tool.version_text}"

    def stage(self, request: UnitRequest, on_event: OnEvent = _ignore) -> Workspace:
        """Settle what an earlier process left in the unit's folder, then stage the module.

        A Terraform that still runs there is interrupted and awaited; a local state whose last
        write was cut off is restored from its backup. Raises :class:`StateError` when the
        local state is damaged otherwise, :class:`MlstacksError` when staging fails.
        """
        settled = self._runner.settle(
            request.work_dir / "child.json",
            lambda line: on_event(Event(request.redactor(line))),
        )
        workspace = stage(request, settled=settled)
        if settled.found:
            on_event(Event(f"{request.unit}: {settled}", "milestone"))
        self._mend_state(workspace, settled, on_event)
        return workspace

    def init(self, workspace: Workspace, on_event: OnEvent = _ignore) -> bool:
        """Initialise the module; False when an earlier init still holds and nothing was run.

        Raises :class:`CommandError` when a provider or the backend can't be had.
        """
        stamp = f"{workspace.fingerprint} {' '.join(self._tool.argv)} {self._tool.version_text}"
        ran = not is_initialised(workspace, stamp)
        if ran:
            forget_init(workspace)
            with cache_lock(self._cache_of(workspace)) as fds:
                self._run(
                    workspace, "init", tf_argv.init_argv(self._tool.argv), on_event, pass_fds=fds
                )
            remember_init(workspace, stamp)
        self._push_errored_state(workspace, on_event)
        return ran

    def plan(
        self,
        workspace: Workspace,
        *,
        destroy: bool = False,
        refresh_only: bool = False,
        on_event: OnEvent = _ignore,
    ) -> PlanResult:
        """Make and save a plan, refreshing the state against the cloud.

        Raises :class:`StateLockedError`, :class:`TransientCommandError`, :class:`CommandError`.
        """
        self._require_space(workspace)
        workspace.planfile.unlink(missing_ok=True)

        def argv(lock_timeout: int) -> tuple[str, ...]:
            return tf_argv.plan_argv(
                self._tool.argv,
                workspace.planfile,
                destroy=destroy,
                refresh_only=refresh_only,
                lock_timeout=lock_timeout,
            )

        outcome = self._run_locking(workspace, "plan", argv, on_event, ok=(0, 2))
        counts = outcome.parser.changes
        if outcome.code == 0:
            workspace.planfile.unlink(missing_ok=True)
            return PlanResult(has_changes=False)
        shown = self._read(workspace, tf_argv.show_plan_argv(self._tool.argv, workspace.planfile))
        return PlanResult(
            has_changes=True,
            add=counts.get("add", 0),
            change=counts.get("change", 0),
            destroy=counts.get("remove", 0),
            changes=parse_changes(shown),
            planfile=workspace.planfile,
        )

    def drift(self, workspace: Workspace, on_event: OnEvent = _ignore) -> PlanResult:
        """Tell how the cloud differs from what was applied; the plan is not kept."""
        try:
            return replace(self.plan(workspace, on_event=on_event), planfile=None)
        finally:
            workspace.planfile.unlink(missing_ok=True)

    def apply(
        self, workspace: Workspace, plan: PlanResult, on_event: OnEvent = _ignore
    ) -> ApplyResult:
        """Apply a saved plan; events of the kind ``progress`` count its resources.

        The plan file is removed when the apply succeeded. Raises as :meth:`plan` does.
        """
        if plan.planfile is None:
            return ApplyResult()
        planfile = plan.planfile
        self._require_space(workspace)
        outcome = self._run_locking(
            workspace,
            "apply",
            lambda wait: tf_argv.apply_argv(self._tool.argv, planfile, lock_timeout=wait),
            on_event,
            total=plan.total,
        )
        planfile.unlink(missing_ok=True)
        counts = outcome.parser.changes
        return ApplyResult(counts.get("add", 0), counts.get("change", 0), counts.get("remove", 0))

    def import_resource(
        self, workspace: Workspace, address: str, identifier: str, on_event: OnEvent = _ignore
    ) -> None:
        """Take an existing object into the state under ``address``; raises as :meth:`plan`."""
        self._run_locking(
            workspace,
            "import",
            lambda wait: tf_argv.import_argv(
                self._tool.argv, address, identifier, lock_timeout=wait
            ),
            on_event,
        )

    def outputs(self, workspace: Workspace) -> dict[str, OutputValue]:
        """Return the outputs in the state; raises :class:`StateError`."""
        return dict(self.snapshot(workspace).outputs)

    def resources(self, workspace: Workspace) -> list[StateResource]:
        """Return the managed resources in the state; raises :class:`StateError`."""
        return list(self.snapshot(workspace).resources)

    def snapshot(self, workspace: Workspace) -> StateSnapshot:
        """Return what the state holds, read once after each command that could change it."""
        known = self._snapshots.get(workspace.root)
        if known is None:
            known = self._read_state(workspace)
            self._snapshots[workspace.root] = known
        return known

    def unlock(self, workspace: Workspace, lock_id: str, on_event: OnEvent = _ignore) -> None:
        """Release a state lock, whoever holds it."""
        argv = tf_argv.force_unlock_argv(self._tool.argv, lock_id)
        self._run(workspace, "force-unlock", argv, on_event)

    def stale_lock(self, workspace: Workspace, lock: LockInfo) -> bool:
        """Tell whether ``lock`` is one that a killed command of this unit left behind."""
        return is_ours(Crashes(workspace.root), lock, self._who())

    def _run_locking(
        self,
        workspace: Workspace,
        verb: str,
        argv: Callable[[int], tuple[str, ...]],
        on_event: OnEvent,
        *,
        total: int = 0,
        ok: tuple[int, ...] = (0,),
    ) -> _Outcome:
        """Run a command that needs the state lock; a stale lock is released, others awaited."""
        try:
            outcome = self._run(workspace, verb, argv(0), on_event, total=total, ok=ok)
        except StateLockedError as error:
            lock = error.lock
            if not isinstance(lock, LockInfo):
                raise
            if workspace.state_file is None and self.stale_lock(workspace, lock):
                text = f"releasing the state lock {lock.id} of a killed run of ours"
                on_event(Event(f"{workspace.unit}: {text}", "milestone"))
                self.unlock(workspace, lock.id, on_event)
            else:
                on_event(
                    Event(f"{workspace.unit}: waiting for the state lock of {lock}", "milestone")
                )
            again = argv(self._lock_timeout)
            outcome = self._run(workspace, verb, again, on_event, total=total, ok=ok)
        Crashes(workspace.root).forget()
        return outcome

    def _run(
        self,
        workspace: Workspace,
        verb: str,
        argv: tuple[str, ...],
        on_event: OnEvent,
        *,
        total: int = 0,
        ok: tuple[int, ...] = (0,),
        pass_fds: tuple[int, ...] = (),
    ) -> _Outcome:
        self._snapshots.pop(workspace.root, None)
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
            code = self._runner.run(command, parser.feed)
        finally:
            self.seconds += self._timer() - started
        if code in ok:
            return _Outcome(code, parser)
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
        )

    def _read(self, workspace: Workspace, argv: tuple[str, ...]) -> str:
        started = self._timer()
        try:
            done: Captured = self._runner.capture(
                argv, workspace.module, self._environment(workspace)
            )
        finally:
            self.seconds += self._timer() - started
        if done.returncode == 0:
            return done.stdout
        parser = StreamParser(workspace.redact, _ignore)
        for line in done.stderr.splitlines():
            parser.feed(line)
        verb = argv[len(self._tool.argv)]
        what = f"{workspace.unit}: terraform {verb}"
        raise command_failed(what, done.returncode, parser.errors, tail=parser.tail)

    def _read_state(self, workspace: Workspace) -> StateSnapshot:
        path = workspace.state_file
        if path is None:
            return parse_state(self._read(workspace, tf_argv.state_pull_argv(self._tool.argv)))
        check_state_file(path)
        try:
            return parse_state(path.read_text())
        except FileNotFoundError:
            return StateSnapshot()

    def _environment(self, workspace: Workspace) -> dict[str, str]:
        cache = self._cache_of(workspace)
        return terraform_environment(workspace.request.environment, workspace.cli_config, cache)

    def _cache_of(self, workspace: Workspace) -> Path | None:
        return None if workspace.request.wiring.provider_mirror else self._plugin_cache

    def _mend_state(self, workspace: Workspace, settled: Settled, on_event: OnEvent) -> None:
        if settled.crashed:
            Crashes(workspace.root).note(settled)
        path = workspace.state_file
        if path is None:
            return
        if settled.crashed and (aside := restore_cut_off_state(path, settled.at)):
            on_event(
                Event(
                    f"{workspace.unit}: the state was cut off by a kill; restored it as it was "
                    f"before that command, what was there is in {aside}",
                    "milestone",
                )
            )
        check_state_file(path)

    def _push_errored_state(self, workspace: Workspace, on_event: OnEvent) -> None:
        """Save a state that an earlier apply could not save (disk full, bucket unreachable)."""
        errored = workspace.errored_state
        if not errored.exists():
            return
        try:
            self._run_locking(
                workspace,
                "state-push",
                lambda wait: tf_argv.state_push_argv(self._tool.argv, errored, lock_timeout=wait),
                on_event,
            )
        except MlstacksError as error:
            raise StateError(
                f"{workspace.unit}: an earlier run could not save its state; it is in {errored} "
                f"and can't be taken over: {error.message}",
                remedy=f"compare it with the state, then: terraform state push -force {errored}",
            ) from error
        errored.unlink()
        on_event(
            Event(
                f"{workspace.unit}: took over the state that an earlier run could not save",
                "milestone",
            )
        )

    def _require_space(self, workspace: Workspace) -> None:
        folders = [workspace.root]
        if workspace.state_file is not None:
            folders.append(workspace.state_file.parent)
        for folder in folders:
            if self._free_bytes(folder) < _MIN_FREE_BYTES:
                raise MlstacksError(
                    f"{workspace.unit}: less than {_MIN_FREE_BYTES >> 20} MiB are free on the disk "
                    f"of {folder}; nothing was created",
                    remedy="free some space or move MLSTACKS_HOME to another disk, then run again",
                )
