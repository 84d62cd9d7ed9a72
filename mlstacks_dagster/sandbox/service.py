"""Start, find and stop the sandbox of a home folder.

A start is idempotent: a lock file makes concurrent starts take turns, and each later one finds
the first. The emulator's memory dies with it: after a stop or a reboot, what was deployed there
is gone, which :attr:`SandboxState.instance_id` tells.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlstacks_dagster.engines import detached
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.files import private_folder, write_private
from mlstacks_dagster.settings import Settings, process_environment

from . import standins
from .mirror import build_mirror, bundled_provider, remove_leftovers
from .provider import ACCESS_KEY_ID, SECRET_ACCESS_KEY, aws_wiring
from .state import ANSWER_SECONDS, LOCK_NAME, SandboxState, answers, is_ours, read_state, state_path

__all__ = ["SandboxState", "shell_exports", "start", "status", "stop"]

_START_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_LOG_LINES = 15
_NEEDED = ("moto", "flask", "aiohttp", "jsonpatch", "kubernetes_validate")

# What the server needs of our environment; nothing of the user's cloud goes there.
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "VIRTUAL_ENV")

Clock = Callable[[], float]
Sleep = Callable[[float], None]


def start(
    settings: Settings,
    *,
    find_provider: Callable[[], Path | None] = bundled_provider,
    answer_seconds: float = ANSWER_SECONDS,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> SandboxState:
    """Start the sandbox, or find the one that runs, and return it once it answers.

    Also builds the provider mirror and writes ``wiring.json``. ``find_provider`` returns the zip
    of provider 3.39, or None where the current provider is to be used; a sandbox that was there
    before gets ``answer_seconds`` to answer. Raises :class:`SandboxError` when moto is not
    installed, the server ends early or doesn't answer in time, or the mirror can't be built.
    """
    _require_moto()
    folder = private_folder(settings.sandbox_dir)
    with _turn(folder):
        state = _found(folder, answer_seconds)
        if state is None:
            _wiring_path(folder).unlink(missing_ok=True)
            remove_leftovers(folder)
            instance_id = uuid.uuid4().hex
            pid = _launch(folder, instance_id)
            mirror = _mirror(folder, find_provider())
            state = _await(folder, pid, clock, sleep)
        else:
            mirror = _mirror(folder, find_provider())
        wiring = aws_wiring(state.endpoint, mirror, legacy=mirror is not None)
        charts = standins.build_mirror(folder / "charts")
        ours = {"instance_id": state.instance_id, "chart_mirror": charts}
        _write_wiring(folder, wiring.model_copy(update=ours))
        return state


def status(settings: Settings) -> SandboxState | None:
    """Return the running sandbox, None when there is none."""
    return _running(settings.sandbox_dir)


def stop(settings: Settings, *, grace_seconds: float = _GRACE_SECONDS) -> SandboxState | None:
    """End the sandbox and remove its state and wiring; return what was ended.

    Only the process that our state file proves to be the sandbox is ended, whether it still
    answers or hangs. Everything deployed in it is gone: the caller marks the stacks that lived
    there. It gets ``grace_seconds`` to leave, then SIGKILL. Raises :class:`SandboxError` when the
    process is there even so.
    """
    folder = settings.sandbox_dir
    if not folder.is_dir():
        return None
    with _turn(folder):
        state = read_state(folder)
        if state is not None and not is_ours(state):
            state = None
        if state is not None:
            detached.end(state.pid, state.created, grace_seconds)
            if detached.is_running(state.pid, state.created):
                raise SandboxError(
                    f"the sandbox's process {state.pid} doesn't end",
                    remedy=f"end it yourself: kill -9 {state.pid}",
                )
        _wiring_path(folder).unlink(missing_ok=True)
        state_path(folder).unlink(missing_ok=True)
        return state


def shell_exports(state: SandboxState, region: str) -> str:
    """Return shell lines that point any AWS client at the sandbox, for ``eval``."""
    values = {
        "AWS_ENDPOINT_URL": state.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, "unset AWS_PROFILE AWS_SESSION_TOKEN", ""])


def _require_moto() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SandboxError(
            f"the sandbox needs {' and '.join(missing)}, which is not installed",
            remedy="pip install 'mlstacks-dagster[sandbox]'",
        )


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Hold the folder's start lock; the kernel frees it when we die."""
    with (folder / "start.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _running(folder: Path) -> SandboxState | None:
    state = read_state(folder)
    return state if state is not None and is_ours(state) and answers(state) else None


def _found(folder: Path, answer_seconds: float) -> SandboxState | None:
    state = read_state(folder)
    if state is None or not is_ours(state):
        return None
    if answers(state, answer_seconds):
        return state
    raise SandboxError(
        f"the sandbox (process {state.pid}) runs but doesn't answer at {state.endpoint}",
        remedy="end it, then start anew: mlstacks-dagster sandbox stop",
    )


def _launch(folder: Path, instance_id: str) -> int:
    # -P: a file in the working folder must not pass for a module.
    argv = [sys.executable, "-P", "-m", "mlstacks_dagster.sandbox.server"]
    argv += ["--dir", str(folder), "--instance", instance_id]
    parent = process_environment()
    env = {name: parent[name] for name in _PASSED_ON if name in parent}
    env |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        return detached.start_detached(argv, cwd=folder, env=env, log=_log_path(folder))
    except OSError as error:
        raise SandboxError(f"the sandbox's server can't be started: {error}") from error


def _await(folder: Path, pid: int, clock: Clock, sleep: Sleep) -> SandboxState:
    """Wait for the server to answer.

    Ours may find that another one holds the folder (its starter was killed before it wrote the
    state down) and leave; then that one is awaited.
    """
    deadline = clock() + _START_TIMEOUT_SECONDS
    while clock() < deadline:
        state = _running(folder)
        if state is not None:
            return state
        if detached.created_at(pid) is None and not _held(folder):
            raise SandboxError(
                f"the sandbox's server ended early:\n{_log_tail(folder)}",
                remedy=f"see {_log_path(folder)}",
            )
        sleep(_POLL_SECONDS)
    raise SandboxError(
        f"the sandbox's server didn't answer within {_START_TIMEOUT_SECONDS:.0f} s",
        remedy=f"see {_log_path(folder)}",
    )


def _held(folder: Path) -> bool:
    with (folder / LOCK_NAME).open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _mirror(folder: Path, archive: Path | None) -> Path | None:
    return None if archive is None else build_mirror(folder / "mirror", archive)


def _write_wiring(folder: Path, wiring: Wiring) -> None:
    write_private(_wiring_path(folder), wiring.model_dump_json(indent=2).encode())


def _wiring_path(folder: Path) -> Path:
    return folder / "wiring.json"


def _log_path(folder: Path) -> Path:
    return folder / "server.log"


def _log_tail(folder: Path) -> str:
    lines = _log_path(folder).read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])
