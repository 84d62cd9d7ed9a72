"""The demo as its user sees it: in a real browser, on the UI that ``make ui`` starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.settings import data_root
from tests.browser.page import Page
from tests.integration.conftest import Sandbox
from tests.integration.ui import Ui, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]

EXAMPLES = data_root() / "examples"
STACK = EXAMPLES / "aws-quickstart" / "stack.yaml"
GRAPH = "/locations/__repository__@mlstacks_dagster/asset-groups/quickstart/lineage"
TEARDOWN = "/locations/mlstacks_dagster/jobs/teardown"
CONFIRM = "resources:\n  teardown:\n    config:\n      confirm: {}\n"
MISSING = 'Missing required config entry "confirm"'
ASSETS = """{ assetNodes { groupName assetKey { path } dependencyKeys { path } } }"""
RUNS = """{ runsOrError(limit: 50) { ... on Runs { results { runId status jobName } } } }"""


def test_the_demo_is_seen_and_torn_down_in_a_browser(
    browser: Callable[[str], Page], sandbox: Sandbox, tmp_path: Path
) -> None:
    show = {"MLSTACKS_STACKS_DIR": str(EXAMPLES)}
    empty = sandbox.account.everything()
    demo = sandbox.cli.run("demo", **show)
    planned = json.loads(sandbox.cli.run("plan", "-f", str(STACK), "--json", **show).stdout)
    units = {unit["unit"] for unit in planned["units"]}
    _the_demo_says_what_it_did(demo.stdout, units)
    with serving(sandbox.cli, tmp_path, **show) as ui:
        page = browser(ui.url)
        _the_graph_shows_the_plan(page, planned)
        _the_run_has_its_log(page)
        _nothing_is_launched_without_confirmation(page)
        assert sandbox.account.everything() != empty
        _the_teardown_is_launched(page, ui)
        _the_graph_shows_nothing_deployed(page, units)
    assert sandbox.account.everything() == empty


def _the_demo_says_what_it_did(text: str, units: set[str]) -> None:
    ended = dict(re.findall(r"^(\w+) +(\w+)$", text, re.MULTILINE))
    assert {unit: ended.get(unit) for unit in units} == dict.fromkeys(units, "applied")
    for said in (
        "artifact_store_s3.bucket_name = ",
        "cluster.cluster_endpoint = ",
        " ui --sandbox",
    ):
        assert said in text


def _the_graph_shows_the_plan(page: Page, planned: dict[str, Any]) -> None:
    depends = {unit["unit"]: set(unit["after"]) for unit in planned["units"]}
    assert len(depends) == 12
    page.size(2300, 1700)
    page.open(GRAPH, "Materialize all")
    page.remember(asset_node_facets=["status", "latest-event", "kind-tag"])
    page.click("Hide navigation")
    page.open(GRAPH, "Materialize all")

    def all_there() -> bool:
        nodes = page.nodes()
        return set(nodes) == set(depends) and all("Materialized" in t for t in nodes.values())

    page.until(all_there, "all units materialized")
    edges = sum(len(names) for names in depends.values())
    page.until(lambda: page.edges() == edges, f"{edges} edges")
    shown = {
        asset["assetKey"]["path"][-1]: {key["path"][-1] for key in asset["dependencyKeys"]}
        for asset in page.ask(ASSETS)["assetNodes"]
        if asset["groupName"] == "quickstart"
    }
    assert shown == depends
    page.picture("graph")


def _the_run_has_its_log(page: Page) -> None:
    page.size(1200, 1000)
    page.open(f"/runs/{_latest(page)['runId']}", "Success")
    page.see("RUN_SUCCESS", "deploy__quickstart__network", "experiment_tracker_mlflow")
    page.picture("run")


def _nothing_is_launched_without_confirmation(page: Page) -> None:
    before = page.ask(RUNS)
    # With partitioned assets among all the others, the button has three dots.
    for path, button in ((TEARDOWN, "Materialize all"), ("/asset-groups", "Materialize all…")):
        page.open(path, button)
        page.click(button)
        page.see("Launchpad", MISSING)
        assert page.disabled("Materialize"), "it could be launched without confirmation"
    assert page.ask(RUNS) == before


def _the_teardown_is_launched(page: Page, ui: Ui) -> None:
    page.open(TEARDOWN, "Materialize all")
    page.click("Materialize all")
    page.see(MISSING)
    page.write(CONFIRM.format("quickstart"))
    page.until(lambda: MISSING not in page.text, "a configuration without errors")
    page.picture("teardown")
    page.click("Materialize")
    page.until(lambda: _latest(page)["jobName"] == "teardown", "the teardown run")
    run = _latest(page)["runId"]
    page.leave()
    assert ui.ended(run) == "SUCCESS"
    page.open(f"/runs/{run}", "teardown")
    page.see("RUN_SUCCESS", "verified")
    page.picture("teardown-run")


def _latest(page: Page) -> dict[str, Any]:
    return dict(page.ask(RUNS)["runsOrError"]["results"][0])


def _the_graph_shows_nothing_deployed(page: Page, units: set[str]) -> None:
    page.size(2300, 1700)
    page.open(GRAPH, "Materialize all")

    def none_there() -> bool:
        nodes = page.nodes()
        return set(nodes) == units and all("Never materialized" in t for t in nodes.values())

    page.until(none_there, "units that were never materialized")
    assert not [text for text in page.nodes().values() if "Materialized" in text]
    page.picture("graph-after-teardown")
