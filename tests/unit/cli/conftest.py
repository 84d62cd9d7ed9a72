"""The command line in this process, on a home folder of its own, without Dagster's runs."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.cli.main import main
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.settings import Settings


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class FakeLaunch:
    """Stands where a Dagster run would be launched; remembers the requests."""

    requests: list[Any] = field(default_factory=list)
    outcome: str = "applied"
    error: str = ""
    run_error: str = ""

    def __call__(self, request: Any, settings: Settings, **_: Any) -> Any:
        from mlstacks_dagster.defs.launch import LaunchResult, UnitResult

        self.requests.append(request)
        names = request.units or tuple(u.name for u in request.entry.plan.units)
        return LaunchResult(
            run_id="run-1",
            success=not (self.error or self.run_error),
            cancelled=False,
            units={name: UnitResult(self.outcome, self.error) for name in names},  # type: ignore[arg-type]
            error=self.run_error,
        )


class Terminal:
    """Runs commands, and sets up what they find."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.capsys = capsys
        self.folder = folder
        self.launch = FakeLaunch()

    @property
    def settings(self) -> Settings:
        return Settings.load()

    def run(self, *argv: object, typed: str | None = None) -> Said:
        """Run a command; ``typed`` is what the user answers, None for nothing at all."""
        before = sys.stdin
        sys.stdin = io.StringIO(typed or "")
        self.capsys.readouterr()
        code = 0
        try:
            main([str(a) for a in argv], launcher=self.launch)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            sys.stdin = before
        said = self.capsys.readouterr()
        return Said(code, said.out, said.err)

    def stack(self, name: str = "demo", *components: tuple[str, str], **more: Any) -> Path:
        """Write a stack file; a component is its type and flavor."""
        files = []
        for kind, flavor in components or (("artifact_store", "s3"),):
            files.append(f"{name}-{kind}.yaml")
            component = {
                "spec_version": 1,
                "spec_type": "component",
                "name": f"my_{kind}",
                "provider": "aws",
                "component_type": kind,
                "component_flavor": flavor,
            }
            (self.folder / files[-1]).write_text(yaml.safe_dump(component))
        stack = {
            "spec_version": 1,
            "spec_type": "stack",
            "name": name,
            "provider": "aws",
            "default_region": "eu-north-1",
            "components": files,
            **more,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(stack))
        return path

    def deployed(
        self, path: Path, *, target: Any = "cloud", **outputs: dict[str, Any]
    ) -> StackRecord:
        """Make the ledger say that the stack's units are applied, with these outputs."""
        plan = load_plan(path, self.settings)
        with Ledger.open(self.settings.ledger_url, clock=lambda: 1_800_000_000) as ledger:
            stack = ledger.register_stack(
                plan,
                target=target,
                sandbox_id="one" if target == "sandbox" else None,
                expires_at=plan.options.expires_at,
            )
            for unit in plan.units:
                begun = ledger.begin(
                    stack.stack_id, unit.name, engine="terraform", kind="deploy", run_id="run-0"
                )
                ledger.finish(begun.id, "ok", summary={}, outputs=outputs.get(unit.name, {}))
        return stack


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_ledger: bytes,
) -> Terminal:
    """A terminal in an empty folder whose ``stacks`` are its own."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "ledger.db").write_bytes(empty_ledger)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLSTACKS_HOME", str(home))
    return Terminal(capsys, folder)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger that is migrated already."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path.read_bytes()
