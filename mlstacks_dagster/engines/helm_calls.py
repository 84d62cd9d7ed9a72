"""Running Helm for one release: environment, logs, deadline, errors."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from mlstacks_dagster.engines.helm_argv import ChartSource, HelmTarget
from mlstacks_dagster.engines.helm_charts import cached_chart, check_digest, has_crds
from mlstacks_dagster.engines.helm_errors import error_text, helm_failed, is_not_found
from mlstacks_dagster.engines.helm_record import RECORD_TEMPLATE, RecordedRelease, parse_record
from mlstacks_dagster.engines.helm_recovery import Revision, parse_history
from mlstacks_dagster.engines.helm_request import HelmRequest
from mlstacks_dagster.engines.helm_tools import HelmTool
from mlstacks_dagster.engines.kube_objects import KnownObject, known_objects
from mlstacks_dagster.engines.process import Command, ProcessRunner, Settled
from mlstacks_dagster.engines.tf_events import Event, OnEvent
from mlstacks_dagster.engines.tf_recovery import Crashes
from mlstacks_dagster.errors import CommandError, CommandTimeoutError
from mlstacks_dagster.files import disk_errors, private_folder

__all__ = ["HelmCalls", "HelmFailure", "helm_environment"]

_KEPT_LINES = 60
_DROPPED = ("HELM_", "KUBE")


class HelmFailure(Exception):  # noqa: N818 - always becomes an error of the tree
    """A Helm call that changes something ended badly; ``lines`` are its redacted output."""

    def __init__(self, returncode: int, lines: list[str], *, timed_out: bool = False) -> None:
        super().__init__(returncode)
        self.returncode = returncode
        self.lines = lines
        self.timed_out = timed_out

    @property
    def text(self) -> str:
        """The error that Helm ended with; all of the output when it named none."""
        return error_text(self.lines)


def helm_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return ``environment`` with Helm's own folders under ``folder``, and no plugin.

    Whatever would point Helm to another cluster or to the user's repositories is left out.
    """
    env = {k: v for k, v in environment.items() if not k.startswith(_DROPPED)}
    env.update(
        HELM_CACHE_HOME=str(folder / "cache"),
        HELM_CONFIG_HOME=str(folder / "config"),
        HELM_DATA_HOME=str(folder / "data"),
        HELM_NO_PLUGINS="1",
        HELM_DRIVER="secret",
        KUBECACHEDIR=str(folder / "kube"),
    )
    return env


