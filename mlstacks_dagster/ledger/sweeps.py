"""What sweeps need of the ledger and write into it. Functions of an open session.

A sighting lives as long as its thing is listed: what is gone and comes back is new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, text, tuple_, update
from sqlalchemy.orm import Session

from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger.models import (
    OperationRow,
    ResourceRow,
    SightingRow,
    StackRow,
    SweepRow,
    UnitRow,
)

__all__ = [
    "COUNTS_AFTER",
    "KEPT_PLANS",
    "Place",
    "Sighting",
    "SweepRecord",
    "Thing",
    "approve",
    "busy_stacks",
    "cluster_notes",
    "cluster_resources",
    "executed",
    "find_plan",
    "held_names",
    "history",
    "record_plan",
    "saw",
    "sightings",
    "unit_regions",
]

KEPT_PLANS = 60
"""How many plans an account keeps; those that were approved stay for ever."""

COUNTS_AFTER = 900
"""Seconds that must lie between two listings for the later one to count as another sweep."""

_BATCH = 200
_CLUSTERS = ("aws_eks_cluster", "google_container_cluster")

Place = tuple[str, str]
"""Type and region."""

Thing = tuple[str, str, str]
"""Type, region and id."""


@dataclass(frozen=True)
class Sighting:
    """Since when (Unix seconds) a thing was seen in every listing, and in how many sweeps.

    Listings less than :data:`COUNTS_AFTER` apart are one sweep.
    """

    first_seen: int
    sweeps: int


@dataclass(frozen=True)
class SweepRecord:
    """A sweep's plan as JSON. Times are Unix seconds.

    ``approved_by`` is set when its delete begins, ``report`` and ``executed_at`` when it ends:
    one that was killed has the first alone.
    """

    id: int
    provider: str
    account: str
    plan_hash: str
    made_at: int
    verdict: str
    plan: str
    approved_by: str | None
    executed_at: int | None
    report: str | None


def sightings(session: Session, provider: str, account: str) -> dict[Thing, Sighting]:
    """Return all sightings of an account."""
    rows = session.scalars(
        select(SightingRow).where(SightingRow.provider == provider, SightingRow.account == account)
    )
    return {(r.type, r.region, r.item): Sighting(r.first_seen, r.sweeps) for r in rows}


def saw(
    session: Session,
    provider: str,
    account: str,
    things: Collection[Thing],
    listed: Collection[Place],
    now: int,
) -> None:
    """Count a listing: ``things`` were seen, all else of ``listed`` places is gone.

    A thing's ``last_seen`` is when it was last counted, so that listings in quick succession
    add up to one sweep in a quarter of an hour; a time in the future is set back.
    """
    _lock_account(session, provider, account)
    known = sightings(session, provider, account)
    seen, places = set(things), set(listed)
    gone = [thing for thing in known if thing not in seen and thing[:2] in places]
    for batch in _batches(sorted(gone)):
        session.execute(delete(SightingRow).where(_is_one_of(provider, account, batch)))
    for batch in _batches(sorted(seen & set(known))):
        rows = update(SightingRow).where(_is_one_of(provider, account, batch))
        counts = SightingRow.last_seen <= now - COUNTS_AFTER
        session.execute(rows.where(SightingRow.last_seen > now).values(last_seen=now))
        session.execute(rows.where(counts).values(last_seen=now, sweeps=SightingRow.sweeps + 1))
    session.add_all(
        SightingRow(
            provider=provider,
            account=account,
            type=kind,
            region=region,
            item=item,
            first_seen=now,
            last_seen=now,
            sweeps=1,
        )
        for kind, region, item in sorted(seen - set(known))
    )


def record_plan(session: Session, record: SweepRecord) -> int:
    """Write a plan down and return its number; the oldest that nobody approved go."""
    row = SweepRow(
        provider=record.provider,
        account=record.account,
        plan_hash=record.plan_hash,
        made_at=record.made_at,
        verdict=record.verdict,
        plan=record.plan,
    )
    session.add(row)
    session.flush()
    of_account = (SweepRow.provider == record.provider, SweepRow.account == record.account)
    kept = select(SweepRow.id).where(*of_account).order_by(SweepRow.id.desc()).limit(KEPT_PLANS)
    oldest = min(session.scalars(kept))
    session.execute(
        delete(SweepRow).where(*of_account, SweepRow.id < oldest, SweepRow.approved_by.is_(None))
    )
    return row.id


def find_plan(
    session: Session, plan_hash: str, provider: str | None, account: str | None
) -> list[SweepRecord]:
    """Return the newest plan of each account whose hash begins with ``plan_hash``."""
    query = select(func.max(SweepRow.id)).where(
        SweepRow.plan_hash.startswith(plan_hash, autoescape=True)
    )
    if provider is not None:
        query = query.where(SweepRow.provider == provider)
    if account is not None:
        query = query.where(SweepRow.account == account)
    newest = query.group_by(SweepRow.provider, SweepRow.account, SweepRow.plan_hash)
    rows = session.scalars(select(SweepRow).where(SweepRow.id.in_(newest)).order_by(SweepRow.id))
    return [_record(row) for row in rows]


def history(session: Session, provider: str, account: str, limit: int) -> list[SweepRecord]:
    """Return the newest plans of an account, newest first."""
    rows = session.scalars(
        select(SweepRow)
        .where(SweepRow.provider == provider, SweepRow.account == account)
        .order_by(SweepRow.id.desc())
        .limit(limit)
    )
    return [_record(row) for row in rows]


def approve(session: Session, number: int, approved_by: str) -> int:
    """Write down who approved a plan, before anything of it is deleted; returns its number.

    A plan that was approved before is written down anew, so that no approval is lost.
    """
    row = _sweep(session, number)
    if row.approved_by is None:
        row.approved_by = approved_by
        return row.id
    again = SweepRow(
        provider=row.provider,
        account=row.account,
        plan_hash=row.plan_hash,
        made_at=row.made_at,
        verdict=row.verdict,
        plan=row.plan,
        approved_by=approved_by,
    )
    session.add(again)
    session.flush()
    return again.id


def executed(session: Session, number: int, report: str, now: int) -> None:
    """Write down what became of an approved plan."""
    row = _sweep(session, number)
    row.report, row.executed_at = report, now


def held_names(session: Session) -> frozenset[str]:
    """Return ids and ARNs of what exists of live stacks, as their states have it."""
    rows = session.execute(
        select(ResourceRow.resource_id, ResourceRow.arn)
        .join(StackRow, StackRow.stack_id == ResourceRow.stack_id)
        .where(ResourceRow.gone_at.is_(None), StackRow.status == "live")
    )
    return frozenset(name for row in rows for name in row if name)


def busy_stacks(session: Session) -> frozenset[str]:
    """Return the stacks that have an operation at work, or one that was cut off."""
    open_ = select(OperationRow.stack_id).where(OperationRow.finished_at.is_(None)).distinct()
    return frozenset(session.scalars(open_))


def cluster_resources(session: Session) -> list[tuple[str, str, str]]:
    """Return (stack id, cluster name, ARN or id) of every cluster that a unit ever made."""
    rows = session.execute(
        select(ResourceRow.stack_id, ResourceRow.resource_id, ResourceRow.arn).where(
            ResourceRow.type.in_(_CLUSTERS)
        )
    )
    return [(stack, name, arn or name) for stack, name, arn in rows]


def cluster_notes(session: Session) -> list[tuple[str, dict[str, Any]]]:
    """Return (stack id, note) of what deploys and destroys wrote down of clusters, oldest first."""
    rows = session.execute(
        select(OperationRow.stack_id, OperationRow.summary)
        .where(OperationRow.kind.in_(("deploy", "destroy")))
        .order_by(OperationRow.id)
    )
    return [
        (stack, summary["cluster"])
        for stack, summary in rows
        if isinstance((summary or {}).get("cluster"), dict)
    ]


def unit_regions(session: Session) -> list[tuple[str, str]]:
    """Return (stack id, region) of every unit that was ever deployed, each once."""
    region = UnitRow.planned["region"].as_string()
    rows = session.execute(
        select(UnitRow.stack_id, region).where(region.is_not(None)).distinct().order_by("stack_id")
    )
    return [(stack, where) for stack, where in rows]


def _sweep(session: Session, number: int) -> SweepRow:
    row = session.get(SweepRow, number)
    if row is None:
        raise LedgerError(f"the ledger has no sweep {number}")
    return row


def _lock_account(session: Session, provider: str, account: str) -> None:
    # Two sweeps may see the same new thing. SQLite's writers exclude each other anyway.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('mlstacks sweep'), hashtext(:name))"),
            {"name": f"{provider} {account}"},
        )


def _is_one_of(provider: str, account: str, batch: Sequence[Thing]) -> ColumnElement[bool]:
    return (
        (SightingRow.provider == provider)
        & (SightingRow.account == account)
        & tuple_(SightingRow.type, SightingRow.region, SightingRow.item).in_(batch)
    )


def _batches(things: Sequence[Thing]) -> Iterator[Sequence[Thing]]:
    return (things[at : at + _BATCH] for at in range(0, len(things), _BATCH))


def _record(row: SweepRow) -> SweepRecord:
    return SweepRecord(
        id=row.id,
        provider=row.provider,
        account=row.account,
        plan_hash=row.plan_hash,
        made_at=row.made_at,
        verdict=row.verdict,
        plan=row.plan,
        approved_by=row.approved_by,
        executed_at=row.executed_at,
        report=row.report,
    )
