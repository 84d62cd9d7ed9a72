"""Sensors that launch teardowns: an end that has come, a failed deploy, a file that is gone.

Each looks at the ledger and at Dagster's runs anew, so that nothing depends on an event having
been seen. A sensor launches a run key once. Two sensors that are due for one stack don't share
keys: Dagster evaluates them one after the other (``sensors: {use_threads: false}`` in the
instance's settings), and the second sees the first one's run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.expiry import expiry_evaluation, expiry_state
from mlstacks_dagster.defs.reconcile import reconcile
from mlstacks_dagster.defs.reload import ask_reload
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.teardown_runs import attempts, busy_stacks, endings, teardown_request
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.due import (
    failed_deploy,
    is_expired,
    moment,
    next_attempt,
    subject,
)
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot
from mlstacks_dagster.lifecycle.removed import places_of, removed_stacks
from mlstacks_dagster.lifecycle.sightings import Sightings, uptime
from mlstacks_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

__all__ = ["EXPIRED", "FAILED", "IDLE", "REMOVED", "TeardownSensors", "deployed_stacks"]

EXPIRED = "expired_stacks"
FAILED = "failed_deploys"
IDLE = "idle_clusters"
REMOVED = "removed_files"
REMOVED_SECONDS = 600.0
REMOVED_GAP_SECONDS = 300.0
IDLE_GAP_SECONDS = 3600.0
_INTERVALS = {REMOVED: 60, IDLE: 600}


def _cluster_use(stack: StackRecord, settings: Settings, ledger: Ledger, since: float) -> str:
    from mlstacks_dagster.lifecycle.idle import cluster_use  # noqa: PLC0415 - heavy

    return cluster_use(stack, settings, ledger, since)


@dataclass(frozen=True)
class TeardownSensors:
    """Makes the sensors of a code location.

    ``keys`` are the cleanup assets by stack; ``clock`` returns Unix seconds, ``uptime`` those
    since the machine was started; ``reload`` asks for the stacks to be read again and tells
    whether that was done; ``use`` says what uses a stack's cluster.
    """

    snapshot: StackSnapshot
    site: Site
    job: UnresolvedAssetJobDefinition | None
    keys: Mapping[str, Sequence[dg.AssetKey]]
    clock: Callable[[], float] = time.time
    uptime: Callable[[], float] = uptime
    reload: Callable[[Settings], bool] = ask_reload
    use: Callable[[StackRecord, Settings, Ledger, float], str] = _cluster_use
    _entries: dict[str, StackEntry] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._entries.update({entry.name: entry for entry in self.snapshot.stacks})

    def all(self) -> list[dg.SensorDefinition]:
        """Return the four sensors."""
        running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
        return [
            self._sensor(EXPIRED, self._expired, running, _EXPIRED_TEXT),
            self._sensor(FAILED, self._failed, running, _FAILED_TEXT),
            self._sensor(REMOVED, self._removed, running, _REMOVED_TEXT),
            self._sensor(IDLE, self._idle, stopped, _IDLE_TEXT),
        ]

    def _sensor(
        self,
        name: str,
        evaluate: Callable[[dg.SensorEvaluationContext, Ledger], dg.SensorResult],
        status: dg.DefaultSensorStatus,
        description: str,
    ) -> dg.SensorDefinition:
        @dg.sensor(
            name=name,
            job=self.job,
            minimum_interval_seconds=_INTERVALS.get(name, 30),
            default_status=status,
            description=description,
        )
        def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
            with Ledger.open(self.site.settings.ledger_url) as ledger:
                return evaluate(context, ledger)

        return look

    def _before(
        self, context: dg.SensorEvaluationContext, gap: float | None = None
    ) -> tuple[float, Sightings]:
        """Return the time, and what was seen before and still counts."""
        now = self.clock()
        return now, Sightings.parse(context.cursor).resumed(now, self.uptime(), gap)

    def _expired(self, context: dg.SensorEvaluationContext, ledger: Ledger) -> dg.SensorResult:
        now, before = self._before(context)
        stacks = deployed_stacks(ledger, self.site.settings)
        ended = [s for s in stacks if is_expired(s, now)]
        if ended and not before.clock_is_steady:
            context.log.info("the clock was set, or the machine started: waiting ten minutes")
        confirmed = [
            s for s in ended if before.clock_is_steady and before.confirms(subject(s), now, 0)
        ]
        due = {s.name: _Due(s, "expired", _ended_words(s)) for s in confirmed}
        warned, events = self._warnings(stacks, before, now)
        after = before.see([*map(subject, ended), *warned], now)
        return self._result(context, ledger, due.values(), after, events)

    def _warnings(
        self, stacks: Iterable[StackRecord], before: Sightings, now: float
    ) -> tuple[list[str], list[dg.AssetCheckEvaluation]]:
        """Return what is warned of, for the cursor, and results that aren't reported yet."""
        warned, events = [], []
        for stack in stacks:
            entry = self._entries.get(stack.name)
            good, words = expiry_state(stack, now)
            key = f"warned:{stack.stack_id}:{stack.generation}:{words}"
            warned += [] if good else [key]
            news = not good and key not in before.since
            over = good and any(k.startswith(f"warned:{stack.stack_id}:") for k in before.since)
            if entry and (news or over) and (event := expiry_evaluation(entry, stack, now)):
                events.append(event)
        return warned, events

    def _failed(self, context: dg.SensorEvaluationContext, ledger: Ledger) -> dg.SensorResult:
        due = []
        for stack in deployed_stacks(ledger, self.site.settings):
            if stack.on_failure != "destroy":
                continue
            runs = ledger.deploy_runs(stack.stack_id)
            if failed_deploy(stack, endings(context.instance, runs)):
                words = f"deploy run {runs[stack.generation]} failed, and on_failure is destroy"
                due.append(_Due(stack, "deploy_failed", words))
        return self._result(context, ledger, due)

    def _removed(self, context: dg.SensorEvaluationContext, ledger: Ledger) -> dg.SensorResult:
        now, before = self._before(context, REMOVED_GAP_SECONDS)
        settings = self.site.settings
        stacks, folder = deployed_stacks(ledger, settings), settings.stacks_dir
        gone, note = removed_stacks(stacks, folder, before.places)
        before = replace(before, places=places_of(folder, before.places))
        if note:
            context.log.warning(note)
        confirmed = [s for s in gone if before.confirms(subject(s), now, REMOVED_SECONDS)]
        due = [_Due(s, "file_removed", f"its file {s.source} was removed") for s in confirmed]
        return self._result(context, ledger, due, before.see(map(subject, gone), now))

    def _idle(self, context: dg.SensorEvaluationContext, ledger: Ledger) -> dg.SensorResult:
        now, before = self._before(context, IDLE_GAP_SECONDS)
        settings, idle = self.site.settings, []
        for stack in deployed_stacks(ledger, settings):
            try:
                used_by = self.use(stack, settings, ledger, now - settings.idle_after)
            except MlstacksError as error:
                # What can't be asked may be in use.
                context.log.info(f"{stack.name}: {error}")
                continue
            if used_by:
                context.log.info(f"{stack.name}: used by {used_by}")
            else:
                idle.append(stack)
        confirmed = [s for s in idle if before.confirms(subject(s), now, settings.idle_after)]
        words = f"its cluster was idle for {settings.idle_after / 3600:.1f} h"
        due = [_Due(s, "idle", words) for s in confirmed]
        return self._result(context, ledger, due, before.see(map(subject, idle), now))

    def _result(
        self,
        context: dg.SensorEvaluationContext,
        ledger: Ledger,
        due: Iterable[_Due],
        sightings: Sightings | None = None,
        events: Sequence[dg.AssetCheckEvaluation] = (),
    ) -> dg.SensorResult:
        found = list(due)
        busy = self._busy(context.instance, found)
        requests, notes = [], []
        for one in found:
            answer = self._request(context.instance, ledger, one, busy)
            if isinstance(answer, str):
                notes.append(f"{one.stack.name}: {answer}")
            else:
                requests.append(answer)
        for note in notes:
            context.log.info(note)
        skip = None if requests else dg.SkipReason("; ".join(notes) or "nothing to tear down")
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=skip,
            cursor=sightings.dump() if sightings else None,
            asset_events=list(events),
        )

    def _request(
        self, instance: dg.DagsterInstance, ledger: Ledger, due: _Due, busy: set[str]
    ) -> dg.RunRequest | str:
        """Return the request for a teardown that is due, or why there is none now."""
        stack, entry = due.stack, self._entries.get(due.stack.name)
        said = entry.plan.options.protect if entry and entry.plan else False
        if stack.protect or said:
            return f"{due.words}, but it is protected"
        if stack.name in busy:
            return "waiting for the run that works on it"
        if not self._covers(entry, stack, ledger):
            done = self.reload(self.site.settings)
            return "reading the stacks again" if done else "press Reload definitions: it is newer"
        number = next_attempt(attempts(instance, stack), self.clock())
        if number is None:
            return "its last teardown didn't finish; waiting before the next"
        keys = self.keys[stack.name]
        return teardown_request(stack, number, due.reason, due.words, keys)

    def _covers(self, entry: StackEntry | None, stack: StackRecord, ledger: Ledger) -> bool:
        """Tell whether the code location's assets can destroy all that the stack has."""
        if entry is None or entry.plan is None or not self.keys.get(stack.name):
            return False
        known = {unit.name for unit in entry.plan.units}
        return all(unit.unit in known for unit in ledger.units(stack.stack_id) if unit.exists)

    def _busy(self, instance: dg.DagsterInstance, due: Sequence[_Due]) -> set[str]:
        """Return the stacks that runs work on; runs whose process died are closed first."""
        if not due:
            return set()
        busy = busy_stacks(instance)
        local = isinstance(instance.run_launcher, dg.DefaultRunLauncher)
        if local and any(one.stack.name in busy for one in due):
            reconcile(instance, self.site.settings, self.clock)
            busy = busy_stacks(instance)
        return busy


