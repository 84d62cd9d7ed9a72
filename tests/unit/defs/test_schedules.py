"""What runs by itself: sensors, the schedule for drift; and where nothing does."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import dagster as dg
from fake_lifecycle import entry_of
from sensor_world import CHAIN, World

from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.coordinator import TAG_STACK
from mlstacks_dagster.defs.expiry import EXPIRY
from mlstacks_dagster.defs.late import LATE
from mlstacks_dagster.defs.schedules import DRIFT_SCHEDULE
from mlstacks_dagster.defs.sensors import EXPIRED, FAILED, IDLE, REMOVED
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.lifecycle.models import StackSnapshot


def test_which_sensors_run_by_themselves(world: World) -> None:
    world.deploy()
    found = {s.name: s.default_status for s in world.definitions().sensors or ()}
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    assert found == {
        EXPIRED: running,
        FAILED: running,
        REMOVED: running,
        IDLE: stopped,
        LATE: running,
    }


def test_the_schedule_compares_each_deployed_stack_in_a_run_of_its_own(world: World) -> None:
    world.deploy()
    world.deploy("other")
    world.entries["idle"] = entry_of("idle", CHAIN)
    definitions = world.definitions()
    schedule = definitions.resolve_schedule_def(DRIFT_SCHEDULE)
    context = dg.build_schedule_context(
        instance=world.instance,
        repository_def=definitions.get_repository_def(),
        scheduled_execution_time=datetime(2026, 1, 1, 3, 30, tzinfo=UTC),
    )
    requests = schedule.evaluate_tick(context).run_requests or []
    assert {r.tags[TAG_STACK] for r in requests} == {"demo", "other"}
    for request in requests:
        keys = request.asset_check_keys or ()
        assert {k.asset_key.path[0] for k in keys} == {request.tags[TAG_STACK]}
        assert {k.name for k in keys} == {"drift", EXPIRY}
        assert not request.asset_selection


def test_a_pinned_run_has_neither_sensors_nor_schedules(site: Site) -> None:
    snapshot = StackSnapshot(stacks=(entry_of("demo", CHAIN),))
    definitions = build_defs(snapshot, site, ["deploy"])
    assert not definitions.sensors
    assert not definitions.schedules


def test_building_definitions_does_not_load_the_lifecycle() -> None:
    """The command line builds them for each run; the lifecycle costs a quarter of a second."""
    program = "import sys, mlstacks_dagster.defs.build; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "mlstacks_dagster.lifecycle.api" not in done.stdout.split()
