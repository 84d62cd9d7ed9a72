"""Deploy, cleanup and drift steps in one process, with the fake lifecycle."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from fake_lifecycle import entry_of, journal

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import MAX_RETRIES
from mlstacks_dagster.lifecycle.models import StackSnapshot

CHAIN: dict[str, dict[str, Any]] = {"network": {}, "bucket": {"needs": ["network"]}}


class Runs:
    """Runs jobs on stacks in this process."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.site = site
        self.instance = instance
        self.stacks = {"demo": CHAIN}

    def run(
        self,
        job: str,
        confirm: str | None = None,
        keys: list[dg.AssetKey] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        entries = tuple(entry_of(name, units) for name, units in self.stacks.items())
        definitions = build_defs(StackSnapshot(stacks=entries), self.site)
        config = {"resources": {"teardown": {"config": {"confirm": confirm}}}} if confirm else {}
        return definitions.resolve_job_def(job).execute_in_process(
            run_config=config,
            instance=self.instance,
            asset_selection=keys,
            raise_on_error=False,
            tags=tags,
        )

    def materialized(self, key: dg.AssetKey) -> bool:
        return self.instance.get_latest_materialization_event(key) is not None


@pytest.fixture
def runs(site: Site, instance: dg.DagsterInstance) -> Runs:
    return Runs(site, instance)


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = [e for e in result.all_events if e.is_step_failure][:1]
    data = event.step_failure_data.user_failure_data
    return data.description if data and data.description else ""


def attempts(runs: Runs, unit: str) -> int:
    begun = [e for e in journal(runs.site.settings) if e["what"] == "begin"]
    return len([e for e in begun if e["unit"] == unit])


def test_a_deploy_keeps_outputs_and_plan_but_no_sensitive_value(runs: Runs) -> None:
    result = runs.run("deploy")
    assert result.success
    event = runs.instance.get_latest_materialization_event(names.deploy_key("demo", "bucket"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["outputs"].value == {"arn": "arn:bucket"}
    assert metadata["sensitive_outputs"].value == "password"
    assert metadata["action"].value == "applied"
    assert metadata["plan"].value == "1 to add, 0 to change, 0 to destroy"
    assert metadata["target"].value == "cloud"


def test_an_error_of_ours_fails_once_with_text_and_remedy_and_no_traceback(runs: Runs) -> None:
    runs.stacks["demo"] = {"network": {"fail": "no quota"}, "bucket": {"needs": ["network"]}}
    result = runs.run("deploy")
    assert not result.success
    assert failure(result) == "no quota\n  -> mend it"
    assert attempts(runs, "network") == 1
    assert attempts(runs, "bucket") == 0


def test_a_brake_is_not_tried_again(runs: Runs) -> None:
    runs.stacks["demo"] = {"network": {"refuse": "protected"}}
    assert "protected" in failure(runs.run("deploy"))
    assert attempts(runs, "network") == 1


def test_only_a_transient_error_is_tried_again(runs: Runs) -> None:
    runs.stacks["demo"] = {"network": {"transient": 2}}
    assert runs.run("deploy").success
    assert attempts(runs, "network") == 3


def test_retries_end_with_the_tool_s_own_words(runs: Runs) -> None:
    runs.stacks["demo"] = {"network": {"transient": 99}}
    result = runs.run("deploy")
    assert failure(result) == "Throttling: rate exceeded"
    assert attempts(runs, "network") == MAX_RETRIES + 1


def test_partial_selection_deploys_that_unit_and_needs_its_neighbours(runs: Runs) -> None:
    bucket, network = (names.deploy_key("demo", u) for u in ("bucket", "network"))
    alone = runs.run("deploy", keys=[bucket])
    assert "needs network" in failure(alone)
    assert runs.run("deploy", keys=[network]).success
    assert runs.run("deploy", keys=[bucket]).success
    assert attempts(runs, "network") == 1


def test_after_a_teardown_the_assets_are_not_materialized_but_tell_what_happened(
    runs: Runs,
) -> None:
    runs.run("deploy")
    result = runs.run("teardown", confirm="demo")
    assert result.success
    for unit in CHAIN:
        key = names.deploy_key("demo", unit)
        assert not runs.materialized(key)
        [observed] = runs.instance.fetch_observations(key, limit=5).records
        assert observed.asset_observation is not None
        assert observed.asset_observation.description == "destroyed"
        assert observed.run_id == result.run_id
        assert runs.materialized(names.cleanup_key("demo", unit))
    order = [e["unit"] for e in journal(runs.site.settings) if e["what"] == "begin"]
    assert order == ["network", "bucket", "bucket", "network"]


def test_a_new_deploy_takes_the_cleanup_asset_s_materialization_away(runs: Runs) -> None:
    runs.run("deploy")
    runs.run("teardown", confirm="demo")
    runs.run("deploy")
    assert not runs.materialized(names.cleanup_key("demo", "network"))
    assert runs.materialized(names.deploy_key("demo", "network"))


def test_destroying_what_was_never_deployed_is_a_success_and_says_so(runs: Runs) -> None:
    assert runs.run("teardown", confirm="demo").success
    key = names.cleanup_key("demo", "bucket")
    event = runs.instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["note"].value == "was never deployed"
    assert not runs.instance.fetch_observations(names.deploy_key("demo", "bucket"), 5).records


def test_a_wrong_confirmation_destroys_nothing(runs: Runs) -> None:
    runs.run("deploy")
    result = runs.run("teardown", confirm="other")
    assert "nothing was destroyed" in failure(result)
    assert runs.materialized(names.deploy_key("demo", "bucket"))
    assert attempts(runs, "bucket") == 1


def test_a_teardown_of_all_stacks_touches_the_confirmed_one_only(runs: Runs) -> None:
    runs.stacks["other"] = CHAIN
    runs.run("deploy")
    result = runs.run("teardown", confirm="demo")
    assert result.success
    assert not runs.materialized(names.deploy_key("demo", "network"))
    assert runs.materialized(names.deploy_key("other", "network"))
    assert not runs.materialized(names.cleanup_key("other", "network"))


def test_a_stack_that_is_known_but_not_part_of_the_run_confirms_nothing(runs: Runs) -> None:
    runs.stacks["other"] = CHAIN
    runs.run("deploy")
    keys = [names.cleanup_key("demo", unit) for unit in CHAIN]
    assert "nothing was destroyed" in failure(runs.run("teardown", confirm="other", keys=keys))


def test_materialize_all_without_a_confirmation_is_refused_before_it_starts(runs: Runs) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="teardown"):
        runs.run("teardown")
    with pytest.raises(dg.DagsterInvalidConfigError, match="teardown"):
        runs.run(names.ASSET_JOB)


def test_destroying_one_unit_alone_is_refused_while_another_uses_it(runs: Runs) -> None:
    runs.run("deploy")
    keys = [names.cleanup_key("demo", "network")]
    assert "still uses" in failure(runs.run("teardown", confirm="demo", keys=keys))
    keys = [names.cleanup_key("demo", "bucket")]
    assert runs.run("teardown", confirm="demo", keys=keys).success


def test_drift_warns_and_passes_for_what_is_not_deployed(runs: Runs) -> None:
    runs.stacks["demo"] = {"network": {"drifts": True}, "bucket": {}}
    runs.run("deploy", keys=[names.deploy_key("demo", "network")])
    checks = {c.asset_key: c for c in runs.run("drift").get_asset_check_evaluations()}
    drifted = checks[names.deploy_key("demo", "network")]
    assert not drifted.passed
    assert drifted.severity == dg.AssetCheckSeverity.WARN
    assert "update a.b" in str(drifted.metadata["changes"].value)
    absent = checks[names.deploy_key("demo", "bucket")]
    assert absent.passed
    assert "not deployed" in str(absent.description)


def test_where_to_and_replan_are_said_by_the_run_s_tags(runs: Runs) -> None:
    runs.run("deploy", tags={"mlstacks/target": "sandbox", "mlstacks/replan": "true"})
    entry = journal(runs.site.settings)[0]
    assert (entry["target"], entry["replan"]) == ("sandbox", True)


def test_a_teardown_that_leaves_something_fails_and_shows_the_table(runs: Runs) -> None:
    assert runs.run("deploy").success
    (runs.site.settings.home / "leftover").touch()
    result = runs.run("teardown", confirm="demo")
    assert not result.success
    [failed] = [e for e in result.all_events if e.is_step_failure]
    assert failed.step_key == "teardown__demo__verified"
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert data.metadata["left"].value == "| a |"
    assert not runs.materialized(names.cleanup_key("demo", names.VERIFIED))
    (runs.site.settings.home / "leftover").unlink()
    again = [names.cleanup_key("demo", names.VERIFIED)]
    assert runs.run("teardown", confirm="demo", keys=again).success
    assert runs.materialized(again[0])
