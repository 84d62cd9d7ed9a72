"""Proving that deleted things are gone: read by id until they are, then list again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlstacks_dagster.sweep.inventory.handlers import Cloud
from mlstacks_dagster.sweep.inventory.model import Coverage, Ref
from mlstacks_dagster.sweep.inventory.outcome import EntryOutcome

__all__ = ["Proof", "prove_gone"]

_WAIT = 5.0
_MAX_WAIT = 30.0
_BATCH = 100


@dataclass(frozen=True)
class Proof:
    """The outcomes with what the looks showed, and the lists that failed."""

    outcomes: tuple[EntryOutcome, ...]
    unverified: tuple[Coverage, ...]


def prove_gone(
    cloud: Cloud,
    outcomes: Sequence[EntryOutcome],
    *,
    looks: int,
    between: float,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Proof:
    """Look ``looks`` times, ``between`` seconds apart, whether what was deleted is still listed.

    Before, it is read by id until it is gone or ``deadline`` (Unix seconds) has come: deleting
    takes some services minutes. A list that fails proves nothing.
    """
    done = [outcome for outcome in outcomes if outcome.done]
    if not done:
        return Proof(tuple(outcomes), ())
    refs = [outcome.entry.ref for outcome in done]
    there, unread = _await_gone(cloud, refs, deadline, clock, sleep)
    types = sorted({ref.type for ref in refs})
    places = {(ref.type, ref.region) for ref in refs}
    failed: dict[tuple[str, str], Coverage] = {}
    for look in range(looks):
        if look:
            sleep(between)
        snapshot = cloud.snapshot(types)
        there |= {item.ref for item in snapshot.items} & set(refs)
        said = {(c.type, c.region): c for c in snapshot.coverage}
        for kind, region in places:
            row = said.get((kind, region))
            if row is None or row.status != "listed":
                failed[kind, region] = row or Coverage(
                    type=kind, region=region, status="failed", why="it was not looked at"
                )
    judged = tuple(_judge(outcome, there, unread, failed) for outcome in outcomes)
    return Proof(judged, tuple(failed[key] for key in sorted(failed)))


def _await_gone(
    cloud: Cloud,
    refs: Sequence[Ref],
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> tuple[set[Ref], set[Ref]]:
    """Return what is still there at the end, and what can't be read."""
    wait = _WAIT
    while True:
        there, unread = _still_there(cloud, refs)
        refs = [ref for ref in refs if ref in there or ref in unread]
        if not refs or clock() + wait > deadline:
            return there, unread
        sleep(wait)
        wait = min(wait * 2, _MAX_WAIT)


def _still_there(cloud: Cloud, refs: Sequence[Ref]) -> tuple[set[Ref], set[Ref]]:
    there: set[Ref] = set()
    unread: set[Ref] = set()
    for at in range(0, len(refs), _BATCH):
        batch = refs[at : at + _BATCH]
        try:
            found = cloud.read(batch)
        except Exception:  # noqa: BLE001 - what can't be read proves nothing
            unread.update(batch)
            continue
        there.update(ref for ref in batch if found.get(ref) is not None)
        unread.update(ref for ref in batch if ref not in found)
    return there, unread


def _judge(
    outcome: EntryOutcome,
    there: set[Ref],
    unread: set[Ref],
    failed: dict[tuple[str, str], Coverage],
) -> EntryOutcome:
    ref = outcome.entry.ref
    if not outcome.done:
        return outcome
    if ref in there:
        why = "it is still listed, or was made again by something that runs"
        return outcome.model_copy(update={"outcome": "still-there", "why": why})
    row = failed.get((ref.type, ref.region))
    if ref in unread or row is not None:
        why = f"it can't be listed: {row.why}" if row else "it can't be read"
        return outcome.model_copy(update={"outcome": "unverified", "why": why})
    return outcome
