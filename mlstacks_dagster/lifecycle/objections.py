"""What speaks against a deletion at the moment of it: ledger and clusters are asked once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.knowledge import gather
from mlstacks_dagster.sweep.inventory.claims import make_context
from mlstacks_dagster.sweep.inventory.decide import liveness
from mlstacks_dagster.sweep.inventory.handlers import Cloud
from mlstacks_dagster.sweep.inventory.model import Ref, Scope, Snapshot
from mlstacks_dagster.sweep.inventory.plan import PlanEntry
from mlstacks_dagster.sweep.inventory.verdict import Knowledge
from mlstacks_dagster.sweep.inventory.verify import with_clusters

__all__ = ["LedgerObjections"]

_CLUSTERS_STAY_KNOWN_SECONDS = 30.0


class LedgerObjections:
    """Implements :data:`~mlstacks_dagster.sweep.inventory.execute.Objections` for one account.

    ``clock`` is Unix time in seconds. The ledger is asked each time, the clusters when the last
    answer is older than half a minute.
    """

    def __init__(self, ledger: Ledger, cloud: Cloud, clock: Callable[[], float]) -> None:
        self._ledger, self._cloud, self._clock = ledger, cloud, clock
        self._clusters: dict[str, bool | None] = {}
        self._asked_at: float | None = None

    def __call__(self, entries: Sequence[PlanEntry]) -> dict[Ref, str]:
        """Return why entries must stay after all; raises LedgerError when that can't be told."""
        knowledge = self._knowledge()
        items = tuple(entry.item for entry in entries)
        scope = self._scope(knowledge, entries)
        snapshot = Snapshot(scope=scope, taken_at=self._clock(), items=items)
        context = make_context(snapshot, self._cloud.kinds, knowledge)
        found = {}
        for entry in entries:
            verdict = entry.verdict
            reason = liveness(
                entry.item, verdict.stack_id, knowledge, context, verdict.proof or "T1"
            )
            if reason is not None:
                found[entry.ref] = reason[2]
        return found

    def _scope(self, knowledge: Knowledge, entries: Sequence[PlanEntry]) -> Scope:
        """Return the scope; one without regions means all, so none of ours is outside of it."""
        scope = self._cloud.scope
        if scope.regions:
            return scope
        ours = {c.region for stack in knowledge.stacks.values() for c in stack.clusters}
        regions = ours | {entry.ref.region for entry in entries}
        return scope.model_copy(update={"regions": tuple(sorted(regions))})

    def _knowledge(self) -> Knowledge:
        scope = self._cloud.scope
        known = gather(self._ledger, scope.provider, scope.account)
        now = self._clock()
        if self._asked_at is None or now - self._asked_at > _CLUSTERS_STAY_KNOWN_SECONDS:
            self._clusters = dict(with_clusters(known, self._cloud).clusters)
            self._asked_at = now
        return known.model_copy(update={"clusters": self._clusters})
