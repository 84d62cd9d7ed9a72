"""Times for people: moments in UTC, durations in the largest unit that fits."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["duration", "moment"]


def moment(at: float) -> str:
    """Return Unix seconds as ``2026-01-31 12:00 UTC``; what is no date as the number."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return str(at)


def duration(seconds: float) -> str:
    """Return seconds as ``3 d``, ``5 h``, ``7 min`` or ``9 s``."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
