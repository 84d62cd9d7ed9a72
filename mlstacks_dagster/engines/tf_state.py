"""A unit's Terraform state: what is in it, its lock, and a local file that is damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mlstacks_dagster.errors import StateError

__all__ = [
    "LockInfo",
    "OutputValue",
    "StateResource",
    "StateSnapshot",
    "backup_of",
    "check_state_file",
    "parse_lock",
    "parse_state",
    "restore_cut_off_state",
    "set_cut_off_aside",
]


@dataclass(frozen=True)
class OutputValue:
    """An output; a ``sensitive`` value must not be shown or stored. ``type`` is Terraform's."""

    value: Any = field(repr=False)
    sensitive: bool = False
    type: Any = "string"


@dataclass(frozen=True)
class StateResource:
    """A managed resource instance in a state; ``id`` and ``arn`` are empty when it has none."""

    address: str
    type: str
    name: str
    id: str = ""
    arn: str = ""
    tainted: bool = False


@dataclass(frozen=True)
class StateSnapshot:
    """What a state holds; ``serial`` grows with each write."""

    serial: int = 0
    lineage: str = ""
    outputs: Mapping[str, OutputValue] = field(default_factory=dict)
    resources: tuple[StateResource, ...] = ()


@dataclass(frozen=True)
class LockInfo:
    """Who holds a state lock. ``created`` is Unix time in seconds; 0.0 when not understood."""

    id: str
    who: str = ""
    operation: str = ""
    path: str = ""
    created: float = 0.0
    created_text: str = ""

    def __str__(self) -> str:
        """Render who, what and since when."""
        return f"{self.who or 'somebody'} ({self.operation or '?'}, since {self.created_text})"


def parse_state(text: str) -> StateSnapshot:
    """Return what a state (``terraform state pull``) holds; empty text is an empty state.

    Raises :class:`StateError` when the text isn't a state.
    """
    if not text.strip():
        return StateSnapshot()
    try:
        state = json.loads(text)
        return StateSnapshot(
            serial=int(state["serial"]),
            lineage=str(state["lineage"]),
            outputs={
                name: OutputValue(o["value"], bool(o.get("sensitive")), o.get("type", "string"))
                for name, o in (state.get("outputs") or {}).items()
            },
            resources=tuple(
                _instance(resource, instance)
                for resource in state.get("resources") or ()
                if resource.get("mode") == "managed"
                for instance in resource["instances"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StateError("the Terraform state is not in a known form") from None


def _instance(resource: dict[str, Any], instance: dict[str, Any]) -> StateResource:
    attributes = instance.get("attributes") or instance.get("attributes_flat") or {}
    module = f"{resource['module']}." if resource.get("module") else ""
    index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return StateResource(
        address=f"{module}{resource['type']}.{resource['name']}{index}",
        type=resource["type"],
        name=resource["name"],
        id=str(attributes.get("id") or ""),
        arn=str(attributes.get("arn") or ""),
        tainted=instance.get("status") == "tainted",
    )


_LOCK_FIELD = re.compile(r"^\s*(ID|Path|Operation|Who|Created):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def parse_lock(text: str) -> LockInfo | None:
    """Return the lock that Terraform's message ``text`` tells of; None when it tells of none."""
    fields = {name: value for name, value in _LOCK_FIELD.findall(text) if value}
    if "ID" not in fields:
        return None
    created = fields.get("Created", "")
    return LockInfo(
        id=fields["ID"],
        who=fields.get("Who", ""),
        operation=fields.get("Operation", "").removeprefix("OperationType").lower(),
        path=fields.get("Path", ""),
        created=_unix(created),
        created_text=created,
    )


def _unix(text: str) -> float:
    """Read Go's ``2026-01-02 03:04:05.678901234 +0000 UTC``."""
    found = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)? ([+-]\d{4})", text)
    if found is None:
        return 0.0
    day, fraction, zone = found.groups()
    stamp = f"{day}.{(fraction or '0').ljust(6, '0')} {zone}"
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f %z").timestamp()


def backup_of(path: Path) -> Path:
    """Return where Terraform keeps the state as it was before its last write."""
    return path.with_name(f"{path.name}.backup")


def check_state_file(path: Path) -> None:
    """Raise :class:`StateError` when the local state at ``path`` is damaged; touch nothing.

    An empty file without a backup is no damage: Terraform makes it while it holds the lock of
    a state that doesn't exist yet.
    """
    problem = _problem(path)
    if problem is None:
        return
    backup = backup_of(path)
    if backup.exists() and _problem(backup) is None:
        remedy = f"keep a copy of it, then restore the last good state: cp {backup} {path}"
    else:
        remedy = "restore it from your own backup; nothing was changed"
    raise StateError(f"the Terraform state {path} is damaged: {problem}", remedy=remedy)


def set_cut_off_aside(path: Path) -> Path | None:
    """Move a state that a full disk cut off out of the way; None when it is whole.

    Nobody can use it: what it should tell is found by the marks in the cloud.
    """
    try:
        json.loads(path.read_bytes())
    except ValueError:
        aside = path.with_name(f"{path.name}.cut-off")
        path.replace(aside)
        return aside
    return None


def restore_cut_off_state(path: Path, at: float) -> Path | None:
    """Undo a write of the state that was cut off by a kill; return where the rest is kept.

    Terraform writes its state in place, after a backup of what it held when the command
    began. The damaged file is moved aside under a name with the Unix time ``at``. Returns None
    when the state is in order.
    """
    if _problem(path) is None:
        return None
    aside = path.with_name(f"{path.name}.corrupt-{int(at)}")
    path.replace(aside)
    backup = backup_of(path)
    if backup.exists() and _problem(backup) is None:
        partial = path.with_name(f".{path.name}.restored")
        shutil.copyfile(backup, partial)
        partial.chmod(0o600)
        partial.replace(path)
    return aside


def _problem(path: Path) -> str | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    if not content.strip():
        return "it is empty, though a backup exists" if backup_of(path).exists() else None
    try:
        state = json.loads(content)
    except ValueError:
        return "it is not JSON (cut off, or written by another program)"
    if not isinstance(state, dict) or not isinstance(state.get("version"), int):
        return "it has no format version"
    return None
