"""What to do about a release that an earlier Helm left half done: a pure decision.

Helm refuses to touch a release whose last operation it believes to be running, and a killed
Helm leaves it looking so for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Recovery", "Revision", "decide", "is_stale", "last_good", "newest", "parse_history"]

PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
_GOOD = ("deployed", "superseded")
_SLACK_SECONDS = 2.0
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


@dataclass(frozen=True)
class Revision:
    """One line of a release's history; ``updated`` is when it was begun, in Unix seconds."""

    number: int
    status: str
    updated: float = 0.0
    description: str = ""

    @property
    def pending(self) -> bool:
        """True while an operation runs, and for ever when it was killed."""
        return self.status in PENDING


@dataclass(frozen=True)
class Recovery:
    """What must come before the next install or upgrade.

    ``rollback`` goes to ``revision``; ``uninstall`` is followed by an install.
    """

    action: Literal["none", "rollback", "uninstall"]
    revision: int | None = None
    reason: str = ""


def parse_history(text: str) -> tuple[Revision, ...]:
    """Read ``helm history -o json``; oldest first. Raises ValueError, KeyError or TypeError."""
    found = [
        Revision(
            int(entry["revision"]),
            str(entry["status"]),
            _seconds(str(entry.get("updated", ""))),
            str(entry.get("description", "")),
        )
        for entry in json.loads(text)
    ]
    return tuple(sorted(found, key=lambda revision: revision.number))


def newest(history: Sequence[Revision]) -> Revision | None:
    """Return the last of ``history``, None when it is empty."""
    return history[-1] if history else None


def last_good(history: Sequence[Revision]) -> Revision | None:
    """Return the newest revision that was once deployed well, or None.

    A rollback that fails makes Helm call the failed revision before it ``superseded``; such
    ones are known by their description and passed over.
    """
    deployed = [r for r in history if r.status == "deployed"]
    replaced = [r for r in history if r.status == "superseded" and _was_deployed(r)]
    return newest(deployed or replaced)


def decide(history: Sequence[Revision]) -> Recovery:
    """Return what a release with this history needs before ``upgrade --install`` works."""
    last = newest(history)
    if last is None:
        return Recovery("none")
    if last.status == "uninstalling":
        return Recovery("uninstall", reason="an uninstall was cut off")
    if not last.pending:
        return Recovery("none")
    good = last_good(history)
    verb = last.status.removeprefix("pending-")
    if good is None:
        return Recovery("uninstall", reason=f"the first {verb} was cut off")
    return Recovery("rollback", good.number, f"the {verb} to revision {last.number} was cut off")


def is_stale(
    revision: Revision, spans: Sequence[tuple[float, float]], now: float, timeout: float
) -> bool:
    """Tell whether a pending ``revision`` is left over from a Helm that is dead.

    ``spans`` are start and end (Unix seconds) of commands of ours that were cut off; one that
    none of them explains may belong to somebody else until ``timeout`` seconds have passed.
    """
    if not revision.pending:
        return False
    if any(a - _SLACK_SECONDS <= revision.updated <= b + _SLACK_SECONDS for a, b in spans):
        return True
    return now > revision.updated + timeout


def _was_deployed(revision: Revision) -> bool:
    words = revision.description.lower()
    return "fail" not in words and "preparing" not in words


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(_FRACTION.sub(r".\1", text)).timestamp()
    except ValueError:
        return 0.0
