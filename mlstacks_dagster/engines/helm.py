"""The Helm engine: deploys and removes one release, whatever an earlier run left behind.

Helm's record says what Helm believes; this engine mends it before each call and looks at the
objects themselves afterwards. Everything that is shown went through the request's redactor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlstacks_dagster.engines.helm_calls import HelmCalls
from mlstacks_dagster.engines.helm_drift import document_differences
from mlstacks_dagster.engines.helm_owner import refuse_foreign
from mlstacks_dagster.engines.helm_recovery import Revision, last_good
from mlstacks_dagster.engines.helm_request import HelmRequest, ReleaseInfo, Uninstalled
from mlstacks_dagster.engines.helm_steps import HelmSteps
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
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.tf_calls import ignore
from mlstacks_dagster.engines.tf_events import Event, OnEvent
from mlstacks_dagster.engines.tf_recovery import Crashes
from mlstacks_dagster.errors import CommandError
from mlstacks_dagster.settings import Settings

__all__ = ["HelmEngine", "HelmRequest", "ReleaseInfo", "Uninstalled"]

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
        Raises :class:`NotOwnedError` before anything is touched, :class:`TransientCommandError`,
        :class:`CommandError`, :class:`InputError`.
        """
        client = self._client(request)
        objects = self._objects(request, client)
        steps = self._steps(request, client, on_event)
        self._calls.settle(request, on_event)
        refuse_foreign(request, client)
        history = steps.mend()
        chart = self._calls.chart(request, on_event)
        inventory = Inventory(request.work_dir)
        intended = objects.normal(self._intended(request, chart, client))
        inventory.add(objects.told_apart(intended, inventory.load(), installed=bool(history)))
        before = self._calls.release(request) if last_good(history) else None
        steps.upgrade(chart, history)
        looked = self._look(request, objects)
        if looked is None or (missing := objects.missing(looked[1])):
            what = ", ".join(map(str, missing[:5])) if looked else "record of the release"
            raise CommandError(
                f"{request.unit}: Helm says that {request.release} is deployed, but the cluster "
                f"has no {what}",
                remedy="run again; if it stays so, something in the cluster removes it",
            )
        info, current = looked
        pruned, remembered = objects.prune(inventory.load(), current)
        for ref in pruned:
            on_event(Event(f"{request.unit}: removed {ref}, left by an earlier failed deploy"))
        inventory.save(merged(remembered, current))
        Crashes(request.work_dir).forget()
        changed = before is None or before.manifest_sha256 != info.manifest_sha256
        return replace(info, changed=changed)

    def uninstall(self, request: HelmRequest, on_event: OnEvent = ignore) -> Uninstalled:
        """Remove the release and verify that its objects are gone; resumes a killed one.

        Without a record the release's objects are looked for only when we began it. Raises
        :class:`NotOwnedError` before anything is touched, :class:`CommandError` that names what
        can't be removed.
        """
        client = self._client(request)
        objects = self._objects(request, client)
        self._calls.settle(request, on_event)
        refuse_foreign(request, client)
        steps = self._steps(request, client, on_event)
        history = steps.await_others(self._calls.history(request))
        inventory = Inventory(request.work_dir)
        known = inventory.load()
        if history:
            known = inventory.add(steps.recorded(history))
            steps.uninstall()
        elif not known and request.begun:
            known = objects.scan()
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

    def check_owner(self, request: HelmRequest) -> None:
        """Raise :class:`NotOwnedError` when the release exists and isn't the request's."""
        refuse_foreign(request, self._client(request))

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

    def claims(self, request: HelmRequest) -> tuple[ObjectRef, ...]:
        """Return the volume claims that came with the release: its own and its StatefulSets'."""
        objects = self._objects(request, self._client(request))
        looked = self._look(request, objects)
        known = merged(Inventory(request.work_dir).load(), looked[1] if looked else ())
        own = [o.ref for o in objects.normal(known) if o.ref.kind == "PersistentVolumeClaim"]
        return tuple(dict.fromkeys([*own, *objects.claims(known)]))

    def info(self, request: HelmRequest) -> ReleaseInfo | None:
        """Return the release as it stands; None when there is none."""
        looked = self._look(request, self._objects(request, self._client(request)))
        return looked[0] if looked else None

    def history(self, request: HelmRequest) -> tuple[Revision, ...]:
        """Return the release's revisions, oldest first."""
        return self._calls.history(request)

    def differences(
        self, request: HelmRequest, client: KubeClient | None = None
    ) -> tuple[str, ...]:
        """Return how the cluster differs from the deployed manifest, a sentence each.

        The API itself compares: a dry-run apply of the manifest says what it would change. No
        value of a Secret is shown, and texts are never.
        """
        client = client or self._client(request)
        found: list[str] = []
        release = self._calls.release(request)
        for document in documents(release.manifest if release else ""):
            found += document_differences(client, document, request.release, request.namespace)
        return tuple(found)

    def _objects(self, request: HelmRequest, client: KubeClient) -> ReleaseObjects:
        return ReleaseObjects(request, client, clock=self._clock, sleep=self._sleep)

    def _steps(self, request: HelmRequest, client: KubeClient, on_event: OnEvent) -> HelmSteps:
        return HelmSteps(
            self._calls, request, client, on_event, clock=self._clock, sleep=self._sleep
        )

    def _intended(
        self, request: HelmRequest, chart: Path, client: KubeClient
    ) -> tuple[KnownObject, ...]:
        """Return what the deploy is going to make; refuse a chart that makes nothing."""
        version = client.version().split("+")[0]
        argv = self._calls.target(request).template_argv(chart, kube_version=version)
        try:
            rendered = self._calls.read(request, "template", argv, values=True)
        except CommandError:
            return ()  # the call that talks to the cluster says it better
        found = known_objects(rendered, request.namespace)
        if not found:
            raise CommandError(
                f"{request.unit}: the chart {chart.name} renders nothing with these values",
                remedy="check the values; a release without objects is never what was meant",
            )
        return (*found, *self._calls.crds(request, chart))

    def _look(
        self, request: HelmRequest, objects: ReleaseObjects
    ) -> tuple[ReleaseInfo, tuple[KnownObject, ...]] | None:
        release = self._calls.release(request)
        if release is None:
            return None
        found = objects.normal(release.objects(request.namespace))
        info = ReleaseInfo(
            revision=release.revision,
            chart=release.chart,
            chart_version=release.chart_version,
            app_version=release.app_version,
            status=release.status,
            changed=False,
            objects=tuple(o.ref for o in found),
            manifest_sha256=release.manifest_sha256,
        )
        return info, merged(found, objects.normal(release.hook_objects(request.namespace)))
