from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from fake_lifecycle import entry_of

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.executor import _only, run_scope
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.lifecycle.models import StackSnapshot

CHAIN: dict[str, dict[str, Any]] = {"network": {}, "bucket": {"needs": ["network"]}}


def config(confirm: str) -> dict[str, Any]:
    return {"resources": {"teardown": {"config": {"confirm": confirm}}}}


def plan(site: Site, job: str, run_config: dict[str, Any], *keys: dg.AssetKey) -> Any:
    snapshot = StackSnapshot(stacks=tuple(entry_of(n, CHAIN) for n in ("one", "two")))
    whole = build_defs(snapshot, site)
    if job == names.ASSET_JOB:
        found = whole.resolve_implicit_global_asset_job_def()
    else:
        found = whole.resolve_job_def(job)
    return create_execution_plan(
        found.get_subset(asset_selection=set(keys)) if keys else found, run_config
    )


def test_a_deploy_locks_the_stacks_that_it_works_on(site: Site) -> None:
    scope = run_scope(plan(site, "deploy", {}), {})
    assert scope.stacks == {"one", "two"}
    assert scope.actions == {"deploy"}
    assert len(scope.steps) == 4
    alone = plan(site, names.ASSET_JOB, {}, names.deploy_key("two", "network"))
    assert run_scope(alone, {}).stacks == {"two"}


def test_a_teardown_runs_the_steps_of_the_confirmed_stack_only(site: Site) -> None:
    whole = plan(site, "teardown", config("one"))
    scope = run_scope(whole, config("one"))
    assert scope.stacks == {"one"}
    assert set(_only(whole, scope.steps).step_keys_to_execute) == {
        "teardown__one__network",
        "teardown__one__bucket",
        "teardown__one__verified",
    }


def test_a_confirmation_of_a_stack_that_is_not_in_the_run_is_refused(site: Site) -> None:
    whole = plan(site, "teardown", config("three"))
    with pytest.raises(RefusedError, match="nothing was destroyed"):
        run_scope(whole, config("three"))


def test_a_run_that_deploys_and_destroys_is_refused(site: Site) -> None:
    both = (names.deploy_key("one", "network"), names.cleanup_key("one", "network"))
    whole = plan(site, names.ASSET_JOB, config("one"), *both)
    with pytest.raises(RefusedError, match="either deploys or destroys"):
        run_scope(whole, config("one"))


def test_a_drift_run_works_on_the_stacks_of_its_checks(site: Site) -> None:
    scope = run_scope(plan(site, "drift", {}), {})
    assert scope.stacks == {"one", "two"}
    assert scope.actions == {"drift"}
