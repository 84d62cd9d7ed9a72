"""Which stacks are due for teardown, and why: pure functions of records and the time.

All times are Unix seconds. A stack is judged as it was last deployed; what its file says now
counts only when it protects the stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.spec.models import StackOptions
from mlstacks_dagster.sweep.inventory.times import moment

__all__ = [
    "Attempt",
    "Ending",
    "end_of",
    "failed_deploy",
    "is_expired",
    "late_look",
    "moment",
    "next_attempt",
    "pause_after",
    "refuse_ended",
    "run_key",
    "subject",
    "warns_from",
]

Ending = Literal["ok", "failed", "cancelled", "open", "unknown"]

_WARNING_SECONDS = 86_400
_WARNING_SHARE = 10
_FIRST_PAUSE_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 6 * 3600.0
_LATE_LOOKS_SECONDS = (20 * 60, 24 * 3600)
_LATE_UNTIL_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Attempt:
    """A run that was launched for a stack, and has ended: a teardown of a generation, a look."""

    number: int
    ended_at: float
    cancelled: bool = False


def end_of(options: StackOptions, created_at: int) -> int | None:
    """Return when a stack of these options ends; a ``ttl`` counts from its first deploy."""
    if options.ttl_seconds is not None:
        return created_at + options.ttl_seconds
    return options.expires_at


def refuse_ended(plan: Plan, live: StackRecord | None, now: float) -> None:
    """Raise :class:`InputError` when a deploy of ``plan`` would give the stack a past end.

    It would be torn down again at once.
    """
    ends = None if live is None else end_of(plan.options, live.created_at)
    if live is not None and ends is not None and ends <= now:
        raise InputError(
            f"stack {plan.stack} has come to its end: first deployed {moment(live.created_at)},"
            f" over {moment(ends)}",
            remedy="write a longer ttl (it counts from the first deploy) or a later expires_at,"
            " or destroy the stack and deploy it anew",
        )


def is_expired(stack: StackRecord, now: float) -> bool:
    """Tell whether the stack's end has come."""
    return stack.live and stack.expires_at is not None and now >= stack.expires_at


def warns_from(stack: StackRecord) -> int | None:
    """Return when to warn: a day before the end, or for the last tenth of a shorter life."""
    if stack.expires_at is None:
        return None
    life = max(0, stack.expires_at - stack.created_at)
    return stack.expires_at - min(_WARNING_SECONDS, life // _WARNING_SHARE)


def failed_deploy(stack: StackRecord, endings: Mapping[int, Ending]) -> bool:
    """Tell whether a failed deploy asks for the stack's teardown; ``endings`` is by generation.

    Only while the stack has never been deployed with success: a failed update of a stack in use
    destroys nothing. A generation whose run nobody remembers counts as a success; a cancelled
    deploy was ended by a person, who decides what comes next.
    """
    if not stack.live or stack.on_failure != "destroy":
        return False
    if endings.get(stack.generation) != "failed":
        return False
    earlier = (endings.get(g, "unknown") for g in range(1, stack.generation))
    return all(ending in ("failed", "cancelled") for ending in earlier)


def late_look(stack: StackRecord, now: float) -> int | None:
    """Return the number of the late look at a destroyed stack that is due, None without any.

    A later look sees all that an earlier one would have. One that was missed for a week isn't
    made up for: the sweeps have looked meanwhile.
    """
    if stack.destroyed_at is None:
        return None
    age = now - stack.destroyed_at
    if age > _LATE_UNTIL_SECONDS:
        return None
    return sum(age >= after for after in _LATE_LOOKS_SECONDS) or None


def next_attempt(attempts: Iterable[Attempt], now: float) -> int | None:
    """Return the number of the attempt to launch now, None while the last one's pause lasts.

    An attempt that ended in the future means that the clock went back: nothing is waited for.
    """
    last = max(attempts, key=lambda a: a.number, default=None)
    if last is None:
        return 1
    if 0 <= now - last.ended_at < pause_after(last):
        return None
    return last.number + 1


def pause_after(attempt: Attempt) -> float:
    """Return the seconds between the end of an attempt and the next one.

    They double from 10 minutes to 6 hours; after a cancel by a person they are 6 hours.
    """
    if attempt.cancelled:
        return _LONGEST_PAUSE_SECONDS
    doublings = min(attempt.number - 1, 10)
    return min(_FIRST_PAUSE_SECONDS * 2.0**doublings, _LONGEST_PAUSE_SECONDS)


def subject(stack: StackRecord) -> str:
    """Return what an observation is about: this stack since its last deploy."""
    return f"{stack.stack_id}:{stack.generation}"


def run_key(stack: StackRecord, attempt: int) -> str:
    """Return the run key of a teardown; a sensor launches a key once, for ever."""
    return f"{subject(stack)}:{attempt}"
