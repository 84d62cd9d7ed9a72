"""A teardown sensor in the real daemon, over a restart; the lifecycle is the fake one."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from mlstacks_dagster.defs.instance import open_instance
from mlstacks_dagster.defs.sensors import EXPIRED
from mlstacks_dagster.defs.teardown_runs import TAG_REASON
from mlstacks_dagster.defs.ui import serve_ui
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.settings import Settings

FAKES = Path(__file__).parents[1] / "unit" / "defs"
sys.path.insert(0, str(FAKES))

from fake_lifecycle import journal, plan_of  # noqa: E402

UNITS: dict[str, dict[str, object]] = {"network": {}, "bucket": {"needs": ["network"]}}
PATIENCE_SECONDS = 300.0


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Run the UI with its daemon until the block is left."""
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=serve_ui,
        args=(settings, 0, lambda _: ready.set(), stop),
        kwargs={"module": "fake_location"},
    )
    thread.start()
    try:
        assert ready.wait(PATIENCE_SECONDS)
        yield
    finally:
        stop.set()
        thread.join(120)
    assert not thread.is_alive()


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)


def ticks(instance: dg.DagsterInstance) -> int:
    """Return how often the sensor was evaluated."""
    return sum(
        len(instance.get_ticks(state.instigator_origin_id, state.selector_id))
        for state in instance.all_instigator_state()
        if state.instigator_name == EXPIRED
    )


def write_stack(settings: Settings, name: str) -> None:
    path = settings.stacks_dir / f"{name}.json"
    path.write_text(json.dumps({"name": name, "units": UNITS}))


def deploy_expired(settings: Settings) -> None:
    """Leave a stack as a deploy of the command line does, its end an hour ago."""
    deployed = settings.home / "deployed"
    deployed.mkdir()
    with Ledger.open(settings.ledger_url) as ledger:
        stack = ledger.register_stack(
            plan_of("demo", UNITS), target="cloud", expires_at=int(time.time()) - 3600
        )
        ledger.bump_generation(stack.stack_id, "deploy")
        for unit in UNITS:
            (deployed / f"demo.{unit}").touch()
            begun = ledger.begin(
                stack.stack_id, unit, engine="terraform", kind="deploy", run_id="deploy"
            )
            ledger.finish(begun.id, "ok", summary={})
    write_stack(settings, "demo")


def test_an_expired_stack_is_torn_down_once_over_a_restart_and_without_a_reload_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack is deployed while the UI runs, which doesn't know it yet; the daemon is restarted
    after the teardown. The fake leaves the stack in the ledger, as a teardown that did not finish
    would: so the second daemon finds it still due, but waits."""
    settings = Settings(
        home=tmp_path,
        stacks_dir=tmp_path / "stacks",
        ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
    )
    settings.stacks_dir.mkdir()
    write_stack(settings, "other")
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    with serving(settings), open_instance(settings) as instance:
        deploy_expired(settings)
        wait(lambda: instance.get_runs_count() > 0, "the teardown")
        [run] = instance.get_runs()
        assert run.tags[TAG_REASON] == "expired"
        wait(lambda: instance.get_runs()[0].is_finished, "its end")
        before = ticks(instance)
    with serving(settings), open_instance(settings) as instance:
        wait(lambda: ticks(instance) >= before + 2, "two more evaluations")
        [run] = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
    ended = [e["unit"] for e in journal(settings) if e["what"] == "end"]
    assert ended == ["bucket", "network"]
