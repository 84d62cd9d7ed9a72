"""Programs that stand before the real Terraform: one that remembers, one that talks too much."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.settings import Settings

__all__ = ["Recorder", "wrap"]


def wrap(settings: Settings, program: Path, code: str) -> Path:
    """Write ``program``, which runs ``code`` before it becomes the real Terraform; return it.

    The code finds ``verb``, ``env`` and the modules ``json``, ``os`` and ``sys``.
    """
    real = find_terraform(settings).argv
    program.write_text(
        f"#!{sys.executable} -I\n"
        "import json, os, sys\n"
        "verb, env = sys.argv[1], dict(os.environ)\n"
        f"{code}\n"
        "sys.stdout.flush()\n"
        f"real = {real!r}\n"
        "os.execv(real[0], [*real, *sys.argv[1:]])\n"
    )
    program.chmod(0o755)
    return program


class Recorder:
    """A Terraform that notes its environment before it becomes the real one."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._notes = folder / "notes.jsonl"
        self.program = wrap(
            settings,
            folder / "terraform",
            "note = json.dumps({'verb': verb, 'folder': os.getcwd(), 'env': env})\n"
            f"with open({str(self._notes)!r}, 'a') as notes:\n"
            "    notes.write(note + '\\n')",
        )

    def seen(self, unit: str) -> list[tuple[str, dict[str, str]]]:
        """Return verb and environment of each command of a unit so far; forget none."""
        return [(n["verb"], n["env"]) for n in self._all() if f"/{unit}/" in n["folder"]]

    def verbs(self) -> dict[str, list[str]]:
        """Return the verbs so far by the unit that Terraform was started for, and forget them."""
        found: dict[str, list[str]] = {}
        for note in self._all():
            if "work" in (parts := Path(note["folder"]).parts):
                found.setdefault(parts[-2], []).append(note["verb"])
        self._notes.unlink(missing_ok=True)
        return found

    def _all(self) -> list[dict[str, Any]]:
        if not self._notes.exists():
            return []
        return [json.loads(line) for line in self._notes.read_text().splitlines()]
