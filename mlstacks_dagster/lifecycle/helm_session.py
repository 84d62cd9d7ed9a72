"""A unit that Helm runs: namespace, Secrets, release; and all of it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mlstacks_dagster.catalog.chart_values import chart_folder
from mlstacks_dagster.catalog.models import HelmRelease
from mlstacks_dagster.engines import exposure
from mlstacks_dagster.engines.helm import HelmEngine, HelmRequest, ReleaseInfo
from mlstacks_dagster.engines.helm_charts import resolve_chart
from mlstacks_dagster.engines.helm_verify import Inventory
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from mlstacks_dagster.ledger.records import Operation, PlannedItem
from mlstacks_dagster.lifecycle import helm_values, kube_restart, kube_setup, locks
from mlstacks_dagster.lifecycle.drain import load_balancer_host
from mlstacks_dagster.lifecycle.kube_session import Cluster
from mlstacks_dagster.lifecycle.models import Endpoint, ResourceRow
from mlstacks_dagster.lifecycle.retained import claim_words, claimed_volumes
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.lifecycle.session import Applied, Session

__all__ = ["HelmSession"]

_GONE_SECONDS = 300.0
_ADDRESS_SECONDS = 180.0
_RESTART_SECONDS = 60.0


class HelmSession(Session):
    """A release in the stack's cluster."""

    @cached_property
    def cluster(self) -> Cluster:
        """The stack's cluster."""
        return Cluster(self)

    @cached_property
    def release(self) -> HelmRelease:
        """How the unit becomes a release."""
        return helm_values.release_of(self.unit)

    @cached_property
    def namespace(self) -> str:
        """The release's namespace."""
        return helm_values.namespace_of(self.unit)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The chart's values, bound outputs of other units included; never a secret."""
        return helm_values.release_values(self.unit, self.stack, self.install, self.output_of)

    @cached_property
    def engine(self) -> HelmEngine:
        """The Helm engine, with its tool found."""
        return self.tools.helm(self.settings)

    @cached_property
    def digest(self) -> str:
        """The digest of the chart, or of what we set in a published one."""
        return helm_values.chart_digest(self.unit)

    @cached_property
    def input_hash(self) -> str:
        """The hash that decides whether there is anything to do."""
        access = self.cluster.access
        place = (access.kind, access.name, access.endpoint, str(access.kubeconfig or ""))
        return helm_values.values_hash(self.digest, self.unit, self.values, place)

    @property
    def location(self) -> str:
        """The cluster and namespace that hold Helm's record."""
        return f"{self.cluster.access.name}/{self.namespace}/{self.release.release}"

    @property
    def tool(self) -> str:
        """The Helm that is used."""
        return self.engine.tool_name

    @property
    def tool_seconds(self) -> float:
        """What Helm's processes took, in seconds."""
        return self.engine.seconds

    def is_known(self) -> bool:
        """Helm's record is in the cluster; it is taken to be there."""
        return True

    def apply_unit(self, operation: Operation) -> Applied:
        """Make the namespace and the Secrets, then install or upgrade the release."""
        request = self._request()
        kube = self.cluster.kube
        self.engine.check_owner(request)
        self.ledger.planned(operation.id, [PlannedItem(self._address, "helm", not request.begun)])
        self.cluster.remember(operation)
        self.phase("namespace and secrets")
        kube_setup.make_namespace(kube, self.namespace, self.marks)
        given = unseal(self.unit.secrets, self.settings)
        for secret in self.release.secrets:
            own = {k.partition(".")[2]: v for k, v in given.items() if _is_of(k, secret.name)}
            kube_setup.make_secret(
                kube, self.namespace, secret, own, self.marks, is_read=request.begun
            )
        healed = self._looks_drifted() and self.engine.differences(request, kube)
        self.phase("helm upgrade")
        with self._alone():
            began = self.tools.clock()
            info = self.engine.deploy(request, on_event=self.on_event)
        left = self.release.timeout_seconds - (self.tools.clock() - began)
        restarted = self._restart(kube, info, max(left, _RESTART_SECONDS))
        if healed or restarted:
            info = replace(info, changed=True)
        self.report.milestone(
            f"{self.unit.name}: release {self.release.release} is at revision {info.revision}"
        )
        return self._applied(info, kube)

    def remove_unit(self, operation: Operation, *, unclean: bool) -> tuple[ResourceRow, ...]:
        """Drain, uninstall, and remove what Helm leaves: claims, definitions, Secrets, namespace.

        When the cluster is gone, so is everything that was in it. A release that isn't ours and
        that we never began stays, and nothing is drained for one that never was.
        """
        before = tuple(
            ResourceRow(address=r.address, type=r.type, id=r.resource_id)
            for r in self.ledger.resources(self.stack.stack_id, self.unit.name)
        )
        if self.cluster.is_gone():
            self.report.milestone(
                f"{self.unit.name}: the cluster {self.cluster.access.name} is gone, and with it"
                " what was in it"
            )
            return before
        request = self._request()
        if not self._is_foreign(request):
            if request.begun or self.engine.history(request):
                self.cluster.drain(operation)
            self.phase("helm uninstall")
            with self._alone():
                done = self.engine.uninstall(request, on_event=self.on_event)
                self._remove_leftovers(request, done.leftovers)
        kube = self.cluster.kube
        for secret in self.release.secrets:
            kube_setup.remove_secret(kube, self.namespace, secret.name, self.marks)
        self.phase("removing the namespace")
        left = kube_setup.remove_namespace(kube, self.namespace, self.marks, _GONE_SECONDS)
        if left:
            raise MlstacksError(
                f"{self.unit.name}: still there after {_GONE_SECONDS:.0f} s:"
                f" {', '.join(map(str, left))}",
                remedy="see what its finalizers wait for (kubectl describe), then run again",
            )
        return before

    def _restart(self, kube: KubeClient, info: ReleaseInfo, seconds: float) -> bool:
        """Let pods read Secrets that have changed; tell whether any had to."""
        names = [secret.name for secret in self.release.secrets]
        users = kube_restart.restart_users(kube, info.objects, self.namespace, names)
        if users:
            self.phase("restarting")
            shown = ", ".join(map(str, users))
            self.report.milestone(f"{self.unit.name}: a Secret has changed, restarting {shown}")
            kube_restart.await_rollout(kube, users, seconds)
        return bool(users)

    def _is_foreign(self, request: HelmRequest) -> bool:
        """Tell, and say, that the release isn't ours and never was."""
        try:
            self.engine.check_owner(request)
        except NotOwnedError as error:
            if request.begun:
                raise
            self.report.milestone(f"{error.message}; it stays")
            return True
        return False

    @property
    def _address(self) -> str:
        return f"Release/{self.namespace}/{self.release.release}"

    def _is_begun(self, work_dir: Path) -> bool:
        """Tell whether the ledger or the work folder knows that we began to install it."""
        record = self.record()
        if record is not None and record.resource_count > 0:
            return True
        planned = self.ledger.planned_items(self.stack.stack_id, self.unit.name)
        return self._address in planned or bool(Inventory(work_dir).load())

    def _looks_drifted(self) -> bool:
        """Tell whether the cluster may differ from what was applied before."""
        record = self.record()
        return record is not None and (record.drifted or self.job.replan)

    def data_held(self) -> tuple[str, ...]:
        """Return claims with volumes: the release's, those of a namespace that may go with it.

        Of a driver that makes volumes these are all in the cluster.
        """
        if self.cluster.is_gone():
            return ()
        kube = self.cluster.kube
        own = {(ref.namespace, ref.name) for ref in self.engine.claims(self._request())}
        whole = kube_setup.is_stack_namespace(kube, self.namespace, self.marks)
        held = [c for c in claimed_volumes(kube) if c in own or (whole and c[0] == self.namespace)]
        return tuple(dict.fromkeys([*claim_words(held), *self.cluster.drained_data()]))

    def differences(self) -> tuple[str, ...] | None:
        """Compare the release's manifest with what the cluster has."""
        found = self.engine.differences(self._request(), self.cluster.kube)
        return found or None

    def problems(self) -> tuple[str, ...]:
        """Return what keeps the release from being healthy, with the pods' reasons."""
        if self._info is None:
            return (f"there is no release {self.release.release} in {self.namespace}",)
        if self._info.status != "deployed":
            return (f"the release is {self._info.status}",)
        kube, objects = self.cluster.kube, self._info.objects
        return (*kube.trouble(objects), *kube.custom_trouble(objects))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Ask everything that the release opens to the outside, without credentials.

        Behind an emulated API nothing answers, and its names may be somebody else's: not asked.
        """
        meant = dict(entry.partition(":")[::2] for entry in self.release.exposes)
        paths = {name: path for name, path in meant.items() if path}
        refs = self._info.objects if self._info else ()
        kube = self.cluster.kube
        ways = exposure.reachable(kube, refs, paths)
        if ways and kube.is_emulated():
            return tuple(_endpoint(way, None, way.ref.name in meant) for way in ways)
        verdicts = exposure.judge_all(ways, self.tools.probe)
        return tuple(
            _endpoint(way, verdict, way.ref.name in meant)
            for way, verdict in zip(ways, verdicts, strict=True)
        )

    @cached_property
    def _info(self) -> ReleaseInfo | None:
        return self.engine.info(self._request())

    def _request(self) -> HelmRequest:
        context = self.cluster.context
        chart = self.release.chart
        published = None if isinstance(chart, str) else chart
        work_dir = self.settings.work_dir(self.stack.stack_id, self.unit.name)
        return HelmRequest(
            unit=self.unit.name,
            release=self.release.release,
            namespace=self.namespace,
            chart=self._chart(),
            version=published.version if published else "",
            digest=published.digest if published else None,
            values=self.values,
            kubeconfig=self.cluster.kubeconfig,
            context=context,
            work_dir=work_dir,
            owner=helm_values.record_labels(self.marks),
            begun=self._is_begun(work_dir),
            cache_dir=self.settings.home / "cache" / "charts",
            environment=self.environment,
            redactor=Redactor(self.secret_words()),
            timeout_seconds=self.release.timeout_seconds,
        )

    def _chart(self) -> Path | str:
        chart = self.release.chart
        if isinstance(chart, str):
            return chart_folder(self.unit.definition)
        mirror = self.settings.chart_mirror or self.wiring.chart_mirror
        return resolve_chart(chart, replace(self.settings, chart_mirror=mirror))

    def _source(self) -> str:
        """Say where the chart comes from; an emulator's is a stand-in, and is named so."""
        chart = self.release.chart
        if isinstance(chart, str):
            return "our own"
        if self.settings.chart_mirror:
            return f"mirror {self.settings.chart_mirror}"
        return "stand-in of the sandbox" if self.wiring.chart_mirror else chart.repository

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the turn of every group of definitions that the release owns, on its cluster.

        Whatever stack a release belongs to: definitions are the whole cluster's.
        """
        groups = sorted(self.release.crd_groups)
        place = f"cluster-{self.cluster.identity}.crds" if groups else ""

        def on_wait(other: dict[str, str]) -> None:
            self.report.milestone(f"{self.unit.name}: waiting for {other.get('unit', '?')}")

        who = {"unit": self.unit.name, "run": self.job.run_id, "pid": str(os.getpid())}
        with ExitStack() as stack:
            for group in groups:
                path = self.settings.locks_dir / f"{place}.{group}.lock"
                timeout = self.settings.lock_timeout
                stack.enter_context(locks.hold(path, who, timeout=timeout, on_wait=on_wait))
            yield

    def _applied(self, info: ReleaseInfo, kube: KubeClient) -> Applied:
        rows = tuple(_row(ref) for ref in info.objects)
        earlier = self.ledger.resources(self.stack.stack_id, self.unit.name)
        old, new = {r.address for r in earlier}, {r.address for r in rows}
        texts = helm_values.known_texts(self.unit, self.stack)
        texts["kubernetes_context"] = self.cluster.context_for_people
        if self.release.load_balancer:
            texts["load_balancer"] = load_balancer_host(
                kube, self.namespace, self.release.load_balancer, timeout_seconds=_ADDRESS_SECONDS
            )
        plain, secret = helm_values.outputs(self.unit, self.values, texts)
        return Applied(
            add=len(new - old),
            change=int(info.changed and not old.isdisjoint(new)),
            destroy=len(old - new),
            outputs=plain,
            sensitive=tuple(secret),
            resources=rows,
            release={
                "name": self.release.release,
                "namespace": self.namespace,
                "revision": str(info.revision),
                "status": info.status,
                "chart": info.chart,
                "chart_version": info.chart_version,
                "app_version": info.app_version,
                "chart_source": self._source(),
                "manifest_sha256": info.manifest_sha256,
                **{name: value for name, value in plain.items() if value.startswith("http")},
            },
        )

    def _remove_leftovers(self, request: HelmRequest, leftovers: tuple[ObjectRef, ...]) -> None:
        """Remove claimed volumes, and definitions of which no object is left."""
        kube = self.cluster.kube
        volumes = self._volumes(leftovers)
        self.engine.delete_leftovers(request, on_event=self.on_event)
        unused = [r for r in leftovers if r.kind == _CRD and not _in_use(kube, r)]
        for ref in unused:
            kube.delete(ref)
        left = kube.wait_gone([*volumes, *unused], request.timeout_seconds)
        if left:
            raise MlstacksError(
                f"{self.unit.name}: still there after {request.timeout_seconds} s:"
                f" {', '.join(map(str, left))}",
                remedy="see what their finalizers wait for (kubectl describe), then run again",
            )

    def _volumes(self, leftovers: tuple[ObjectRef, ...]) -> tuple[ObjectRef, ...]:
        claims = {(r.namespace, r.name) for r in leftovers if r.kind == "PersistentVolumeClaim"}
        return tuple(
            ObjectRef("v1", "PersistentVolume", volume["metadata"]["name"])
            for volume in (self.cluster.kube.list("v1", "PersistentVolume") if claims else ())
            if _claimed_by(volume) in claims
            and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        )


_CRD = "CustomResourceDefinition"


def _is_of(path: str, secret: str) -> bool:
    return path.partition(".")[0] == secret


def _row(ref: ObjectRef) -> ResourceRow:
    name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return ResourceRow(address=f"{ref.kind}/{name}", type=f"{ref.api_version}/{ref.kind}", id=name)


def _endpoint(way: exposure.Reachable, verdict: exposure.Verdict | None, meant: bool) -> Endpoint:
    """Return what is known of a way in; without a verdict it leads into an emulated cluster."""
    wrong = "" if meant else f"{way.ref} is not meant to be reachable"
    if verdict is None:
        answer = "emulated: nothing answers here"
        return Endpoint(url=way.label, answer=answer, wrong=wrong, state="emulated")
    if verdict.open and meant:
        wrong = "answers without credentials"
    state: Literal["answered", "unknown"] = "answered" if verdict.answered else "unknown"
    return Endpoint(url=way.label, answer=verdict.answer, wrong=wrong, state=state)


def _claimed_by(volume: dict[str, Any]) -> tuple[str, str]:
    claim = volume["spec"].get("claimRef") or {}
    return str(claim.get("namespace", "")), str(claim.get("name", ""))


def _in_use(kube: KubeClient, definition: ObjectRef) -> bool:
    found = kube.get(definition)
    if found is None:
        return False
    spec = found["spec"]
    served = next((v["name"] for v in spec["versions"] if v.get("served")), None)
    return served is not None and bool(
        kube.list(f"{spec['group']}/{served}", spec["names"]["kind"])
    )
