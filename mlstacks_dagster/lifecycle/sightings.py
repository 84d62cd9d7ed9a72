"""What a sensor saw at earlier evaluations: since when, and whether its clock can be trusted.

A sensor's cursor is all that it remembers. What must last for some time counts only while it is
seen at evaluation after evaluation; and a clock that jumps is not believed at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Sightings", "uptime"]

_TOLERANCE_SECONDS = 60.0
_DISTRUST_SECONDS = 600.0


def uptime() -> float:
    """Return the seconds since the machine was started, time asleep included where that is known.

    Nobody sets this clock, so it tells when somebody has set the other one.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Cursor(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    since: dict[str, float] = {}
    at: float | None = None
    up: float | None = None
    steady_from: float | None = None
    places: dict[str, str] = {}


@dataclass(frozen=True)
class Sightings:
    """What was seen, and since when (Unix seconds), by subject.

    ``at`` and ``up`` are the time and the uptime of the evaluation; ``steady_from`` is the uptime
    from which on the clock has run evenly, None if nothing else is known. ``places`` identifies
    folders, by path.
    """

    since: Mapping[str, float] = field(default_factory=dict)
    at: float | None = None
    up: float | None = None
    steady_from: float | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Sightings:
        """Read what :meth:`dump` wrote; anything else counts as nothing seen."""
        try:
            found = _Cursor.model_validate_json(text or "{}")
        except ValidationError:
            return cls()
        return cls(found.since, found.at, found.up, found.steady_from, found.places)

    def dump(self) -> str:
        """Return the sightings as text."""
        return _Cursor(
            since=dict(sorted(self.since.items())),
            at=self.at,
            up=self.up,
            steady_from=self.steady_from,
            places=dict(sorted(self.places.items())),
        ).model_dump_json()

    def resumed(self, now: float, up: float, gap: float | None = None) -> Sightings:
        """Return what still counts at an evaluation ``now``, at uptime ``up``.

        After more than ``gap`` seconds without an evaluation everything is seen anew: nobody
        knows what was in between.
        """
        if self.at is None or self.up is None:
            return replace(self, at=now, up=up)
        passed, counted = now - self.at, up - self.up
        even = counted >= 0 and abs(passed - counted) <= _TOLERANCE_SECONDS
        lasting = gap is None or 0 <= passed <= gap
        return replace(
            self,
            since=self.since if lasting else {},
            at=now,
            up=up,
            steady_from=self.steady_from if even else up,
        )

    @property
    def clock_is_steady(self) -> bool:
        """Whether the clock has not been set lately, nor the machine started."""
        if self.steady_from is None or self.up is None:
            return True
        return self.up - self.steady_from >= _DISTRUST_SECONDS

    def see(self, subjects: Iterable[str], now: float) -> Sightings:
        """Return the sightings after an evaluation that saw ``subjects`` and nothing else.

        A sighting in the future means that the clock went back: it begins anew.
        """
        return replace(self, since={s: min(self.since.get(s, now), now) for s in subjects})

    def confirms(self, subject: str, now: float, seconds: float) -> bool:
        """Tell whether ``subject`` was seen by an earlier evaluation, ``seconds`` ago or more."""
        first = self.since.get(subject)
        return first is not None and now - first >= seconds
