"""What became of the entries of a plan."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.sweep.inventory.model import Coverage, Scope
from mlstacks_dagster.sweep.inventory.plan import PlanEntry

__all__ = ["DeleteReport", "EntryOutcome", "Outcome"]

Outcome = Literal[
    "blocked", "changed", "deleted", "gone", "refused", "stuck", "still-there", "unverified"
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EntryOutcome(_Model):
    """What became of one entry.

    ``deleted``: asked for and no longer listed. ``gone``: it wasn't there any more.
    ``changed``: not as it was planned, so left alone. ``blocked``: something that stays holds
    it. ``refused``: denied, or a service's own. ``stuck``: tried until the time was over.
    ``still-there``: deleted, but still or again listed. ``unverified``: deleted, but whether it
    is gone can't be told. ``blockers`` name what holds or held it.
    """

    entry: PlanEntry
    outcome: Outcome
    why: str = ""
    blockers: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do about it."""
        return self.outcome in ("deleted", "gone")


class DeleteReport(_Model):
    """What a delete did. ``unverified`` are the lists that failed when it looked again."""

    plan_hash: str
    scope: Scope
    outcomes: tuple[EntryOutcome, ...] = ()
    unverified: tuple[Coverage, ...] = ()
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether all entries are provably gone."""
        return not self.unverified and all(outcome.done for outcome in self.outcomes)

    @property
    def left(self) -> tuple[EntryOutcome, ...]:
        """The entries that are not."""
        return tuple(outcome for outcome in self.outcomes if not outcome.done)
