"""The ledger's part for sweeps: sightings, plans, and the facts that decisions need."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from mlstacks_dagster.ledger import sweeps
from mlstacks_dagster.ledger.sweeps import Place, Sighting, SweepRecord, Thing

__all__ = ["LedgerFacts", "SweepBook"]


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger knows beside its stacks, read in one transaction.

    ``held`` are ids and ARNs in the states of live stacks; ``busy`` the ids of stacks with an
    open operation; ``clusters`` are (stack id, name, ARN or id); ``notes`` (stack id, what an
    operation wrote down of its cluster); ``regions`` (stack id, region) of every unit.
    """

    held: frozenset[str]
    busy: frozenset[str]
    clusters: tuple[tuple[str, str, str], ...]
    notes: tuple[tuple[str, dict[str, Any]], ...] = ()
    regions: tuple[tuple[str, str], ...] = ()


class SweepBook:
    """Every method is one transaction; get it by ``Ledger.sweeps``."""

    def __init__(
        self,
        read: Callable[[], AbstractContextManager[Session]],
        write: Callable[[], AbstractContextManager[Session]],
        now: Callable[[], int],
    ) -> None:
        self._read, self._write, self._now = read, write, now

    def facts(self) -> LedgerFacts:
        """Return what decisions need beside the stacks."""
        with self._read() as session:
            return LedgerFacts(
                held=sweeps.held_names(session),
                busy=sweeps.busy_stacks(session),
                clusters=tuple(sweeps.cluster_resources(session)),
                notes=tuple(sweeps.cluster_notes(session)),
                regions=tuple(sweeps.unit_regions(session)),
            )

    def sightings(self, provider: str, account: str) -> dict[Thing, Sighting]:
        """Return since when what was seen in an account."""
        with self._read() as session:
            return sweeps.sightings(session, provider, account)

    def saw(
        self, provider: str, account: str, things: Collection[Thing], listed: Collection[Place]
    ) -> dict[Thing, Sighting]:
        """Count a listing and return the sightings after it.

        ``things`` were seen; of the ``listed`` types and regions nothing else exists any more.
        What was not listed stays as it was.
        """
        with self._write() as session:
            sweeps.saw(session, provider, account, things, listed, self._now())
            session.flush()
            return sweeps.sightings(session, provider, account)

    def record_plan(
        self, provider: str, account: str, plan_hash: str, verdict: str, plan: str
    ) -> int:
        """Write a plan (as JSON) down and return its number."""
        with self._write() as session:
            record = SweepRecord(
                id=0,
                provider=provider,
                account=account,
                plan_hash=plan_hash,
                made_at=self._now(),
                verdict=verdict,
                plan=plan,
                approved_by=None,
                executed_at=None,
                report=None,
            )
            return sweeps.record_plan(session, record)

    def find(
        self, plan_hash: str, provider: str | None = None, account: str | None = None
    ) -> list[SweepRecord]:
        """Return the newest plan of each account whose hash begins with ``plan_hash``."""
        with self._read() as session:
            return sweeps.find_plan(session, plan_hash, provider, account)

    def history(self, provider: str, account: str, limit: int = 20) -> list[SweepRecord]:
        """Return the newest plans of an account, newest first."""
        with self._read() as session:
            return sweeps.history(session, provider, account, limit)

    def approve(self, number: int, approved_by: str) -> int:
        """Write down who approved a plan, before its delete; returns the number of this delete.

        Raises :class:`LedgerError` for a number that is unknown.
        """
        with self._write() as session:
            return sweeps.approve(session, number, approved_by)

    def executed(self, number: int, report: str) -> None:
        """Write down what became of an approved plan; raises :class:`LedgerError`."""
        with self._write() as session:
            sweeps.executed(session, number, report, self._now())
