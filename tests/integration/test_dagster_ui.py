"""The UI's real processes (code server, guarded web server, daemon) with the fake lifecycle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.defs.launch import launch
from mlstacks_dagster.defs.requests import LaunchRequest
from mlstacks_dagster.defs.stack_lock import lock_path
from mlstacks_dagster.defs.ui import running_ui, serve_ui
from mlstacks_dagster.defs.ui_services import UiState
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.settings import Settings

FAKES = Path(__file__).parents[1] / "unit" / "defs"
sys.path.insert(0, str(FAKES))

from fake_lifecycle import entry_of, journal  # noqa: E402

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
  status jobName tags { key value } repositoryOrigin { repositoryLocationName } } } }"""
STATE = """{ assetNodes { assetKey { path } groupName description
  assetMaterializations(limit: 1) { runId } } }"""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
PATIENCE_SECONDS = 180.0


class Ui:
    """A running UI, asked over HTTP."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings

    def post(self, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        head = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.url}/graphql", body, head)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def submit(self, stack: str, *units: str, job: str = "__ASSET_JOB", confirm: str = "") -> Any:
        prefix = ["cleanup", stack] if confirm else [stack]
        selector: dict[str, Any] = {
            "repositoryLocationName": "mlstacks_dagster",
            "repositoryName": "__repository__",
            "jobName": job,
            "assetSelection": [{"path": [*prefix, unit]} for unit in units] or None,
        }
        config = {"resources": {"teardown": {"config": {"confirm": confirm}}}} if confirm else {}
        params = {"selector": selector, "runConfigData": config}
        return self.post(LAUNCH, p=params)["launchRun"]

    def launch(self, *args: str, **kwargs: str) -> str:
        answer = self.submit(*args, **kwargs)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.post(RUN, id=run_id)["runOrError"])

    def ended(self, run_id: str) -> str:
        wait(lambda: self.run(run_id)["status"] in ENDED)
        return str(self.run(run_id)["status"])

    def assets(self) -> dict[tuple[str, ...], dict[str, Any]]:
        return {tuple(n["assetKey"]["path"]): n for n in self.post(STATE)["assetNodes"]}

    def reload(self) -> None:
        self.post(
            'mutation { reloadRepositoryLocation(repositoryLocationName: "mlstacks_dagster") '
            "{ __typename } }"
        )

    def write(self, stack: str, units: dict[str, Any]) -> Path:
        path = self.settings.stacks_dir / f"{stack}.json"
        path.write_text(json.dumps({"name": stack, "units": units}))
        return path


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui")
    settings = Settings(
        home=home, stacks_dir=home / "stacks", ledger_url=f"sqlite:///{home / 'ledger.db'}"
    )
    settings.stacks_dir.mkdir()
    ready, stop, errors = threading.Event(), threading.Event(), []
    found: list[str] = []

    def serve() -> None:
        try:
            serve_ui(settings, 0, lambda url: (found.append(url), ready.set())[1], stop,
                     module="fake_location")  # fmt: skip
        except BaseException as error:  # noqa: BLE001 (shown by the fixture)
            errors.append(error)
            ready.set()

    made = Ui("", settings)
    made.write("demo", {"network": {"hold": True}, "bucket": {"needs": ["network"]}})
    made.write("a-b", {"network": {}})
    made.write("a_b", {"network": {}})
    (settings.stacks_dir / "broken.json").write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAKES))
        thread = threading.Thread(target=serve)
        thread.start()
        ready.wait(PATIENCE_SECONDS)
        try:
            assert not errors, errors
            made.url = found[0]
            wait(lambda: bool(made.assets()))
            yield made
        finally:
            stop.set()
            thread.join(120)
    assert not errors
    assert running_ui(settings) is None
    assert not (home / "ui.json").exists()


def test_a_broken_file_leaves_the_other_stacks_and_is_shown(ui: Ui) -> None:
    assets = ui.assets()
    assert {("demo", "bucket"), ("a-b", "network"), ("a_b", "network")} <= set(assets)
    assert assets["invalid_stacks", "broken"]["groupName"] == "invalid_stacks"
    assert "can't be used" in assets["invalid_stacks", "broken"]["description"]


def test_a_second_start_finds_the_first(ui: Ui) -> None:
    assert running_ui(ui.settings) == ui.url


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_sites_are_refused_and_our_own_page_is_served(
    ui: Ui, headers: dict[str, str]
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ui.post("{ version }", headers)
    assert refused.value.code in (400, 403)
    assert ui.post("{ version }", {"Origin": ui.url})["version"]


def test_a_mutation_in_a_url_is_refused(ui: Ui) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{ui.url}/graphql?query=mutation%7B__typename%7D", timeout=30)
    assert refused.value.code == 403


def test_materialize_all_without_a_confirmation_destroys_nothing(ui: Ui) -> None:
    answer = ui.submit("demo", job="__ASSET_JOB")
    assert answer["__typename"] == "RunConfigValidationInvalid"
    assert "teardown" in json.dumps(answer)


def test_simultaneous_runs_of_one_stack_queue_and_survive_the_loss_of_its_file(ui: Ui) -> None:
    """First use of the stack's pool: stock Dagster lets two runs through here."""
    runs = [ui.launch("demo", "network", "bucket") for _ in range(3)]
    wait(lambda: bool(journal(ui.settings)))
    file = ui.settings.stacks_dir / "demo.json"
    file.unlink()
    ui.reload()
    assert ui.ended(ui.launch("a-b", "network")) == "SUCCESS"
    statuses = sorted(ui.run(run)["status"] for run in runs)
    assert statuses == ["QUEUED", "QUEUED", "STARTED"]
    assert locks.holder(lock_path(ui.settings, "demo")) is not None
    (ui.settings.home / "go").touch()
    assert [ui.ended(run) for run in runs] == ["SUCCESS"] * 3
    mine = [e for e in journal(ui.settings) if e["stack"] == "demo"]
    assert [e["what"] for e in mine] == ["begin", "end"] * 6, "two runs overlapped"
    tags = {t["key"]: t["value"] for t in ui.run(runs[0])["tags"]}
    assert (tags["mlstacks/stack"], tags["mlstacks/action"]) == ("demo", "deploy")
    ui.write("demo", {"network": {}, "bucket": {"needs": ["network"]}})
    ui.reload()
    wait(lambda: ("demo", "bucket") in ui.assets())


