"""Our run coordinator: Dagster's queue, with each stack's pool known before it is needed.

Dagster lets two runs through on a pool's first use, since its daemon reads the pools' limits
before it creates those that are missing.
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from mlstacks_dagster.defs import names

__all__ = ["TAG_ACTION", "TAG_STACK", "StackRunCoordinator"]

TAG_STACK = "mlstacks/stack"
TAG_ACTION = "mlstacks/action"


class StackRunCoordinator(QueuedRunCoordinator):
    """Queues runs; tags each with its stacks and what it does."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queue a run."""
        run = context.dagster_run
        if run.run_op_concurrency:
            self._register(set(run.run_op_concurrency.all_pools or ()))
        tags = _tags(run)
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)

    def _register(self, pools: set[str]) -> None:
        """Create the limits of pools that have none yet."""
        store = self._instance.event_log_storage

        def missing() -> set[str]:
            return pools - {limit.name for limit in store.get_pool_limits()}

        for pool in sorted(missing()):
            try:
                store.initialize_concurrency_limit_to_default(pool)
            except Exception:  # a database may refuse a row that another process has just made
                if pool in missing():
                    raise


def _tags(run: DagsterRun) -> dict[str, str]:
    """Return what the UI's run list shows: the run's stacks, and what it does with them."""
    keys = set(run.asset_selection or ()) | {c.asset_key for c in run.asset_check_selection or ()}
    keys = {key for key in keys if not names.is_sweep(key)}
    stacks = names.stacks_of(keys) or {names.confirmed_stack(run.run_config)} - {""}
    tags = {TAG_STACK: ",".join(sorted(stacks))} if stacks else {}
    if TAG_ACTION not in run.tags and (action := _action(run)):
        tags[TAG_ACTION] = action
    return tags


def _action(run: DagsterRun) -> str:
    if run.job_name != names.ASSET_JOB:
        return run.job_name
    cleanups = {names.is_cleanup(key) for key in run.asset_selection or ()}
    if not cleanups:
        return names.DRIFT_JOB if run.asset_check_selection else ""
    return "" if len(cleanups) > 1 else names.TEARDOWN_JOB if True in cleanups else names.DEPLOY_JOB