@dataclass(frozen=True)
class _Due:
    """A stack to tear down: ``reason`` is the run's tag, ``words`` are for people."""

    stack: StackRecord
    reason: str
    words: str


def deployed_stacks(ledger: Ledger, settings: Settings) -> list[StackRecord]:
    """Return the live stacks that can be reached: not those of a sandbox that is stopped."""
    return list(_reachable(ledger, settings))


def _reachable(ledger: Ledger, settings: Settings) -> Iterator[StackRecord]:
    for stack in ledger.stacks():
        if stack.target == "cloud":
            yield stack
            continue
        from mlstacks_dagster.lifecycle.api import live_stack  # noqa: PLC0415 - heavy

        try:
            found = live_stack(stack.name, ledger, settings)
        except MlstacksError:
            continue
        if found is not None:
            yield found


def _ended_words(stack: StackRecord) -> str:
    return f"its end came {moment(stack.expires_at or 0)}"


_EXPIRED_TEXT = (
    "Launches the teardown of stacks whose `ttl` or `expires_at` is over, and reports their "
    f"check `expiry` before. Runs the job `{names.TEARDOWN_JOB}`."
)
_FAILED_TEXT = (
    "Launches the teardown of stacks with `on_failure: destroy` whose deploy failed before any "
    "deploy of them had succeeded."
)
_REMOVED_TEXT = (
    "Launches the teardown of stacks whose file was removed from the stacks folder ten minutes "
    "ago. A checkout of another branch removes files too: `protect: true` keeps a stack."
)
_IDLE_TEXT = (
    "Launches the teardown of stacks whose cluster nothing has used for `MLSTACKS_IDLE_AFTER` "
    "seconds: no pipeline, no job, no service but those that the stack installed. Off until you "
    "start it."
)
