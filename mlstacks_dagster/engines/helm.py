"""The Helm engine: deploys and removes one release, whatever an earlier run left behind.

Helm's record says what Helm believes; this engine mends it before each call and looks at the
objects themselves afterwards. Everything that is shown went through the request's redactor.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlstacks_dagster.engines.helm_calls import HelmCalls, HelmFailure
from mlstacks_dagster.engines.helm_drift import document_differences
from mlstacks_dagster.engines.helm_errors import helm_failed, is_not_ready, is_transient
from mlstacks_dagster.engines.helm_recovery import Revision, decide, is_stale, last_good, newest
from mlstacks_dagster.engines.helm_request import HelmRequest, ReleaseInfo, Uninstalled
from mlstacks_dagster.engines.helm_tools import HelmTool
from mlstacks_dagster.engines.helm_verify import Inventory, ReleaseObjects
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import (
    KnownObject,
    ObjectRef,
    documents,
    known_objects,
    merged,
)
from mlstacks_dagster.engines.kube_trouble import first_lines
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.tf_calls import ignore
from mlstacks_dagster.engines.tf_events import Event, OnEvent
from mlstacks_dagster.engines.tf_recovery import Crashes
from mlstacks_dagster.errors import CommandError, MlstacksError
from mlstacks_dagster.settings import Settings

__all__ = ["HelmEngine", "HelmRequest", "ReleaseInfo", "Uninstalled"]

_WAIT_POLL_SECONDS = 2.0
_MAX_RECOVERIES = 5

ClientMaker = Callable[[HelmRequest], KubeClient]


def _client(request: HelmRequest) -> KubeClient:
    return KubeClient(request.kubeconfig, request.context, request.environment)


class HelmEngine:
    """Runs Helm for releases. ``clock`` (Unix time) and ``sleep`` count seconds."""

    def __init__(
        self,
        tool: HelmTool,
        runner: ProcessRunner,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        client: ClientMaker = _client,
    ) -> None:
        self._calls = HelmCalls(tool, runner, settings.chart_cache, clock=clock)
        self._clock = clock
        self._sleep = sleep
        self._client = client

    @property
    def seconds(self) -> float:
        """What the processes of this engine took, in seconds."""
        return self._calls.seconds

    @property
    def tool_name(self) -> str:
        """The tool and its version, for people."""
        return f"helm {self._calls.tool.version_text}"

    def deploy(self, request: HelmRequest, on_event: OnEvent = ignore) -> ReleaseInfo:
        """Install or upgrade the release, wait until it is ready, and verify its objects.

        What an earlier run left half done is mended first. When the new revision does not
        become ready, the last good one is put back and the error carries the pods' reason.
        Raises :class:`TransientCommandError`, :class:`CommandError`, :class:`InputError`.
        """
        client = self._client(request)
        objects = self._objects(request, client)
        self._calls.settle(request, on_event)
        history = self._mend(request, on_event)
        chart = self._calls.chart(request, on_event)
        inventory = Inventory(request.work_dir)
        self._write_down_intent(request, chart, client, inventory, objects)
        before = self._manifest_hash(request) if last_good(history) else ""
        self._upgrade(request, chart, client, on_event)
        info, current = self._look(request, objects)
        if missing := objects.missing(current):
            raise CommandError(
                f"{request.unit}: Helm says that {request.release} is deployed, but the cluster "
                f"has no {', '.join(map(str, missing[:5]))}",
                remedy="run again; if it stays so, something in the cluster removes it",
            )
        pruned, remembered = objects.prune(inventory.load(), current)
        for ref in pruned:
            on_event(Event(f"{request.unit}: removed {ref}, left by an earlier failed deploy"))
        inventory.save(merged(remembered, current))
        Crashes(request.work_dir).forget()
        return replace(info, changed=info.manifest_sha256 != before)

    def uninstall(self, request: HelmRequest, on_event: OnEvent = ignore) -> Uninstalled:
        """Remove the release and verify that its objects are gone; resumes a killed one.

        Raises :class:`CommandError` that names what can't be removed.
        """
        client = self._client(request)
        objects = self._objects(request, client)
        self._calls.settle(request, on_event)
        history = self._await_others(request, self._calls.history(request), on_event)
        inventory = Inventory(request.work_dir)
        known = inventory.load()
        if history:
            known = inventory.add(self._recorded(request, history))
            self._run_uninstall(request, on_event)
        if left := objects.remove(known, request.timeout_seconds):
            raise CommandError(
                f"{request.unit}: {request.release} is uninstalled, but these are still in the "
                f"cluster after {request.timeout_seconds} s: {', '.join(map(str, left))}",
                remedy="see what their finalizers wait for (kubectl describe), then run again",
            )
        leftovers = objects.leftovers(known)
        inventory.save(objects.remembered(known, leftovers))
        Crashes(request.work_dir).forget()
        return Uninstalled(found=bool(history or known), leftovers=leftovers)

    def delete_leftovers(
        self,
        request: HelmRequest,
        on_event: OnEvent = ignore,
        *,
        kinds: Sequence[str] = ("PersistentVolumeClaim",),
    ) -> tuple[ObjectRef, ...]:
        """Delete what :meth:`uninstall` listed, of these kinds, and wait until it is gone.

        Returns what was deleted. Raises :class:`CommandError` when something stays.
        """
        client = self._client(request)
        known = Inventory(request.work_dir).load()
        chosen = [r for r in self._objects(request, client).leftovers(known) if r.kind in kinds]
        for ref in chosen:
            on_event(Event(f"{request.unit}: deleting {ref}", "milestone"))
            client.delete(ref)
        if left := client.wait_gone(chosen, request.timeout_seconds):
            raise CommandError(
                f"{request.unit}: can't delete {', '.join(map(str, left))}",
                remedy="see what their finalizers wait for (kubectl describe), then run again",
            )
        return tuple(chosen)

    def info(self, request: HelmRequest) -> ReleaseInfo | None:
        """Return the release as it stands; None when there is none."""
        if not self._calls.history(request):
            return None
        return self._look(request, self._objects(request, self._client(request)))[0]

    def history(self, request: HelmRequest) -> tuple[Revision, ...]:
        """Return the release's revisions, oldest first."""
        return self._calls.history(request)

    def manifest_objects(self, request: HelmRequest) -> tuple[ObjectRef, ...]:
        """Return the objects of the newest revision's manifest."""
        found = known_objects(self._calls.manifest(request), request.namespace)
        return tuple(o.ref for o in self._objects(request, self._client(request)).normal(found))

    def differences(
        self, request: HelmRequest, client: KubeClient | None = None
    ) -> tuple[str, ...]:
        """Return how the cluster differs from the deployed manifest, a sentence each.

        The API itself compares: a dry-run apply of the manifest says what it would change. No
        value of a Secret is shown, and texts are never.
        """
        client = client or self._client(request)
        found: list[str] = []
        for document in documents(self._calls.manifest(request)):
            found += document_differences(client, document, request.release, request.namespace)
        return tuple(found)

    def render(self, request: HelmRequest, on_event: OnEvent = ignore) -> str:
        """Return the manifest that the chart and values give, without asking a cluster.

        It may hold what values hold. Raises :class:`CommandError` when it can't be rendered.
        """
        chart = self._calls.chart(request, on_event)
        argv = self._calls.target(request).template_argv(chart)
        return self._calls.read(request, "template", argv, values=True)

    def _objects(self, request: HelmRequest, client: KubeClient) -> ReleaseObjects:
        return ReleaseObjects(request, client, clock=self._clock, sleep=self._sleep)

    def _mend(self, request: HelmRequest, on_event: OnEvent) -> tuple[Revision, ...]:
        """Bring the release into a state that Helm upgrades, and return its history."""
        target = self._calls.target(request)
        for _ in range(_MAX_RECOVERIES):
            history = self._await_others(request, self._calls.history(request), on_event)
            recovery = decide(history)
            if recovery.action == "none":
                return history
            on_event(
                Event(f"{request.unit}: {recovery.reason}: {recovery.action} first", "milestone")
            )
            if recovery.action == "uninstall" or recovery.revision is None:
                Inventory(request.work_dir).add(self._recorded(request, history))
                self._run_uninstall(request, on_event)
                continue
            argv = target.rollback_argv(
                recovery.revision,
                timeout_seconds=request.timeout_seconds,
                history_max=request.history_max,
            )
            try:
                self._calls.change(request, "rollback", argv, on_event)
            except HelmFailure as failure:
                if is_transient(failure.text) or failure.returncode < 0:
                    raise self._failed(request, "rollback", failure) from failure
        raise CommandError(
            f"{request.unit}: {request.release} can't be brought out of a half-done state",
            remedy=f"look at it: helm history {request.release} -n {request.namespace}",
        )

    def _await_others(
        self, request: HelmRequest, history: tuple[Revision, ...], on_event: OnEvent
    ) -> tuple[Revision, ...]:
        """Wait while a Helm that isn't ours may be working on the release."""
        spans = Crashes(request.work_dir).spans()
        told = False
        while (last := newest(history)) is not None and last.pending:
            if is_stale(last, spans, self._clock(), request.timeout_seconds):
                break
            if not told:
                text = f"another Helm seems to be at work ({last.status}); waiting for it"
                on_event(Event(f"{request.unit}: {text}", "milestone"))
                told = True
            self._sleep(_WAIT_POLL_SECONDS)
            history = self._calls.history(request)
        return history

    def _write_down_intent(
        self,
        request: HelmRequest,
        chart: Path,
        client: KubeClient,
        inventory: Inventory,
        objects: ReleaseObjects,
    ) -> None:
        """Write down what the deploy is going to make; refuse a chart that makes nothing."""
        target = self._calls.target(request)
        version = client.version().split("+")[0]
        argv = target.template_argv(chart, kube_version=version)
        try:
            rendered = self._calls.read(request, "template", argv, values=True)
        except CommandError:
            return  # the cluster's Helm call says it better
        found = known_objects(rendered, request.namespace)
        if not found:
            raise CommandError(
                f"{request.unit}: the chart {chart.name} renders nothing with these values",
                remedy="check the values; a release without objects is never what was meant",
            )
        crds = self._calls.read(request, "show crds", target.show_crds_argv(chart))
        inventory.add(objects.normal((*found, *known_objects(crds, "", keep=True))))

    def _recorded(
        self, request: HelmRequest, history: Sequence[Revision]
    ) -> tuple[KnownObject, ...]:
        """Return the objects that any kept revision lists."""
        found: list[KnownObject] = []
        for revision in history:
            manifest = self._calls.manifest(request, revision.number)
            hooks = self._calls.hooks(request, revision.number)
            found += known_objects(manifest, request.namespace)
            found += known_objects(hooks, request.namespace, hook=True)
        return tuple(found)

    def _upgrade(
        self, request: HelmRequest, chart: Path, client: KubeClient, on_event: OnEvent
    ) -> None:
        argv = self._calls.target(request).upgrade_argv(
            chart, timeout_seconds=request.timeout_seconds, history_max=request.history_max
        )
        try:
            self._calls.change(request, "upgrade", argv, on_event, values=True)
        except HelmFailure as failure:
            waited = failure.timed_out or is_not_ready(failure.text)
            said = [self._trouble(request, client)] if waited else []
            killed = failure.returncode < 0 and not failure.timed_out
            if not killed and (waited or not is_transient(failure.text)):
                said.append(self._put_back(request, on_event))
            extra = "\n".join(filter(None, said))
            raise self._failed(request, "upgrade", failure, extra=extra) from failure

    def _trouble(self, request: HelmRequest, client: KubeClient) -> str:
        try:
            refs = [o.ref for o in known_objects(self._calls.manifest(request), request.namespace)]
            return request.redactor(first_lines(client.trouble(refs)))
        except MlstacksError as error:
            return f"(why it is not ready can't be told: {error.message})"

    def _put_back(self, request: HelmRequest, on_event: OnEvent) -> str:
        """Roll a failed upgrade back to the last good revision; say what was done."""
        try:
            history = self._calls.history(request)
        except CommandError as error:
            return f"the last good revision was not put back: {error.message}"
        last, good = newest(history), last_good(history)
        if last is None or good is None or last.number == good.number:
            return ""
        on_event(Event(f"{request.unit}: putting revision {good.number} back", "milestone"))
        argv = self._calls.target(request).rollback_argv(
            good.number,
            timeout_seconds=request.timeout_seconds,
            history_max=request.history_max,
        )
        try:
            self._calls.change(request, "rollback", argv, on_event)
        except HelmFailure:
            return f"revision {good.number}, the last good one, could not be put back"
        return f"revision {good.number}, the last good one, was put back"

    def _run_uninstall(self, request: HelmRequest, on_event: OnEvent) -> None:
        argv = self._calls.target(request).uninstall_argv(timeout_seconds=request.timeout_seconds)
        try:
            self._calls.change(request, "uninstall", argv, on_event)
        except HelmFailure as failure:
            if failure.returncode < 0 or self._calls.history(request):
                raise self._failed(request, "uninstall", failure) from failure

    def _look(
        self, request: HelmRequest, objects: ReleaseObjects
    ) -> tuple[ReleaseInfo, tuple[KnownObject, ...]]:
        metadata = self._calls.metadata(request) or {}
        manifest = self._calls.manifest(request)
        found = objects.normal(known_objects(manifest, request.namespace))
        hooks = known_objects(self._calls.hooks(request), request.namespace, hook=True)
        info = ReleaseInfo(
            revision=int(metadata.get("revision", 0)),
            chart=str(metadata.get("chart", "")),
            chart_version=str(metadata.get("version", "")),
            app_version=str(metadata.get("appVersion", "")),
            status=str(metadata.get("status", "unknown")),
            changed=False,
            objects=tuple(o.ref for o in found),
            manifest_sha256=hashlib.sha256(manifest.encode()).hexdigest(),
        )
        return info, merged(found, objects.normal(hooks))

    def _manifest_hash(self, request: HelmRequest) -> str:
        return hashlib.sha256(self._calls.manifest(request).encode()).hexdigest()

    def _failed(
        self, request: HelmRequest, verb: str, failure: HelmFailure, *, extra: str = ""
    ) -> CommandError:
        what = f"{request.unit}: helm {verb} of {request.release} in {request.namespace}"
        if failure.timed_out:
            extra = "\n".join((f"it did not end within {request.timeout_seconds} s", extra))
            return helm_failed(what, 1, failure.lines, log=request.log(verb), extra=extra)
        return helm_failed(
            what, failure.returncode, failure.lines, log=request.log(verb), extra=extra
        )
