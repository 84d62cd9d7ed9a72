"""Runs of the command line in real step processes, with the fake lifecycle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.instance import open_instance
from mlstacks_dagster.defs.launch import LaunchResult, launch
from mlstacks_dagster.defs.reconcile import reconcile
from mlstacks_dagster.defs.requests import LaunchRequest
from mlstacks_dagster.defs.stack_lock import lock_path
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.models import Progress, StackEntry
from mlstacks_dagster.settings import Settings

FAKES = Path(__file__).parents[1] / "unit" / "defs"
sys.path.insert(0, str(FAKES))

from fake_lifecycle import entry_of, journal  # noqa: E402

CHAIN: dict[str, dict[str, Any]] = {"network": {}, "bucket": {"needs": ["network"]}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        stacks_dir=tmp_path / "stacks",
        ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        lock_timeout=120.0,
    )


def run(settings: Settings, request: LaunchRequest, **callbacks: Any) -> LaunchResult:
    return launch(request, settings, lifecycle="fake_lifecycle", **callbacks)


def outcomes(result: LaunchResult) -> dict[str, str]:
    return {unit: found.outcome for unit, found in result.units.items()}


def start(settings: Settings, kind: str, units: dict[str, Any]) -> subprocess.Popen[str]:
    argv = [sys.executable, str(FAKES / "launch_script.py"), str(settings.home), kind, "demo"]
    return subprocess.Popen([*argv, json.dumps(units)], stdout=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def until(found: Iterator[dict[str, Any]], key: str) -> dict[str, Any]:
    for line in found:
        if key in line:
            return dict(line)
    raise AssertionError(f"no {key}")


def test_deploy_again_drift_and_destroy_are_runs_that_dagster_shows(settings: Settings) -> None:
    entry = entry_of("my-demo", CHAIN)
    seen: list[Progress] = []
    first = run(settings, LaunchRequest("deploy", entry, target="sandbox"), on_progress=seen.append)
    assert first.success
    assert outcomes(first) == {"network": "applied", "bucket": "applied"}
    assert [p.unit for p in seen if p.state == "done"] == ["network", "bucket"]
    assert outcomes(run(settings, LaunchRequest("deploy", entry)))["bucket"] == "unchanged"
    assert outcomes(run(settings, LaunchRequest("drift", entry)))["bucket"] == "in_sync"
    with open_instance(settings) as instance:
        record = instance.get_run_by_id(first.run_id)
        assert record is not None
        assert record.job_name == "deploy"
        assert record.tags["mlstacks/stack"] == "my-demo"
        assert record.tags["mlstacks/target"] == "sandbox"
        assert record.remote_job_origin is not None
        assert record.remote_job_origin.location_name == "mlstacks_dagster"
        assert record.asset_selection == {names.deploy_key("my-demo", u) for u in CHAIN}
        key = names.deploy_key("my-demo", "bucket")
        assert instance.get_latest_materialization_event(key) is not None
        down = run(settings, LaunchRequest("destroy", entry, reason="test"))
        assert outcomes(down) == {"network": "destroyed", "bucket": "destroyed"}
        assert instance.get_latest_materialization_event(key) is None
        observed = instance.fetch_observations(key, 1).records[0].asset_observation
        assert observed is not None
        assert observed.description == "destroyed"
        [log] = instance.compute_log_manager.get_log_keys_for_log_key_prefix(
            [first.run_id, "compute_logs"],
            io_type=dg._core.storage.compute_log_manager.ComputeIOType.STDOUT,  # type: ignore[attr-defined]
        )[:1]
        data = instance.compute_log_manager.get_log_data(log)
        assert b"raw line of" in (data.stdout or b"")
    left = sorted(p.suffix for p in settings.runs_dir.iterdir())
    assert left == [], "pins, progress files and alive files go with their runs"


def test_what_a_step_imports_was_imported_by_the_server_that_it_is_forked_from(
    settings: Settings, tmp_path: Path
) -> None:
    program = (
        "import sys, pathlib, mlstacks_dagster.defs.preload;"
        "pathlib.Path(sys.argv[1]).write_text('\\n'.join(sys.modules))"
    )
    server, step = tmp_path / "server", tmp_path / "step"
    subprocess.run([sys.executable, "-c", program, str(server)], check=True)
    unit = {"network": {"modules": str(step)}}
    assert run(settings, LaunchRequest("deploy", entry_of("demo", unit))).success
    later = set(step.read_text().splitlines()) - set(server.read_text().splitlines())
    heavy = {n for n in later if n.partition(".")[0] in ("dagster", "mlstacks_dagster", "upath")}
    assert heavy == set()


def test_a_failed_unit_is_named_with_its_error_and_only_it_is_retried(settings: Settings) -> None:
    broken = entry_of("demo", {"network": {}, "bucket": {"needs": ["network"], "fail": "no quota"}})
    result = run(settings, LaunchRequest("deploy", broken))
    assert not result.success
    assert not result.cancelled
    assert outcomes(result) == {"network": "applied", "bucket": "failed"}
    assert result.units["bucket"].error == "no quota\n  -> mend it"
    again = run(settings, LaunchRequest("deploy", entry_of("demo", CHAIN), units=("bucket",)))
    assert outcomes(again) == {"bucket": "applied"}
    begun = [e["unit"] for e in journal(settings) if e["what"] == "begin"]
    assert begun == ["network", "bucket", "bucket"]


def test_an_unknown_unit_and_a_broken_stack_are_refused_before_anything_runs(
    settings: Settings,
) -> None:
    with pytest.raises(InputError, match="no unit nonsense"):
        run(settings, LaunchRequest("deploy", entry_of("demo", CHAIN), units=("nonsense",)))
    with pytest.raises(InputError, match="bad file"):
        run(settings, LaunchRequest("deploy", StackEntry(name="x", problems=("bad file",))))
    assert not settings.dagster_home.exists()


def test_a_second_launch_of_one_stack_waits_for_the_first_and_says_so(settings: Settings) -> None:
    first = start(settings, "deploy", {"network": {"hold": True}})
    found = lines(first)
    until(found, "progress")
    second = start(settings, "deploy", {"network": {}})
    log = until(lines(second), "log")["log"]
    assert "waiting for run" in log
    assert "stack demo" in log
    (settings.home / "go").touch()
    one = until(found, "result")["result"]
    assert one["success"]
    assert one["run_id"] in log
    second.communicate(timeout=120)
    assert second.returncode == 0
    kinds = [e["what"] for e in journal(settings)]
    assert kinds == ["begin", "end", "begin", "end"], "the two runs overlapped"


def test_ctrl_c_cancels_the_run_and_leaves_no_lock(settings: Settings) -> None:
    process = start(
        settings, "deploy", {"network": {"hold": True}, "bucket": {"needs": ["network"]}}
    )
    found = lines(process)
    until(found, "progress")
    process.send_signal(signal.SIGINT)
    result = until(found, "result")["result"]
    process.wait(60)
    assert result["cancelled"]
    assert not result["success"]
    assert result["units"]["bucket"]["outcome"] == "skipped"
    assert [e["what"] for e in journal(settings)] == ["begin", "end"]
    assert locks.holder(lock_path(settings, "demo")) is None
    with open_instance(settings) as instance:
        record = instance.get_run_by_id(result["run_id"])
        assert record is not None
        assert record.status == dg.DagsterRunStatus.CANCELED


def test_a_killed_run_frees_its_lock_and_is_closed_by_the_next(settings: Settings) -> None:
    process = start(settings, "deploy", {"network": {"hold": True}})
    until(lines(process), "progress")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    (settings.home / "go").touch()
    assert locks.holder(lock_path(settings, "demo")) is None
    with open_instance(settings) as instance:
        [dead] = instance.get_runs()
        assert dead.status == dg.DagsterRunStatus.STARTED
    assert run(settings, LaunchRequest("drift", entry_of("demo", {"network": {}}))).success
    with open_instance(settings) as instance:
        closed = instance.get_run_by_id(dead.run_id)
        assert closed is not None
        assert closed.status == dg.DagsterRunStatus.FAILURE
        assert reconcile(instance, settings) == []
