"""A reporter that keeps what it is told."""

from __future__ import annotations

from mlstacks_dagster.lifecycle.models import Progress

__all__ = ["Quiet"]


class Quiet:
    """Keeps lines, milestones and progress for a test to look at."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.milestones: list[str] = []
        self.standings: list[Progress] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def milestone(self, text: str) -> None:
        self.milestones.append(text)

    def progress(self, progress: Progress) -> None:
        self.standings.append(progress)
