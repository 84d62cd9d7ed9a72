"""The programs that make up the UI, as argv values, and the note of what runs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.origin import MODULE
from mlstacks_dagster.engines.detached import created_at, is_running
from mlstacks_dagster.files import write_private
from mlstacks_dagster.settings import Settings

__all__ = ["HOST", "Process", "UiServices", "UiState", "running_ui", "state_path"]

HOST = "127.0.0.1"


@dataclass(frozen=True)
class UiServices:
    """The programs that make up the UI, as argv values.

    ``folder`` (private) holds the code server's socket and the workspace file; ``module`` is the
    code location.
    """

    folder: Path
    port: int
    module: str = MODULE

    @property
    def socket(self) -> Path:
        """Where the code server listens; whoever may connect can launch runs."""
        return self.folder / "code.sock"

    @property
    def workspace(self) -> Path:
        """The workspace file that web server and daemon share."""
        return self.folder / "workspace.yaml"

    @property
    def url(self) -> str:
        """Where the UI is."""
        return f"http://{HOST}:{self.port}"

    def write_workspace(self) -> None:
        """Write the workspace file."""
        server = {"socket": str(self.socket), "location_name": names.LOCATION}
        write_private(self.workspace, json.dumps({"load_from": [{"grpc_server": server}]}))

    def code_server(self) -> list[str]:
        """Return the argv of the code server, which reloads the stacks on request."""
        return [
            *(sys.executable, "-m", "dagster", "code-server", "start"),
            *("--module-name", self.module, "--socket", str(self.socket)),
            *("--working-directory", str(self.folder), "--location-name", names.LOCATION),
            *("--use-python-environment-entry-point", "--log-level", "warning"),
        ]

    def web_server(self) -> list[str]:
        """Return the argv of the guarded web server."""
        return [
            *(sys.executable, "-m", "mlstacks_dagster.defs.web"),
            *("--workspace", str(self.workspace), "--host", HOST, "--port", str(self.port)),
            *("--dagster-log-level", "warning", "--suppress-warnings"),
        ]

    def daemon(self) -> list[str]:
        """Return the argv of Dagster's daemon, which starts queued runs."""
        return [
            *(sys.executable, "-m", "dagster._daemon", "run"),
            *("--workspace", str(self.workspace), "--log-level", "warning"),
        ]


class Process(BaseModel):
    """A process, told from a later one with the same id by its time of creation."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> Process:
        """Describe the process ``pid``."""
        return cls(name=name, pid=pid, created=created_at(pid) or 0.0)

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return is_running(self.pid, self.created)


class UiState(BaseModel):
    """What ``ui.json`` says: where the UI is, who serves it, and its services."""

    url: str
    server: Process
    services: list[Process] = []

    @classmethod
    def new(cls, url: str) -> UiState:
        """Return the state of a UI that this process serves."""
        return cls(url=url, server=Process.of("ui", os.getpid()))

    @classmethod
    def read(cls, settings: Settings) -> UiState | None:
        """Return what was written last, or None."""
        try:
            return cls.model_validate_json(state_path(settings).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, settings: Settings) -> None:
        """Write it."""
        write_private(state_path(settings), self.model_dump_json())


def state_path(settings: Settings) -> Path:
    """Return where the UI's state is written."""
    return settings.home / "ui.json"


def running_ui(settings: Settings) -> str | None:
    """Return the URL of the UI that runs already, or None."""
    state = UiState.read(settings)
    return state.url if state and state.server.alive() else None
