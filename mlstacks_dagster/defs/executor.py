"""Our executor: Dagster's multiprocess executor, one run a stack, and lean step processes.

The run's process takes the locks of its stacks, pins what the run works on, and hands the steps
to Dagster's own executor. Step processes are forked from a server that has imported everything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster._utils.interrupts import pop_captured_interrupt

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.stack_lock import alive_path, hold_run, hold_stacks
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.lifecycle.locks import is_held
from mlstacks_dagster.lifecycle.models import Progress, StackSnapshot
from mlstacks_dagster.lifecycle.progress import ProgressFile

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode

__all__ = ["Scope", "StackExecutor", "run_scope", "stack_executor"]

MAX_CONCURRENT = 4
PRELOAD = "mlstacks_dagster.defs.preload"
_MAIN = ("__file__", "__spec__")
_INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


def stack_executor(snapshot: StackSnapshot, site: Site) -> dg.ExecutorDefinition:
    """Return the executor for runs on the stacks of ``snapshot``."""

    @dg.executor(
        name="mlstacks",
        config_schema={"max_concurrent": dg.Field(int, default_value=MAX_CONCURRENT)},
        requirements=dg.multiple_process_executor_requirements(),
    )
    def create(context: dg.InitExecutorContext) -> dg.Executor:
        return StackExecutor(_multiprocess(context), snapshot, site)

    return create


def _multiprocess(context: dg.InitExecutorContext) -> dg.Executor:
    settings = {
        "max_concurrent": context.executor_config["max_concurrent"],
        "retries": {"enabled": {}},
        "start_method": {"forkserver": {"preload_modules": [PRELOAD]}},
        "tag_concurrency_limits": [],
    }
    create = dg.multiprocess_executor.executor_creation_fn
    if create is None:
        raise TypeError("dagster's multiprocess executor can't be created")
    inner = dg.InitExecutorContext(
        job=context.job,
        executor_def=dg.multiprocess_executor,
        executor_config=settings,
        instance=context.instance,
    )
    return create(inner)


class StackExecutor(dg.Executor):
    """Holds the stacks' locks while ``inner`` executes the run's steps."""

    def __init__(self, inner: dg.Executor, snapshot: StackSnapshot, site: Site) -> None:
        self._inner = inner
        self._snapshot = snapshot
        self._site = site

    @property
    def retries(self) -> RetryMode:
        """Retries as Dagster's executor handles them."""
        return self._inner.retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan; an interrupt of this process cancels the run.

        Raises StackBusyError when another run keeps a stack longer than the lock timeout.
        """
        settings, run_id = self._site.settings, plan_context.run_id
        scope = run_scope(execution_plan, plan_context.run_config)
        left_out = len(execution_plan.step_keys_to_execute) - len(scope.steps)
        if left_out:
            plan_context.log.info(f"{left_out} steps of stacks that weren't confirmed are left out")

        def on_wait(stack: str, other: dict[str, str]) -> None:
            who = f"run {other.get('run', '?')} (process {other.get('pid', '?')})"
            text = f"waiting for {who} that works on stack {stack}"
            plan_context.log.info(text)
            progress = ProgressFile(settings.runs_dir / f"{run_id}.progress.jsonl")
            progress.write(Progress(unit="", phase=text))

        with ExitStack() as held:
            try:
                if not is_held(alive_path(settings, run_id)):
                    held.enter_context(hold_run(settings, run_id))
                held.enter_context(hold_stacks(settings, scope.stacks, run_id, on_wait, _sleep))
                pinned = held.enter_context(self._pinned(plan_context, scope))
                held.enter_context(_main_module_hidden())
                yield from self._inner.execute(pinned, _only(execution_plan, scope.steps))
            except BaseException as error:
                if _is_interrupt(error):
                    _report_canceling(plan_context)
                raise

    def _pinned(
        self, plan_context: PlanOrchestrationContext, scope: Scope
    ) -> AbstractContextManager[PlanOrchestrationContext]:
        from mlstacks_dagster.defs.pinned import pinned_context  # noqa: PLC0415 (imports us)

        return pinned_context(plan_context, self._snapshot, self._site, scope.stacks, scope.actions)


@dataclass(frozen=True)
class Scope:
    """What a run really does: its steps, the stacks they belong to, and the jobs' names."""

    stacks: frozenset[str]
    actions: frozenset[str]
    steps: frozenset[str]


def run_scope(execution_plan: ExecutionPlan, run_config: object) -> Scope:
    """Return what to run; of a teardown, only the steps of the stack that is confirmed.

    Raises RefusedError when the confirmation names no stack of the run, and for a run that would
    deploy and destroy.
    """
    stack_of = _stacks_by_step(execution_plan)
    actions = frozenset(step.partition("__")[0] for step in stack_of)
    stacks = frozenset(stack_of.values())
    if names.TEARDOWN_JOB in actions:
        if len(actions) > 1:
            raise RefusedError(
                "a run either deploys or destroys; nothing was done",
                remedy="select the assets of the one or of the other",
            )
        confirm = names.confirmed_stack(run_config)
        if confirm not in stacks:
            raise RefusedError(
                f"confirm must be the stack's name ({', '.join(sorted(stacks))}), not "
                f"{confirm!r}; nothing was destroyed"
            )
        stacks = frozenset({confirm})
    steps = frozenset(step for step, stack in stack_of.items() if stack in stacks)
    return Scope(stacks, actions, steps)


def _stacks_by_step(execution_plan: ExecutionPlan) -> dict[str, str]:
    found = {}
    for key in execution_plan.step_keys_to_execute:
        for output in execution_plan.get_step_by_key(key).step_outputs:
            check = output.properties.asset_check_key
            asset = check.asset_key if check else output.properties.asset_key
            if asset:
                found[key] = next(iter(names.stacks_of([asset])))
    return found


def _only(execution_plan: ExecutionPlan, steps: frozenset[str]) -> ExecutionPlan:
    """Return the plan with no other steps than ``steps``."""
    handles = execution_plan.step_handles_to_execute
    return execution_plan._replace(
        step_handles_to_execute=[h for h in handles if h.to_key() in steps],
        executable_map={k: h for k, h in execution_plan.executable_map.items() if k in steps},
    )


def _sleep(seconds: float) -> None:
    """Sleep, and raise Dagster's interrupt when the run was cancelled meanwhile."""
    time.sleep(seconds)
    if pop_captured_interrupt():
        raise dg.DagsterExecutionInterruptedError


def _is_interrupt(error: BaseException) -> bool:
    if isinstance(error, dg.DagsterExecutionInterruptedError | KeyboardInterrupt):
        return True
    steps = getattr(error, "subprocess_error_infos", ())
    return any(info.cls_name in _INTERRUPTED for info in steps)


def _report_canceling(plan_context: PlanOrchestrationContext) -> None:
    """Say that this run is being cancelled: Dagster calls an unannounced interrupt a failure."""
    run = plan_context.instance.get_run_by_id(plan_context.run_id)
    if run and run.status == dg.DagsterRunStatus.STARTED:
        plan_context.instance.report_run_canceling(run, "The run's process was interrupted.")


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep step processes from running the main program's module again.

    Python does that for objects pickled from it, which we have none of; it costs each step the
    imports of Dagster's or our own command line.
    """
    main = sys.modules["__main__"]
    hidden = {name: main.__dict__.pop(name) for name in _MAIN if name in main.__dict__}
    main.__dict__["__spec__"] = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)
