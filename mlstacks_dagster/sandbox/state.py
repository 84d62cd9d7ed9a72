"""What is written down about the running sandbox, and how it is recognised.

The server writes ``state.json`` itself, so that it can be found even when the command that
started it was killed meanwhile. The instance id is on its command line, and it answers with it at
:data:`IDENTITY_PATH`: process ids and ports are used again by others, so neither alone is proof.
"""

from __future__ import annotations

import http.client
import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlstacks_dagster.engines import detached
from mlstacks_dagster.files import write_private

__all__ = [
    "ANSWER_SECONDS",
    "HOST",
    "IDENTITY_PATH",
    "LOCK_NAME",
    "SandboxState",
    "answers",
    "is_ours",
    "read_state",
    "state_path",
    "write_state",
]

HOST = "127.0.0.1"

# Held by the server for life.
LOCK_NAME = "server.lock"

# No bucket can have this name (underscore), so it hides nothing of S3.
IDENTITY_PATH = "/_mlstacks/sandbox"

ANSWER_SECONDS = 10.0


class SandboxState(BaseModel):
    """A running sandbox.

    ``instance_id`` is new at each start: what was deployed under another id is gone.
    ``created`` is the process's time of creation, in seconds since the epoch. ``kube_port`` is
    where the emulated Kubernetes clusters are served, over TLS.
    """

    model_config = ConfigDict(frozen=True)

    instance_id: str
    pid: int
    created: float
    port: int
    kube_port: int = 0
    started_at: datetime

    @property
    def endpoint(self) -> str:
        """The URL of every emulated service."""
        return f"http://{HOST}:{self.port}"


def state_path(sandbox_dir: Path) -> Path:
    """Return the path of the state file."""
    return sandbox_dir / "state.json"


def write_state(sandbox_dir: Path, state: SandboxState) -> None:
    """Write the state file (0600) in one step. Raises :class:`OSError`."""
    content = {**state.model_dump(mode="json"), "endpoint": state.endpoint}
    write_private(state_path(sandbox_dir), json.dumps(content, indent=2).encode())


def read_state(sandbox_dir: Path) -> SandboxState | None:
    """Return what the state file says, None when there is none or it can't be read."""
    try:
        return SandboxState.model_validate_json(state_path(sandbox_dir).read_bytes())
    except (OSError, ValidationError):
        return None


def answers(state: SandboxState, within_seconds: float = ANSWER_SECONDS) -> bool:
    """Say whether the server at the endpoint is the one that ``state`` describes."""
    connection = http.client.HTTPConnection(HOST, state.port, timeout=within_seconds)
    try:
        connection.request("GET", IDENTITY_PATH)
        response = connection.getresponse()
        found = json.loads(response.read()) if response.status == 200 else {}
        return bool(found == {"instance_id": state.instance_id, "pid": state.pid})
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def is_ours(state: SandboxState) -> bool:
    """Say whether the process in ``state`` lives and is the sandbox that wrote it.

    Its id, its time of creation and the instance id on its command line must agree.
    """
    return detached.is_running(state.pid, state.created) and (
        state.instance_id in detached.command_line(state.pid)
    )
