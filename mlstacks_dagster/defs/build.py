"""Definitions from a snapshot of the stacks: a pure function."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.assets import deploy_asset
from mlstacks_dagster.defs.checks import unit_checks
from mlstacks_dagster.defs.cleanup import Teardown, cleanup_asset
from mlstacks_dagster.defs.executor import stack_executor
from mlstacks_dagster.defs.late import late_sensor
from mlstacks_dagster.defs.schedules import drift_schedule
from mlstacks_dagster.defs.sensors import TeardownSensors
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.sweeps import (
    SweepApproval,
    sweep_assets,
    sweep_jobs,
    sweep_schedules,
)
from mlstacks_dagster.defs.teardown_runs import cleanup_keys
from mlstacks_dagster.defs.verified import verified_asset
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

__all__ = ["build_defs"]


_SWEEPS = frozenset({names.SWEEP_JOB, names.SWEEP_DELETE_JOB, names.VERIFY_JOB})
_ALL = (names.DEPLOY_JOB, names.TEARDOWN_JOB, names.DRIFT_JOB, *_SWEEPS)


def build_defs(
    snapshot: StackSnapshot, site: Site, actions: Collection[str] = _ALL
) -> dg.Definitions:
    """Return assets, checks, jobs, sensors, schedule and executor for the stacks of ``snapshot``.

    ``actions`` are jobs' names; a step process leaves out what its run doesn't do, and with it
    sensors and schedules.

    A broken stack becomes an asset in the group ``invalid_stacks`` that says what is wrong; a
    stack that is deployed keeps its assets even when its file is broken.
    """
    units = [(e, u) for e in snapshot.stacks if e.plan for u in e.plan.units]
    deploys = [deploy_asset(entry, unit, site) for entry, unit in units if _ALL[0] in actions]
    cleanups = [cleanup_asset(entry, unit, site) for entry, unit in units if _ALL[1] in actions]
    cleanups += [
        verified_asset(entry, site)
        for entry in snapshot.stacks
        if entry.plan and entry.plan.units and _ALL[1] in actions
    ]
    checks = [unit_checks(entry, unit, site) for entry, unit in units if _ALL[2] in actions]
    sweeps = sweep_assets(snapshot.accounts, site) if _SWEEPS & set(actions) else []
    found = [*_jobs(units), *sweep_jobs(sweeps)]
    jobs = {job.name: job for job in found if job.name in actions}
    whole = set(actions) == set(_ALL)
    return dg.Definitions(
        assets=[*deploys, *cleanups, *sweeps, *_invalid(snapshot.stacks)],
        asset_checks=checks,
        jobs=list(jobs.values()),
        sensors=_sensors(snapshot, site, jobs, cleanups) if whole else [],
        schedules=_schedules(site, jobs, checks, snapshot.accounts) if whole else [],
        resources={
            "teardown": Teardown.configure_at_launch(),
            "sweep_approval": SweepApproval.configure_at_launch(),
        },
        executor=stack_executor(snapshot, site),
    )


def _jobs(units: list[tuple[StackEntry, PlannedUnit]]) -> list[UnresolvedAssetJobDefinition]:
    """Return one job an action for all stacks: 200 stacks must load fast."""
    deploy = [names.deploy_key(e.name, u.name) for e, u in units]
    cleanup = [names.cleanup_key(e.name, u.name) for e, u in units]
    cleanup += [names.cleanup_key(name, names.VERIFIED) for name in {e.name for e, _ in units}]
    if not units:
        return []
    return [
        dg.define_asset_job(
            names.DEPLOY_JOB,
            selection=dg.AssetSelection.assets(*deploy).without_checks(),
            description="Deploys the selected units in the order of their edges.",
            run_tags={"mlstacks/action": names.DEPLOY_JOB},
        ),
        dg.define_asset_job(
            names.TEARDOWN_JOB,
            selection=dg.AssetSelection.assets(*cleanup).without_checks(),
            description="Destroys the units of the stack that `confirm` names, in reverse order.",
            run_tags={"mlstacks/action": names.TEARDOWN_JOB},
        ),
        dg.define_asset_job(
            names.DRIFT_JOB,
            selection=dg.AssetSelection.checks_for_assets(*deploy),
            description="Compares the units with the cloud.",
            run_tags={"mlstacks/action": names.DRIFT_JOB},
        ),
    ]


def _sensors(
    snapshot: StackSnapshot,
    site: Site,
    jobs: dict[str, UnresolvedAssetJobDefinition],
    cleanups: list[dg.AssetsDefinition],
) -> list[dg.SensorDefinition]:
    job, again = jobs.get(names.TEARDOWN_JOB), jobs.get(names.VERIFY_JOB)
    teardowns = TeardownSensors(snapshot, site, job, cleanup_keys(cleanups)).all()
    return [*teardowns, *([late_sensor(again, site)] if again else [])]


def _schedules(
    site: Site,
    jobs: dict[str, UnresolvedAssetJobDefinition],
    checks: list[dg.AssetChecksDefinition],
    accounts: tuple[str, ...],
) -> list[dg.ScheduleDefinition]:
    keys: dict[str, list[dg.AssetCheckKey]] = {}
    for key in (key for check in checks for key in check.check_keys):
        keys.setdefault(key.asset_key.path[0], []).append(key)
    job = jobs.get(names.DRIFT_JOB)
    drift = [drift_schedule(job, keys, site)] if job else []
    return [*drift, *sweep_schedules(list(jobs.values()), accounts)]


def _invalid(stacks: Iterable[StackEntry]) -> list[dg.AssetSpec]:
    taken = {names.deploy_key(e.name, u.name) for e in stacks if e.plan for u in e.plan.units}
    specs = []
    for entry in stacks:
        key = names.invalid_key(entry.name)
        if entry.problems and key not in taken:
            problems = "\n".join(f"- {line}" for line in entry.problems)
            file = f"`{entry.file}`\n\n" if entry.file else ""
            specs.append(
                dg.AssetSpec(
                    key=key,
                    group_name=names.INVALID_GROUP,
                    description=f"{file}This stack can't be used:\n\n{problems}",
                    kinds={"yaml"},
                )
            )
    return specs
