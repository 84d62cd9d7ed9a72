"""Terraform's JSON stream as events that people can read.

Plain lines (``import`` and ``state push`` know no JSON, and a crash is never JSON) are passed
on as they are; an ``Error:`` among them becomes a diagnostic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Diagnostic", "Event", "OnEvent", "StreamParser"]

EventKind = Literal["line", "milestone", "progress", "error"]

_JSON_MESSAGE = '{"@'
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|^[╷│╵]\s?")


@dataclass(frozen=True)
class Event:
    """Something a tool said. ``text`` is free of known secrets and may have several lines.

    ``done`` and ``total`` count resources of an apply, in events of the kind ``progress``.
    """

    text: str
    kind: EventKind = "line"
    done: int = 0
    total: int = 0
    address: str = ""


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning of Terraform; ``line`` counts from 1."""

    summary: str
    detail: str = ""
    severity: str = "error"
    address: str = ""
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        """Render as Terraform does: the summary, the place, the detail."""
        places = [self.address] if self.address else []
        if self.file:
            places.append(f"{self.file}:{self.line or 1}")
        where = f" ({', '.join(places)})" if places else ""
        detail = f"\n  {self.detail.strip()}".replace("\n", "\n  ") if self.detail.strip() else ""
        return f"{self.summary}{where}{detail.replace('    ', '  ')}"

    @property
    def text(self) -> str:
        """Summary and detail, to search in."""
        return f"{self.summary}\n{self.detail}"


class StreamParser:
    """Turns the lines of one command into events, and keeps what its outcome needs.

    ``total`` is the number of resources that the command is going to work on. Afterwards
    ``changes`` has the summary's counts, ``planned`` the changes that a plan announced, and
    ``tail`` the last plain lines.
    """

    def __init__(self, redact: Callable[[str], str], on_event: OnEvent, total: int = 0) -> None:
        self._redact = redact
        self._on_event = on_event
        self._total = total
        self._done = 0
        self._plain_error: list[str] | None = None
        self._diagnostics: list[Diagnostic] = []
        self.changes: dict[str, int] = {}
        self.planned: list[dict[str, Any]] = []
        self.tail: list[str] = []

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The errors and warnings so far, redacted."""
        plain = self._plain()
        return (*self._diagnostics, *([plain] if plain else []))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The errors so far, redacted."""
        return tuple(d for d in self.diagnostics if d.severity == "error")

    def feed(self, line: str) -> None:
        """Take one line of output."""
        message = _message(line)
        if message is None and line.startswith(_JSON_MESSAGE):
            # Cut off, by a full disk or a kill. It may be the state, which holds secrets.
            self._feed_plain("(a message of Terraform's was cut off)")
            return
        if message is None:
            self._feed_plain(self._redact(_DECORATION.sub("", _DECORATION.sub("", line))))
            return
        kind = message.get("type")
        if kind == "diagnostic":
            self._feed_diagnostic(message)
        elif kind == "apply_complete":
            self._done += 1
            self._emit(message, "progress")
        elif kind == "change_summary":
            self.changes = dict(message.get("changes", {}))
            self._emit(message, "milestone")
        elif kind == "planned_change":
            self.planned.append(message.get("change") or {})
            self._emit(message, "line")
        else:
            self._emit(message, "line")

    def _emit(self, message: dict[str, Any], kind: EventKind) -> None:
        hook = message.get("hook") or message.get("change") or {}
        self._on_event(
            Event(
                text=self._redact(str(message.get("@message", ""))),
                kind=kind,
                done=self._done if kind == "progress" else 0,
                total=max(self._total, self._done) if kind == "progress" else 0,
                address=str(hook.get("resource", {}).get("addr", "")),
            )
        )

    def _feed_diagnostic(self, message: dict[str, Any]) -> None:
        found = message.get("diagnostic") or {}
        place = found.get("range") or {}
        diagnostic = Diagnostic(
            summary=self._redact(str(found.get("summary", message.get("@message", "")))),
            detail=self._redact(str(found.get("detail", ""))),
            severity=str(found.get("severity", "error")),
            address=str(found.get("address", "")),
            file=str(place.get("filename", "")),
            line=(place.get("start") or {}).get("line"),
        )
        self._diagnostics.append(diagnostic)
        is_error = diagnostic.severity == "error"
        self._on_event(
            Event(
                text=f"{'Error' if is_error else 'Warning'}: {diagnostic}",
                kind="error" if is_error else "line",
                address=diagnostic.address,
            )
        )

    def _feed_plain(self, text: str) -> None:
        self.tail = [*self.tail[-19:], text]
        if text.startswith("Error: "):
            if plain := self._plain():
                self._diagnostics.append(plain)
            self._plain_error = [text.removeprefix("Error: ")]
        elif self._plain_error is not None:
            self._plain_error.append(text)
        if text.strip():
            self._on_event(Event(text, "error" if text.startswith("Error: ") else "line"))

    def _plain(self) -> Diagnostic | None:
        if self._plain_error is None:
            return None
        summary, *detail = self._plain_error
        return Diagnostic(summary, "\n".join(detail).strip())


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "@message" in message else None
