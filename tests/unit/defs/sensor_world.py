"""A ledger with stacks, the sensors of its code location, and a clock that is set by hand."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from fake_lifecycle import entry_of

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.coordinator import TAG_STACK
from mlstacks_dagster.defs.sensors import EXPIRED, TeardownSensors
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.stack_lock import alive_path
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import locks
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StackOptions

CHAIN: dict[str, dict[str, Any]] = {"network": {}, "bucket": {"needs": ["network"]}}
BORN = 1_000_000
LIFE = 100_000
Status = dg.DagsterRunStatus


class World:
    """A ledger with stacks, the code location's sensors, and a clock."""

    def __init__(self, site: Site, instance: dg.DagsterInstance) -> None:
        self.site = site
        self.instance = instance
        self.now = float(BORN)
        self.set_by = float(BORN) - 1e6  # what the clock was set to beside the uptime
        self.entries: dict[str, StackEntry] = {}
        self.ledger = Ledger.open(site.settings.ledger_url, clock=lambda: self.now)
        self.cursors: dict[str, str | None] = {}
        self.events: list[dg.AssetCheckEvaluation] = []
        self.reloads: list[Settings] = []
        self.notes = ""
        self.used_by = ""

    def deploy(
        self, name: str = "demo", *, run: str = "", ends: int | None = None, **options: Any
    ) -> StackRecord:
        """Record a deploy of the stack, by a run with that id."""
        entry = entry_of(name, CHAIN, self.site.settings.stacks_dir / f"{name}.yaml")
        assert entry.plan is not None
        plan = entry.plan.model_copy(update={"options": StackOptions(**options)})
        self.entries.setdefault(name, entry)
        stack = self.ledger.register_stack(plan, target="cloud", expires_at=ends)
        self.ledger.bump_generation(stack.stack_id, run or f"deploy-{len(self.entries)}")
        for unit in plan.units:
            begun = self.ledger.begin(
                stack.stack_id, unit.name, engine="terraform", kind="deploy", run_id=run or "r"
            )
            self.ledger.finish(begun.id, "ok", summary={})
        found = self.ledger.stack(stack.stack_id)
        assert found is not None
        return found

    def definitions(self) -> dg.Definitions:
        return build_defs(StackSnapshot(stacks=tuple(self.entries.values())), self.site)

    def look(self, sensor: str) -> list[dg.RunRequest]:
        """Evaluate a sensor as the daemon does; return what it requests."""
        definitions = self.definitions()
        keys = {
            name: [names.cleanup_key(name, unit.name) for unit in entry.plan.units]
            for name, entry in self.entries.items()
            if entry.plan
        }
        teardown = next((j for j in definitions.jobs or () if j.name == "teardown"), None)
        assert teardown is None or isinstance(teardown, UnresolvedAssetJobDefinition)
        made = TeardownSensors(
            snapshot=StackSnapshot(stacks=tuple(self.entries.values())),
            site=self.site,
            job=teardown,
            keys=keys,
            clock=lambda: self.now,
            uptime=lambda: self.now - self.set_by,
            reload=self._reload,
            use=self._use,
        )
        found = next(s for s in made.all() if s.name == sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=definitions.get_repository_def(),
        )
        result = found(context)
        assert isinstance(result, dg.SensorResult)
        self.cursors[sensor] = result.cursor
        self.events = [e for e in result.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
        assert len(self.events) == len(result.asset_events)
        self.notes = (result.skip_reason and result.skip_reason.skip_message) or ""
        return list(result.run_requests or ())

    def _use(self, stack: StackRecord, _settings: Settings, _ledger: Ledger, _since: float) -> str:
        if self.used_by == "nobody knows":
            raise MlstacksError(f"the cluster of {stack.name} doesn't answer")
        return self.used_by

    def _reload(self, settings: Settings) -> bool:
        self.reloads.append(settings)
        return True

    def record_run(
        self, status: Status, request: dg.RunRequest | None = None, run_id: str | None = None
    ) -> dg.DagsterRun:
        """Record a run; of a request, or of a deploy."""
        job = self.definitions().resolve_job_def("teardown" if request else "deploy")
        run = self.instance.create_run_for_job(
            job,
            run_id=run_id,
            run_config=dict(request.run_config) if request else {},
            status=Status.STARTED,
            tags=dict(request.tags) if request else {TAG_STACK: "demo"},
        )
        if status == Status.SUCCESS:
            self.instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
            )
        elif status == Status.FAILURE:
            self.instance.report_run_failed(run)
        elif status == Status.CANCELED:
            self.instance.report_run_canceled(run)
        return run


def expired(world: World) -> list[dg.RunRequest]:
    """Let the stack's end pass and be seen twice."""
    world.now = BORN + LIFE
    assert world.look(EXPIRED) == []
    world.now += 30
    return world.look(EXPIRED)


def at_end_of(world: World, run: dg.DagsterRun) -> float:
    record = world.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    return record.end_time or record.update_timestamp.timestamp()


def held_alive(settings: Settings, run_id: str) -> AbstractContextManager[None]:
    """Hold what a run's process holds while it lives."""
    path = alive_path(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return locks.hold(path, {}, timeout=1)
