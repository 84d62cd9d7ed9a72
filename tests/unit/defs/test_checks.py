"""The asset checks of a unit: drift; of a release its health and exposure too."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from fake_lifecycle import entry_of, journal

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.checks import DRIFT, EXPOSURE, HEALTH
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.lifecycle.models import StackSnapshot

KEY = names.deploy_key("demo", "web")
ASKS = {"url": "https://web/", "answer": "401"}
OPEN = {"url": "https://web/", "answer": "200", "wrong": "answers without credentials"}
UNKNOWN = {"url": "https://x/", "answer": "doesn't answer from here", "state": "unknown"}
EMULATED = {"url": "https://e/", "answer": "emulated: nothing answers here", "state": "emulated"}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
Found = dict[str, dg.AssetCheckEvaluation]


class Checks:
    """Deploys and checks one unit in this process; ``done`` is the last run's result."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.site = site
        self.instance = instance
        self.done: dg.ExecuteInProcessResult | None = None

    def run(self, job: str, unit: dict[str, Any], *checks: str) -> Found:
        """Run a job on the unit, or on some of its checks only; return what the checks found."""
        entry = entry_of("demo", {"web": {"engine": "helm", **unit}})
        definitions = build_defs(StackSnapshot(stacks=(entry,)), self.site)
        found = definitions.resolve_job_def(job)
        if checks:
            keys = {dg.AssetCheckKey(KEY, name) for name in checks}
            found = found.get_subset(asset_check_selection=keys)
        self.done = found.execute_in_process(
            instance=self.instance,
            asset_selection=None if checks or job == "drift" else [KEY],
            raise_on_error=False,
        )
        return {c.check_name: c for c in self.done.get_asset_check_evaluations()}

    def materialize_all(self, **unit: Any) -> Found:
        """Deploy the unit with its checks, as the UI's button does."""
        return self.run(names.ASSET_JOB, unit)

    def deployed(self, *checks: str, **unit: Any) -> Found:
        """Check the unit, which an earlier run deployed, in a run of its own."""
        mark = self.site.settings.home / "deployed" / "demo.web"
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        return self.run("drift", unit, *checks)

    def asked(self) -> list[str]:
        """What the lifecycle was asked for by checks."""
        said = (entry["what"] for entry in journal(self.site.settings))
        return [what for what in said if what in ("compared", "looked")]


@pytest.fixture
def checks(site: Site, instance: dg.DagsterInstance) -> Checks:
    return Checks(site, instance)


def test_the_run_that_deploys_asks_for_health_and_exposure_and_compares_nothing(
    checks: Checks,
) -> None:
    found = checks.materialize_all(health=["pod web-1: Pending"], endpoints=[OPEN])
    assert checks.asked() == ["looked"]
    assert (found[HEALTH].passed, found[HEALTH].severity) == (False, ERROR)
    assert found[HEALTH].description == "pod web-1: Pending"
    assert (found[EXPOSURE].passed, found[EXPOSURE].severity) == (False, ERROR)
    assert found[EXPOSURE].description == "https://web/: answers without credentials"
    assert found[DRIFT].passed
    assert "not compared" in str(found[DRIFT].description)


def test_the_run_that_deploys_asks_nothing_of_a_terraform_unit(checks: Checks) -> None:
    found = checks.materialize_all(engine="terraform")
    assert found[DRIFT].passed
    assert HEALTH not in found
    assert checks.asked() == []


def test_an_error_of_a_check_is_not_one_of_the_deploy(checks: Checks) -> None:
    found = checks.materialize_all(blind="the API is down")
    assert checks.done is not None
    assert checks.done.success, "else the stack might be torn down for it"
    assert not found[HEALTH].passed
    assert "the API is down" in str(found[HEALTH].description)
    assert (found[EXPOSURE].passed, found[EXPOSURE].severity) == (False, WARN)
    assert "the API is down" in str(found[EXPOSURE].metadata["endpoints"].value)


def test_an_error_of_a_check_fails_a_run_of_its_own(checks: Checks) -> None:
    assert HEALTH not in checks.deployed(blind="the API is down")
    assert checks.done is not None
    assert not checks.done.success


def test_health_and_exposure_alone_need_no_comparison(checks: Checks) -> None:
    assert set(checks.deployed(HEALTH, EXPOSURE)) == {HEALTH, EXPOSURE}
    assert checks.asked() == ["looked"]
    assert set(checks.run("drift", {})) >= {DRIFT, HEALTH, EXPOSURE}
    assert checks.asked() == ["looked", "compared"]


def test_a_healthy_release_whose_ways_in_all_ask_who_is_there_passes(checks: Checks) -> None:
    found = checks.deployed(endpoints=[ASKS])
    assert (found[HEALTH].passed, found[HEALTH].description) == (True, "healthy")
    assert found[EXPOSURE].passed
    assert found[EXPOSURE].description == "1 ways in: 1 answered, none of them open"
    assert found[EXPOSURE].metadata["endpoints"].value == "- https://web/: 401"


def test_an_endpoint_that_answers_without_credentials_fails_the_check(checks: Checks) -> None:
    found = checks.deployed(endpoints=[ASKS, OPEN])[EXPOSURE]
    assert (found.passed, found.severity) == (False, ERROR)
    assert found.metadata["endpoints"].value == (
        "- https://web/: 401\n- https://web/: answers without credentials, 200"
    )


def test_a_release_that_opens_nothing_says_so(checks: Checks) -> None:
    found = checks.deployed()[EXPOSURE]
    assert (found.passed, found.description) == (True, "no way in")


def test_what_can_not_be_asked_is_not_said_to_be_closed(checks: Checks) -> None:
    found = checks.deployed(endpoints=[UNKNOWN])[EXPOSURE]
    assert (found.passed, found.severity) == (False, WARN)
    assert found.description == "1 ways in: 1 can't be reached from here: unknown"
    assert found.metadata["unknown"].value == 1


def test_what_can_not_be_asked_is_counted_and_listed_beside_what_answered(checks: Checks) -> None:
    found = checks.deployed(endpoints=[ASKS, UNKNOWN])[EXPOSURE]
    assert found.passed
    assert "1 answered, none of them open, 1 can't be reached" in str(found.description)
    listed = str(found.metadata["endpoints"].value)
    assert "- https://x/: doesn't answer from here (unknown)" in listed


def test_an_emulated_cluster_gives_no_warning_and_no_false_promise(checks: Checks) -> None:
    found = checks.deployed(endpoints=[EMULATED])[EXPOSURE]
    assert found.passed
    assert found.description == "1 ways in: 1 emulated: nothing answers here"
    not_meant = {**EMULATED, "wrong": "Service default/x is not meant to be reachable"}
    assert not checks.run("drift", {"endpoints": [not_meant]})[EXPOSURE].passed


def test_what_is_not_deployed_is_neither_healthy_nor_closed(checks: Checks) -> None:
    found = checks.run("drift", {})
    assert all(check.passed for check in found.values())
    for name in (HEALTH, EXPOSURE):
        assert "not deployed" in str(found[name].description)