def test_the_teardown_job_touches_the_confirmed_stack_only(ui: Ui) -> None:
    deploys = [ui.launch(stack, "network") for stack in ("a_b", "a-b")]
    assert [ui.ended(run) for run in deploys] == ["SUCCESS"] * 2
    run = ui.launch("a_b", job="teardown", confirm="a_b")
    assert ui.ended(run) == "SUCCESS"
    assets = ui.assets()
    assert not assets["a_b", "network"]["assetMaterializations"]
    assert assets["cleanup", "a_b", "network"]["assetMaterializations"]
    assert assets["a-b", "network"]["assetMaterializations"]
    assert not assets["cleanup", "a-b", "network"]["assetMaterializations"]


def test_terminate_ends_the_step_and_frees_the_stack(ui: Ui) -> None:
    (ui.settings.home / "go").unlink(missing_ok=True)
    ui.write("held", {"network": {"hold": True}})
    ui.reload()
    wait(lambda: ("held", "network") in ui.assets())
    run = ui.launch("held", "network")
    wait(lambda: any(e["stack"] == "held" for e in journal(ui.settings)))
    ui.post("mutation($id: String!) { terminateRun(runId: $id) { __typename } }", id=run)
    assert ui.ended(run) == "CANCELED"
    assert [e["what"] for e in journal(ui.settings) if e["stack"] == "held"] == ["begin", "end"]
    wait(lambda: locks.holder(lock_path(ui.settings, "held")) is None)


def test_a_run_of_the_command_line_is_shown_with_its_job(ui: Ui) -> None:
    result = launch(
        LaunchRequest("deploy", entry_of("a-b", {"network": {}})),
        ui.settings,
        lifecycle="fake_lifecycle",
    )
    assert result.success
    shown = ui.run(result.run_id)
    assert shown["status"] == "SUCCESS"
    assert shown["jobName"] == "deploy"
    assert shown["repositoryOrigin"]["repositoryLocationName"] == "mlstacks_dagster"
    assert ui.assets()["a-b", "network"]["assetMaterializations"][0]["runId"] == result.run_id


SERVE = """
import sys
from pathlib import Path
from mlstacks_dagster.defs.ui import serve_ui
from mlstacks_dagster.settings import Settings
home = Path(sys.argv[1])
settings = Settings(home=home, stacks_dir=home, ledger_url=f"sqlite:///{home / 'ledger.db'}")
serve_ui(settings, 0, lambda url: print(url, flush=True), module="fake_location")
"""


def test_sigterm_ends_every_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    settings = Settings(home=tmp_path, stacks_dir=tmp_path)
    state = UiState.read(settings)
    assert state is not None
    assert [s.name for s in state.services if s.alive()] == ["code-server", "daemon", "web-server"]
    process.terminate()
    assert process.wait(120) == 0
    assert not [s.name for s in state.services if s.alive()]
    assert UiState.read(settings) is None
