"""The Terraform engine: one method a verb, on a staged unit.

Only a saved plan is applied; it is kept when the apply fails and removed once it is applied.
Everything that is shown went through the unit's redactor.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlstacks_dagster.engines import tf_argv
from mlstacks_dagster.engines.process import ProcessRunner, Settled
from mlstacks_dagster.engines.tf_calls import TerraformCalls, ignore
from mlstacks_dagster.engines.tf_events import Event, OnEvent, StreamParser
from mlstacks_dagster.engines.tf_init import cache_lock, forget_init, is_initialised, remember_init
from mlstacks_dagster.engines.tf_plan import (
    PlannedChange,
    PlanResult,
    announced_changes,
    parse_changes,
)
from mlstacks_dagster.engines.tf_recovery import Crashes, whoami
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace, stage, write_imports
from mlstacks_dagster.engines.tf_state import (
    OutputValue,
    StateResource,
    StateSnapshot,
    check_state_file,
    parse_state,
    restore_cut_off_state,
    set_cut_off_aside,
)
from mlstacks_dagster.engines.tools import TerraformTool
from mlstacks_dagster.errors import MlstacksError, StateError
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


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class TerraformEngine:
    """Runs Terraform (or OpenTofu) on staged units.

    ``lock_timeout`` is how many seconds to wait for somebody else's state lock; ``who`` is our
    name in such locks; ``free_bytes`` tells the free space of a folder's disk.
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
    ) -> None:
        self._program = tool.argv
        self._calls = TerraformCalls(
            tool, runner, settings.plugin_cache, lock_timeout=lock_timeout, who=who
        )
        self._free_bytes = free_bytes
        self._snapshots: dict[Path, tuple[int, StateSnapshot]] = {}

    @property
    def seconds(self) -> float:
        """What the processes of this engine took, in seconds."""
        return self._calls.seconds

    @property
    def tool_name(self) -> str:
        """The tool and its version, for people."""
        return f"{self._calls.tool.name} {self._calls.tool.version_text}"

    def stage(self, request: UnitRequest, on_event: OnEvent = ignore) -> Workspace:
        """Settle what an earlier process left in the unit's folder, then stage the module.

        A Terraform that still runs there is interrupted and awaited; a local state whose last
        write was cut off is restored from its backup. Raises :class:`StateError` when the
        local state is damaged otherwise, :class:`MlstacksError` when staging fails.
        """
        parser = StreamParser(request.redactor, on_event)
        settled = self._calls.runner.settle(request.work_dir / "child.json", parser.feed)
        workspace = stage(request, settled=settled)
        if settled.found:
            on_event(Event(f"{request.unit}: {settled}", "milestone"))
        self._mend_state(workspace, settled, on_event)
        return workspace

    def init(self, workspace: Workspace, on_event: OnEvent = ignore) -> bool:
        """Initialise the module; False when an earlier init still holds and nothing was run.

        Raises :class:`CommandError` when a provider or the backend can't be had.
        """
        stamp = f"{workspace.fingerprint} {' '.join(self._program)} {self.tool_name}"
        ran = not is_initialised(workspace, stamp)
        if ran:
            forget_init(workspace)
            with cache_lock(self._calls.cache_of(workspace)) as fds:
                self._calls.run(
                    workspace, "init", tf_argv.init_argv(self._program), on_event, pass_fds=fds
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
        imports: Mapping[str, str] | None = None,
        only_imports: bool = False,
        on_event: OnEvent = ignore,
    ) -> PlanResult:
        """Make and save a plan, refreshing the state against the cloud.

        ``imports`` are objects that exist already, by address: the plan takes them into the
        state under it instead of creating them. With ``only_imports`` it does nothing else.
        The changes of a plan that creates or updates have their planned values; those of a
        destroy have none, which saves a start of the provider. Raises
        :class:`StateLockedError`, :class:`TransientCommandError`, :class:`CommandError`.
        """
        self._require_space(workspace)
        workspace.planfile.unlink(missing_ok=True)
        write_imports(workspace, imports or {})

        def argv(lock_timeout: int) -> tuple[str, ...]:
            return tf_argv.plan_argv(
                self._program,
                workspace.planfile,
                destroy=destroy,
                refresh_only=refresh_only,
                targets=tuple(imports or ()) if only_imports else (),
                lock_timeout=lock_timeout,
            )

        result = self._plan(workspace, argv, on_event)
        if result.add or result.change:
            show = tf_argv.show_plan_argv(self._program, workspace.planfile)
            return replace(result, changes=parse_changes(self._calls.read(workspace, show)))
        return result

    def drift(self, workspace: Workspace, on_event: OnEvent = ignore) -> PlanResult:
        """Tell how the cloud differs from what was applied; no plan, no values are kept."""

        def argv(lock_timeout: int) -> tuple[str, ...]:
            return tf_argv.plan_argv(self._program, workspace.planfile, lock_timeout=lock_timeout)

        try:
            return replace(self._plan(workspace, argv, on_event), planfile=None)
        finally:
            workspace.planfile.unlink(missing_ok=True)

    def apply(
        self, workspace: Workspace, plan: PlanResult, on_event: OnEvent = ignore
    ) -> ApplyResult:
        """Apply a saved plan; events of the kind ``progress`` count its resources.

        The plan file is removed when the apply succeeded. Raises as :meth:`plan` does.
        """
        if plan.planfile is None:
            return ApplyResult()
        planfile = plan.planfile
        self._require_space(workspace)
        outcome = self._calls.run_locking(
            workspace,
            "apply",
            lambda wait: tf_argv.apply_argv(self._program, planfile, lock_timeout=wait),
            on_event,
            total=plan.total,
        )
        planfile.unlink(missing_ok=True)
        counts = outcome.parser.changes
        return ApplyResult(counts.get("add", 0), counts.get("change", 0), counts.get("remove", 0))

    def outputs(self, workspace: Workspace) -> dict[str, OutputValue]:
        """Return the outputs in the state; raises :class:`StateError`."""
        return dict(self.snapshot(workspace).outputs)

    def resources(self, workspace: Workspace) -> list[StateResource]:
        """Return the managed resources in the state; raises :class:`StateError`."""
        return list(self.snapshot(workspace).resources)

    def snapshot(self, workspace: Workspace) -> StateSnapshot:
        """Return what the state holds, read once after each command that could change it."""
        count, known = self._snapshots.get(workspace.root, (-1, StateSnapshot()))
        if count != self._calls.count:
            known = self._read_state(workspace)
            self._snapshots[workspace.root] = (self._calls.count, known)
        return known

    def unlock(self, workspace: Workspace, lock_id: str, on_event: OnEvent = ignore) -> None:
        """Release a state lock, whoever holds it."""
        self._calls.unlock(workspace, lock_id, on_event)

    def _plan(
        self, workspace: Workspace, argv: Callable[[int], tuple[str, ...]], on_event: OnEvent
    ) -> PlanResult:
        outcome = self._calls.run_locking(workspace, "plan", argv, on_event, ok=(0, 2))
        if outcome.code == 0:
            workspace.planfile.unlink(missing_ok=True)
            return PlanResult(has_changes=False)
        counts = outcome.parser.changes
        return PlanResult(
            has_changes=True,
            add=counts.get("add", 0),
            change=counts.get("change", 0),
            destroy=counts.get("remove", 0),
            changes=announced_changes(outcome.parser.planned),
            planfile=workspace.planfile,
        )

    def _read_state(self, workspace: Workspace) -> StateSnapshot:
        path = workspace.state_file
        if path is None:
            return parse_state(self._calls.read(workspace, tf_argv.state_pull_argv(self._program)))
        check_state_file(path)
        try:
            return parse_state(path.read_text())
        except FileNotFoundError:
            return StateSnapshot()

    def _mend_state(self, workspace: Workspace, settled: Settled, on_event: OnEvent) -> None:
        if settled.found:
            Crashes(workspace.root).note(settled)
        path = workspace.state_file
        if path is None:
            return
        if settled.found and (aside := restore_cut_off_state(path, settled.at)):
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
        if aside := set_cut_off_aside(errored):
            text = "an earlier run could not even save its state whole; what is there is in"
            on_event(Event(f"{workspace.unit}: {text} {aside}", "milestone"))
            return
        try:
            self._calls.run_locking(
                workspace,
                "state-push",
                lambda wait: tf_argv.state_push_argv(self._program, errored, lock_timeout=wait),
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
