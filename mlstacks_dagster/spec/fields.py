"""Reading typed values out of a YAML mapping, collecting every problem on the way."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.spec.models import Source
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["MAX_NAME", "NAME_RULE", "Fields", "Findings", "describe", "is_name"]

MAX_NAME = 100  # names become parts of file names, of which most systems take 255 bytes
NAME_RULE = f"have at most {MAX_NAME} characters: a letter or digit, then letters, digits, _ and -"
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}")


def is_name(text: str) -> bool:
    """Tell whether ``text`` can be the name of a stack or component."""
    return _NAME.fullmatch(text) is not None


@dataclass
class Findings:
    """What was found so far: ``errors`` keep the stack from loading, ``warnings`` don't."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def raise_errors(self) -> None:
        """Raise :class:`SpecError` with all errors, by file and line; return if there are none."""
        if self.errors:
            raise SpecError(_in_order(self.errors))

    def sorted_warnings(self) -> tuple[Problem, ...]:
        """Return the warnings by file and line."""
        return tuple(_in_order(self.warnings))


def _in_order(problems: list[Problem]) -> list[Problem]:
    files: dict[Path | None, int] = {}
    for problem in problems:
        files.setdefault(problem.file, len(files))
    return sorted(problems, key=lambda p: (files[p.file], p.line or 0))


@dataclass(frozen=True)
class Fields:
    """One mapping of a YAML file, at the key path ``at``."""

    data: Mapping[str, Any]
    source: Source
    findings: Findings
    at: tuple[str | int, ...] = ()

    def error(self, message: str, *path: str | int, remedy: str) -> None:
        """Record an error at the key at ``path`` below this mapping."""
        problem = self.source.problem(message, *self.at, *path, remedy=remedy)
        self.findings.errors.append(problem)

    def warn(self, message: str, *path: str | int, remedy: str) -> None:
        """Record a warning at the key at ``path`` below this mapping."""
        problem = self.source.problem(message, *self.at, *path, remedy=remedy)
        self.findings.warnings.append(problem)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Record an error for each key that isn't in ``known``."""
        for key in self.data:
            if key not in known:
                remedy = did_you_mean(key, known)
                self.error(f"unknown key {_shown(key)}", key, remedy=remedy)

    def text(self, key: str, *, required: str = "") -> str | None:
        """Return the text at ``key``, or None when it is absent, empty or wrong.

        ``required`` is an example: with it, an absent key is an error whose remedy shows it,
        and an empty text is an error and not a warning.
        """
        value = self.data.get(key)
        if value is None:
            if required:
                self.error(f"{key} is missing", remedy=f"add `{key}: {required}`")
            return None
        if not isinstance(value, str):
            self.error(
                f"{key} must be text, not {describe(value)}", key, remedy="put the value in quotes"
            )
            return None
        if not value:
            report = self.error if required else self.warn
            report(f"{key} is empty", key, remedy="write a value or remove the key")
            return None
        return value

    def name(self) -> str:
        """Return the text at ``name``; an empty text when it is absent or wrong."""
        value = self.text("name", required="my_name")
        if value is not None and not is_name(value):
            self.error(f"name {_shown(value)} can't be used", "name", remedy=f"names {NAME_RULE}")
            return ""
        return value or ""

    def choice(self, key: str, allowed: Collection[str], *, required: str = "") -> str | None:
        """Return the text at ``key`` when it is one of ``allowed``; else None, with an error."""
        value = self.text(key, required=required)
        if value is None or value in allowed:
            return value
        remedy = did_you_mean(value, allowed)
        self.error(f"{key} {_shown(value)} isn't known", key, remedy=remedy)
        return None

    def child(self, key: str) -> Fields:
        """Return the mapping at ``key``; an empty one when it is absent or wrong."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, dict):
            self.error(
                f"{key} must be a mapping, not {describe(value)}",
                key,
                remedy=f"write `{key}:` and below it indented `key: value` lines",
            )
        at = (*self.at, key)
        return Fields(value if isinstance(value, dict) else {}, self.source, self.findings, at)

    def text_map(self, key: str) -> dict[str, str]:
        """Return the mapping of text to text at ``key``; wrong values are left out."""
        child = self.child(key)
        texts = {}
        for name, value in child.data.items():
            if isinstance(value, str):
                texts[name] = value
            else:
                child.error(
                    f"{key}.{name} must be text, not {describe(value)}",
                    name,
                    remedy="put the value in quotes",
                )
        return texts


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (date, "a date"),
    (dict, "a mapping"),
    (list, "a list"),
)


def describe(value: object) -> str:
    """Return ``value``'s kind, and the value when it is short, in words of YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    return next((words for kind, words in _KINDS if isinstance(value, kind)), _shown(value))


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