class HelmCalls:
    """Runs command lines of one Helm.

    ``chart_cache`` keeps fetched charts for all releases. ``clock`` is Unix time and ``timer``
    measures, both in seconds. ``seconds`` is what all processes together took.
    """

    def __init__(
        self,
        tool: HelmTool,
        runner: ProcessRunner,
        chart_cache: Path,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tool = tool
        self._runner = runner
        self._chart_cache = chart_cache
        self._clock = clock
        self._timer = timer
        self.seconds = 0.0

    def target(self, request: HelmRequest) -> HelmTarget:
        """Return the release as command lines name it."""
        return HelmTarget(
            self.tool.program,
            self.tool.major,
            request.release,
            request.namespace,
            request.kubeconfig,
            request.context,
        )

    def settle(self, request: HelmRequest, on_event: OnEvent) -> Settled:
        """Bring an earlier Helm of this release to its end, and remember that it was cut off."""
        with disk_errors(request.work_dir, f"preparing {request.unit}"):
            private_folder(request.work_dir)

        def on_line(line: str) -> None:
            on_event(Event(request.redactor(line)))

        settled = self._runner.settle(request.record, on_line)
        if settled.found:
            Crashes(request.work_dir).note(settled)
            on_event(Event(f"{request.unit}: {settled}", "milestone"))
        return settled

    def change(
        self,
        request: HelmRequest,
        verb: str,
        argv: tuple[str, ...],
        on_event: OnEvent,
        *,
        seconds: float,
        values: bool = False,
    ) -> list[str]:
        """Run a call that changes the cluster; its last lines, redacted.

        ``values`` sends the request's values to its standard input. After ``seconds`` it is
        stopped: Helm's own time out is for each thing that it waits for. Raises
        :class:`HelmFailure` when it failed or was stopped at its deadline.
        """
        lines: deque[str] = deque(maxlen=_KEPT_LINES)

        def on_line(line: str) -> None:
            text = request.redactor(line)
            lines.append(text)
            on_event(Event(text))

        command = Command(
            argv=argv,
            cwd=request.work_dir,
            env=helm_environment(request.environment, request.work_dir / "helm"),
            log=request.log(verb),
            record=request.record,
            verb=f"helm {verb}",
            stdin=_values(request) if values else None,
            timeout=seconds,
        )
        started, at = self._timer(), self._clock()
        try:
            code = self._runner.run(command, on_line)
        except CommandTimeoutError:
            raise HelmFailure(-1, list(lines), timed_out=True) from None
        finally:
            self.seconds += self._timer() - started
        if code != 0:
            Crashes(request.work_dir).note(
                Settled(verb=verb, found=True, started=at, at=self._clock())
            )
            raise HelmFailure(code, list(lines))
        return list(lines)

    def read(
        self, request: HelmRequest, what: str, argv: tuple[str, ...], *, values: bool = False
    ) -> str:
        """Return what a reading call prints; it may hold secrets. Raises :class:`CommandError`."""
        text = self.ask(request, what, argv, values=values)
        if text is None:
            raise CommandError(
                f"{request.unit}: the release {request.release} is not there",
                remedy="deploy the unit again",
            )
        return text

    def ask(
        self, request: HelmRequest, what: str, argv: tuple[str, ...], *, values: bool = False
    ) -> str | None:
        """Return what a reading call prints, None when there is no such release."""
        with disk_errors(request.work_dir, f"preparing {request.unit}"):
            private_folder(request.work_dir)
        started = self._timer()
        try:
            done = self._runner.capture(
                argv,
                request.work_dir,
                helm_environment(request.environment, request.work_dir / "helm"),
                stdin=_values(request) if values else None,
            )
        finally:
            self.seconds += self._timer() - started
        if done.returncode == 0:
            return done.stdout
        if is_not_found(done.stderr):
            return None
        lines = request.redactor(done.stderr).splitlines()
        raise helm_failed(f"{request.unit}: helm {what}", done.returncode, lines)

    def history(self, request: HelmRequest) -> tuple[Revision, ...]:
        """Return the release's revisions, oldest first; empty when there is no release."""
        text = self.ask(request, "history", self.target(request).history_argv())
        if text is None:
            return ()
        try:
            return parse_history(text)
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{request.unit}: helm history is not understood") from error

    def release(self, request: HelmRequest, revision: int | None = None) -> RecordedRelease | None:
        """Return what Helm recorded of a revision (default: the newest); None without one."""
        argv = self.target(request).get_argv(RECORD_TEMPLATE, revision)
        text = self.ask(request, "get all", argv)
        try:
            return None if text is None else parse_record(text)
        except ValueError as error:
            raise CommandError(f"{request.unit}: helm get all is not understood") from error

    def crds(self, request: HelmRequest, chart: Path) -> tuple[KnownObject, ...]:
        """Return the definitions that Helm installs before the chart, and never removes."""
        if not has_crds(chart):
            return ()
        text = self.read(request, "show crds", self.target(request).show_crds_argv(chart))
        return known_objects(text, "", keep=True)

    def chart(self, request: HelmRequest, on_event: OnEvent) -> Path:
        """Return the chart as a local path, fetching it when needed.

        Raises :class:`InputError` when its checksum is wrong, :class:`CommandError` when it
        can't be fetched.
        """
        if isinstance(request.chart, Path):
            check_digest(request.chart, request.digest)
            return request.chart
        source = ChartSource(request.chart, request.version)

        def pull(folder: Path) -> None:
            on_event(Event(f"{request.unit}: fetching {source.reference} {source.version}"))
            self.ask(request, "pull", source.pull_argv(self.tool.program, folder))

        return cached_chart(source, request.digest, request.cache_dir or self._chart_cache, pull)


def _values(request: HelmRequest) -> bytes:
    return json.dumps(dict(request.values)).encode()
