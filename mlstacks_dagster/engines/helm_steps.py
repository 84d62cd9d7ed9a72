"""The steps of a deploy or an uninstall that change the cluster, and mending before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mlstacks_dagster.engines.helm_calls import HelmCalls, HelmFailure
from mlstacks_dagster.engines.helm_errors import helm_failed, is_not_ready, is_transient
from mlstacks_dagster.engines.helm_recovery import Revision, decide, is_stale, last_good, newest
from mlstacks_dagster.engines.helm_request import HelmRequest
from mlstacks_dagster.engines.helm_verify import Inventory
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import KnownObject
from mlstacks_dagster.engines.kube_trouble import first_lines
from mlstacks_dagster.engines.tf_events import Event, OnEvent
from mlstacks_dagster.engines.tf_recovery import Crashes
from mlstacks_dagster.errors import CommandError, MlstacksError

__all__ = ["HelmSteps"]

_WAIT_POLL_SECONDS = 2.0
_MAX_RECOVERIES = 5
_GRACE_SECONDS = 30.0
_PUT_BACK_SECONDS = 60


class HelmSteps:
    """Works on one release. ``clock`` (Unix time) and ``sleep`` count seconds."""

    def __init__(
        self,
        calls: HelmCalls,
        request: HelmRequest,
        client: KubeClient,
        on_event: OnEvent,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._calls = calls
        self._request = request
        self._client = client
        self._on_event = on_event
        self._clock = clock
        self._sleep = sleep
        self._target = calls.target(request)

    def mend(self) -> tuple[Revision, ...]:
        """Bring the release into a state that Helm upgrades, and return its history.

        Raises :class:`CommandError` when it can't be brought there.
        """
        request = self._request
        for _ in range(_MAX_RECOVERIES):
            history = self.await_others(self._calls.history(request))
            recovery = decide(history)
            if recovery.action == "none":
                return history
            self._say(f"{recovery.reason}: {recovery.action} first")
            if recovery.revision is None:
                Inventory(request.work_dir).add(self.recorded(history))
                self.uninstall()
                continue
            try:
                self._rollback(
                    recovery.revision,
                    wait=False,
                    seconds=request.timeout_seconds,
                    stop=request.timeout_seconds + _GRACE_SECONDS,
                )
            except HelmFailure as failure:
                if is_transient(failure.text) or failure.returncode < 0:
                    raise self._failed("rollback", failure) from failure
        raise CommandError(
            f"{request.unit}: {request.release} can't be brought out of a half-done state",
            remedy=f"look at it: helm history {request.release} -n {request.namespace}",
        )

    def await_others(self, history: tuple[Revision, ...]) -> tuple[Revision, ...]:
        """Wait while a Helm that isn't ours may be working on the release."""
        spans = Crashes(self._request.work_dir).spans()
        told = False
        while (last := newest(history)) is not None and last.pending:
            if is_stale(last, spans, self._clock(), self._request.timeout_seconds):
                break
            if not told:
                self._say(f"another Helm seems to be at work ({last.status}); waiting for it")
                told = True
            self._sleep(_WAIT_POLL_SECONDS)
            history = self._calls.history(self._request)
        return history

    def recorded(self, history: Sequence[Revision]) -> tuple[KnownObject, ...]:
        """Return the objects that any kept revision lists."""
        found: list[KnownObject] = []
        for revision in history:
            release = self._calls.release(self._request, revision.number)
            if release is not None:
                found += release.objects(self._request.namespace)
                found += release.hook_objects(self._request.namespace)
        return tuple(found)

    def upgrade(self, chart: Path, history: Sequence[Revision]) -> None:
        """Install or upgrade; put the last good revision back when it does not become ready.

        Both together take the request's time: where ``history`` has a good revision, a part
        of it is kept for putting that back.
        """
        request = self._request
        started, kept = self._clock(), 0
        if last_good(history):
            kept = max(1, min(_PUT_BACK_SECONDS, request.timeout_seconds // 4))
        seconds = max(1, request.timeout_seconds - kept)
        argv = self._target.upgrade_argv(
            chart,
            labels=request.owner,
            timeout_seconds=seconds,
            history_max=request.history_max,
        )
        try:
            self._change("upgrade", argv, seconds + _GRACE_SECONDS, values=True)
        except HelmFailure as failure:
            waited = failure.timed_out or is_not_ready(failure.text)
            said = [self._trouble()] if waited else []
            killed = failure.returncode < 0 and not failure.timed_out
            if not killed and (waited or not is_transient(failure.text)):
                left = request.timeout_seconds - (self._clock() - started)
                said.append(self._put_back(left, at_least=kept))
            extra = "\n".join(filter(None, said))
            raise self._failed("upgrade", failure, extra=extra) from failure

    def uninstall(self) -> None:
        """Uninstall; a failure after which there is no record any more is none."""
        request = self._request
        argv = self._target.uninstall_argv(timeout_seconds=request.timeout_seconds)
        try:
            self._change("uninstall", argv, request.timeout_seconds + _GRACE_SECONDS)
        except HelmFailure as failure:
            if failure.returncode < 0 or self._calls.history(request):
                raise self._failed("uninstall", failure) from failure

    def _put_back(self, seconds: float, *, at_least: int) -> str:
        """Roll a failed upgrade back to the last good revision; say what was done.

        ``seconds`` are left until the deploy's time is over.
        """
        try:
            history = self._calls.history(self._request)
        except CommandError as error:
            return f"the last good revision was not put back: {error.message}"
        last, good = newest(history), last_good(history)
        if last is None or good is None or last.number == good.number:
            return ""
        self._say(f"putting revision {good.number} back")
        try:
            self._rollback(
                good.number,
                wait=True,
                seconds=max(at_least, int(seconds)),
                stop=max(at_least, seconds + _GRACE_SECONDS),
            )
        except HelmFailure:
            return f"revision {good.number}, the last good one, could not be put back"
        return f"revision {good.number}, the last good one, was put back"

    def _rollback(self, revision: int, *, wait: bool, seconds: int, stop: float) -> None:
        argv = self._target.rollback_argv(
            revision,
            timeout_seconds=seconds,
            history_max=self._request.history_max,
            wait=wait,
        )
        self._change("rollback", argv, stop)

    def _change(
        self, verb: str, argv: tuple[str, ...], seconds: float, *, values: bool = False
    ) -> None:
        self._calls.change(
            self._request, verb, argv, self._on_event, seconds=seconds, values=values
        )

    def _trouble(self) -> str:
        try:
            release = self._calls.release(self._request)
            refs = [o.ref for o in release.objects(self._request.namespace)] if release else []
            return self._request.redactor(first_lines(self._client.trouble(refs)))
        except MlstacksError as error:
            return f"(why it is not ready can't be told: {error.message})"

    def _failed(self, verb: str, failure: HelmFailure, *, extra: str = "") -> CommandError:
        request = self._request
        what = f"{request.unit}: helm {verb} of {request.release} in {request.namespace}"
        code = failure.returncode
        if failure.timed_out:
            extra = f"it did not end within {request.timeout_seconds} s\n{extra}".rstrip()
            code = 1
        return helm_failed(what, code, failure.lines, log=request.log(verb), extra=extra)

    def _say(self, text: str) -> None:
        self._on_event(Event(f"{self._request.unit}: {text}", "milestone"))
