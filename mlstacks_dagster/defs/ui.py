"""The UI: a code server, the guarded web server and Dagster's daemon, all on this machine."""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlstacks_dagster.defs.instance import ensure_dagster_home, open_instance
from mlstacks_dagster.defs.origin import MODULE
from mlstacks_dagster.defs.reconcile import reconcile
from mlstacks_dagster.defs.ui_services import (
    HOST,
    Process,
    UiServices,
    UiState,
    running_ui,
    state_path,
)
from mlstacks_dagster.engines.detached import end, start_detached
from mlstacks_dagster.errors import InputError, MlstacksError
from mlstacks_dagster.settings import Settings, process_environment

__all__ = ["DEFAULT_PORT", "free_port", "running_ui", "serve_ui"]

DEFAULT_PORT = 3000
_PORTS_TRIED = 50
_LAST_PORT = 65_535
_START_SECONDS = 120.0
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.2
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_ui(
    settings: Settings,
    port: int = DEFAULT_PORT,
    on_ready: Callable[[str], None] = lambda _: None,
    stop_event: threading.Event | None = None,
    *,
    module: str = MODULE,
) -> None:
    """Serve the UI on ``port``, or the next free one, until ``stop_event`` is set.

    In the main thread, SIGINT (Ctrl-C), SIGTERM and SIGHUP set it.

    ``on_ready`` gets the URL once the server answers; ``module`` is the code location. Runs that
    are under way when the UI ends go on to their end. A UI that already runs is found with
    :func:`running_ui`; services that a killed UI left are ended first. Raises MlstacksError when
    a service doesn't start or ends by itself.
    """
    stop = stop_event or threading.Event()
    ensure_dagster_home(settings)
    _end_leftovers(settings)
    with open_instance(settings) as instance:
        reconcile(instance, settings)
    with ExitStack() as stack:
        stack.enter_context(_signals_set(stop))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlstacks-ui-")))
        services = UiServices(folder, free_port(port), module)
        services.write_workspace()
        stack.callback(state_path(settings).unlink, missing_ok=True)
        ui = _Ui(settings, UiState.new(services.url), stop)
        stack.callback(ui.end)
        ui.start("code-server", services.code_server())
        ui.wait(lambda: _connects(services.socket))
        ui.start("daemon", services.daemon())
        ui.start("web-server", services.web_server())
        ui.wait(lambda: _answers(services.url))
        ui.serve(on_ready)


class _Ui:
    """The services that were started so far."""

    def __init__(self, settings: Settings, state: UiState, stop: threading.Event) -> None:
        self._settings = settings
        self._state = state
        self._stop = stop

    def start(self, name: str, argv: list[str]) -> None:
        if self._stop.is_set():
            return
        pid = start_detached(
            argv, cwd=self._settings.home, env=_environment(self._settings), log=self._log(name)
        )
        self._state.services.append(Process.of(name, pid))
        self._state.write(self._settings)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until the service that was started last answers."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._stop.is_set() and not ready():
            self._check()
            if time.monotonic() > deadline:
                name = self._state.services[-1].name
                raise MlstacksError(
                    f"the UI's {name} doesn't answer after {_START_SECONDS:.0f} s",
                    remedy=f"see {self._log(name)}",
                )
            self._stop.wait(_POLL_SECONDS)

    def serve(self, on_ready: Callable[[str], None]) -> None:
        if not self._stop.is_set():
            on_ready(self._state.url)
        while not self._stop.wait(_POLL_SECONDS):
            self._check()

    def end(self) -> None:
        """End the services, the last one first."""
        for service in reversed(self._state.services):
            end(service.pid, service.created, _GRACE_SECONDS)

    def _check(self) -> None:
        for service in self._state.services:
            if not service.alive():
                log = self._log(service.name)
                last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
                raise MlstacksError(
                    f"the UI's {service.name} has ended:\n{last}", remedy=f"see {log}"
                )

    def _log(self, name: str) -> Path:
        return self._settings.dagster_home / f"{name}.log"


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let signals end the UI in order: services of their own session don't end with us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port(first: int) -> int:
    """Return ``first`` or the next port that nothing listens on; 0 means any."""
    last = min(first + _PORTS_TRIED - 1, _LAST_PORT)
    if not 0 <= first <= _LAST_PORT:
        raise InputError(f"there is no port {first}", remedy=f"give one of 0 to {_LAST_PORT}")
    for port in range(first, last + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise MlstacksError(f"ports {first} to {last} are all in use", remedy="give another --port")


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **process_environment(),
        "DAGSTER_HOME": str(settings.dagster_home),
        "MLSTACKS_HOME": str(settings.home),
        "MLSTACKS_STACKS_DIR": str(settings.stacks_dir),
        "MLSTACKS_LEDGER_URL": settings.ledger_url,
        "MLSTACKS_SANDBOX": "1" if settings.sandbox else "0",
    }


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:  # noqa: S310 - ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end_leftovers(settings: Settings) -> None:
    """End the services of a UI that was killed."""
    state = UiState.read(settings)
    if state and not state.server.alive():
        for service in reversed(state.services):
            end(service.pid, service.created, _GRACE_SECONDS)
