"""Launch a run on a fake stack: ``launch_script.py HOME KIND STACK UNITS_JSON``.

Prints what happens as JSON lines: ``{"log": ...}``, ``{"progress": ...}``, ``{"result": ...}``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import fake_lifecycle

from mlstacks_dagster.defs.launch import launch
from mlstacks_dagster.defs.requests import LaunchRequest
from mlstacks_dagster.settings import Settings


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main(home: Path, kind: str, stack: str, units: str) -> None:
    settings = Settings(
        home=home,
        stacks_dir=home / "stacks",
        ledger_url=f"sqlite:///{home / 'ledger.db'}",
        lock_timeout=120.0,
    )
    entry = fake_lifecycle.entry_of(stack, json.loads(units))
    result = launch(
        LaunchRequest(kind, entry),  # type: ignore[arg-type]
        settings,
        lifecycle="fake_lifecycle",
        on_progress=lambda p: say(progress=p.model_dump()),
        on_log=lambda text: say(log=text),
    )
    say(result=dataclasses.asdict(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
