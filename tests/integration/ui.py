"""Dagster's UI as a user starts it, and what its buttons send."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.integration.stacks import Cli

__all__ = [
    "ENDED",
    "PATIENCE_SECONDS",
    "Ui",
    "alive",
    "serving",
    "stop",
    "wait_for",
    "wait_for_end",
]

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
PATIENCE_SECONDS = 400.0
END_SECONDS = 120.0

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } } }"""
TERMINATE = """mutation($id: String!) {
  terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) { __typename
  ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
  status stepStats { stepKey status startTime endTime } } } }"""
LOG = """query($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection {
  events { ... on MessageEvent { message } } } } }"""

T = TypeVar("T")


class Ui:
    """A running UI, asked over HTTP as its own pages ask it."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self.process = process

    def post(self, query: str, **variables: Any) -> Any:
        """Send a query or mutation; return its data."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        head = {"content-type": "application/json", "origin": self.url}
        request = urllib.request.Request(f"{self.url}/graphql", body, head)
        with urllib.request.urlopen(request, timeout=120) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def launch(self, job: str, keys: Iterable[list[str]], config: Any = None) -> str:
        """Launch ``job`` for the assets ``keys``; return the run's id."""
        selector = {
            "repositoryLocationName": "mlstacks_dagster",
            "repositoryName": "__repository__",
            "jobName": job,
            "assetSelection": [{"path": key} for key in keys],
            "assetCheckSelection": [],
        }
        params = {"selector": selector, "runConfigData": config or {}}
        answer = self.post(LAUNCH, p=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Press the run's Terminate button."""
        answer = self.post(TERMINATE, id=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def run(self, run_id: str) -> dict[str, Any]:
        """Return the run's status and the times of its steps."""
        return dict(self.post(RUN, id=run_id)["runOrError"])

    def log(self, run_id: str) -> str:
        """Return the messages of the run's log."""
        events = self.post(LOG, id=run_id)["logsForRun"]["events"]
        return "\n".join(event.get("message") or "" for event in events)

    def ended(self, run_id: str) -> str:
        """Wait for the run's end; return its status."""
        wait_for(lambda: self.run(run_id)["status"] in ENDED, f"the end of run {run_id}")
        return str(self.run(run_id)["status"])

    def processes(self) -> set[psutil.Process]:
        """Return all processes that the UI has started."""
        return set(self.process.children(recursive=True))


@contextmanager
def serving(cli: Cli, folder: Path, **env: str) -> Iterator[Ui]:
    """Run ``ui --sandbox`` on a free port until the block is left; all of it must end then."""
    log = folder / "ui.log"
    process = cli.start("ui", "--sandbox", "-p", "0", log=log, **env)

    def url() -> str | None:
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        return found and found.group()

    try:
        ui = Ui(wait_for(url, "the UI's address"), psutil.Process(process.pid))
        yield ui
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        stop(process)
        wait_for_end(family)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a command if it still runs, and wait for its end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def alive(processes: Iterable[psutil.Process]) -> list[str]:
    """Return the command lines of those that still do something."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(process.cmdline())[:200]}")
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until the answer is true; return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)
    return found


def wait_for_end(processes: Iterable[psutil.Process]) -> None:
    """Wait until none of them does anything any more; end what does even so, and fail."""
    processes = list(processes)
    deadline = time.monotonic() + END_SECONDS
    while left := alive(processes):
        if time.monotonic() > deadline:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            raise AssertionError("still running:\n" + "\n".join(left))
        time.sleep(0.2)
