"""The Helm engine on every ground: an emulated cluster, Helm 3 there, a cluster that is given.

``KUBECONFIG=... pytest -m cluster`` runs it on the current context of a kubeconfig, in a namespace
for each test, which goes afterwards. The nodes pull registry.k8s.io/pause and busybox, and a class
of volumes is the default one.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mlstacks_dagster.engines.helm_tools import find_helm
from mlstacks_dagster.engines.kube_client import ObjectRef
from mlstacks_dagster.errors import CommandError, TransientCommandError
from mlstacks_dagster.sandbox.kube import KubeEmulator
from tests.integration.given_cluster import ROLES, GivenCluster
from tests.integration.helm_killer import Killer
from tests.integration.helm_releases import Release, fresh_copy, real_helm
from tests.integration.helm_three import VERSION, fetch_helm_three
from tests.integration.kube_tools import CLUSTERS, DONE, GOOD, NEVER, installed_tools

FAILING = "docker.io/library/busybox:always-fails"
HELM_THREE = "helm-3"
SLOWER = 10
"""How much slower than the emulated cluster a real one may be."""


@contextmanager
def _given(factory: pytest.TempPathFactory, folder: Path, kubeconfig: str) -> Iterator[Release]:
    """Open a namespace in a cluster that somebody gave; remove it afterwards."""
    mark = uuid.uuid4().hex[:8]
    name, namespace = f"web-{mark}", f"mlstacks-{mark}"
    kubectl = installed_tools(factory).kubectl
    cluster = GivenCluster(kubectl, kubeconfig, namespace, f"demo-{name}")
    try:
        yield Release(
            folder,
            real_helm(factory),
            cluster,
            name=name,
            namespace=namespace,
            patience=SLOWER,
            environment=dict(os.environ),
        )
    finally:
        cluster.remove()


with_helm_three_too = pytest.mark.parametrize(
    "release",
    [*CLUSTERS, pytest.param(HELM_THREE, id="emulated-helm-3", marks=pytest.mark.slow)],
    indirect=True,
)


@pytest.fixture(params=CLUSTERS)
def release(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    if request.param not in (None, HELM_THREE):
        with _given(tmp_path_factory, tmp_path, request.param) as found:
            yield found
        return
    if request.param == HELM_THREE:
        helm = fetch_helm_three(tmp_path_factory.getbasetemp().parent / "shared-helm")
    else:
        helm = real_helm(tmp_path_factory)
    with KubeEmulator() as kube:
        found = Release(tmp_path, helm, kube)
        if request.param == HELM_THREE:
            assert find_helm(found.settings).version == VERSION
        yield found


@with_helm_three_too
def test_install_upgrade_and_uninstall_leave_what_they_should(release: Release) -> None:
    first = release.deploy(names=["a"])
    assert (first.revision, first.status, first.changed) == (1, "deployed", True)
    assert (first.chart, first.chart_version, first.app_version) == ("demo", "1.2.3", "9.9")
    assert ObjectRef("apps/v1", "Deployment", "web", release.namespace) in first.objects
    assert ObjectRef(ROLES, "ClusterRole", f"demo-{release.name}") in first.objects

    again = release.deploy(names=["a"])
    assert (again.revision, again.changed) == (2, False)
    assert again.manifest_sha256 == first.manifest_sha256

    third = release.deploy(names=["b"], replicas=2)
    assert (third.revision, third.changed) == (3, True)
    assert "configmaps/a" not in release.objects()
    assert "configmaps/b" in release.objects()
    assert release.engine().info(release.request()) == replace(third, changed=False)

    gone = release.uninstall()
    assert gone.found
    assert gone.leftovers == (ObjectRef("v1", "Namespace", release.namespace),)
    assert release.left() == []
    assert release.engine().info(release.request()) is None


def test_values_of_an_earlier_deploy_are_not_kept(release: Release) -> None:
    release.deploy(replicas=3)
    release.deploy()
    found = release.client.get(ObjectRef("apps/v1", "Deployment", "web", release.namespace))
    assert found is not None
    assert found["spec"]["replicas"] == 1


def test_a_change_by_somebody_else_is_told_and_healed(release: Release) -> None:
    release.deploy(secret="first-word")
    engine, request = release.engine(), release.request()
    assert engine.differences(request) == ()
    change = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 4}}
    release.client.apply(
        {**change, "metadata": {"name": "web", "namespace": release.namespace}}, manager="kubectl"
    )
    release.client.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "given", "namespace": release.namespace},
            "data": {"password": "c29tZXRoaW5nLWVsc2U="},
        },
        manager="kubectl",
    )
    release.client.delete(ObjectRef("v1", "Service", "web", release.namespace))
    told = engine.differences(request)
    assert f"Service {release.namespace}/web is gone" in told
    assert f"Deployment {release.namespace}/web: spec.replicas is 4, should be 1" in told
    assert any(line.startswith(f"Secret {release.namespace}/given: data.password") for line in told)
    assert "c29t" not in str(told)
    release.deploy(secret="first-word")
    assert engine.differences(request) == ()


@with_helm_three_too
def test_what_never_becomes_ready_fails_with_the_pods_reason_and_keeps_the_last_good_revision(
    release: Release,
) -> None:
    release.hurry()
    release.deploy(names=["good"])
    with pytest.raises(CommandError) as caught:
        release.deploy(names=["bad"], image=NEVER)
    assert not isinstance(caught.value, TransientCommandError)
    assert f"image {NEVER}" in caught.value.message
    assert "revision 1, the last good one, was put back" in caught.value.message
    assert release.statuses()[-1] == "deployed"
    assert "configmaps/good" in release.objects()
    assert "configmaps/bad" not in release.objects()
    found = release.client.get(ObjectRef("apps/v1", "Deployment", "web", release.namespace))
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == GOOD


def test_a_first_install_that_fails_is_healed_by_the_next_deploy(release: Release) -> None:
    release.hurry()
    for _ in range(2):
        with pytest.raises(CommandError, match=r"ImagePullBackOff|ErrImagePull"):
            release.deploy(names=["extra"], image=NEVER)
    assert release.statuses()[-1] == "failed"
    assert release.deploy().status == "deployed"
    assert "configmaps/extra" not in release.objects()
    release.uninstall()
    assert release.left() == []


def test_a_hook_that_fails_fails_the_deploy_and_its_job_does_not_stay(release: Release) -> None:
    release.hurry()
    release.deploy(hook=DONE)
    assert "jobs.batch/migrate" in release.objects()
    place = f"{release.name} in {release.namespace}"
    with pytest.raises(CommandError, match=f"helm upgrade of {place} failed"):
        release.deploy(hook=FAILING)
    assert release.statuses()[-1] == "deployed"
    release.uninstall()
    assert release.left() == []


def test_claims_of_a_stateful_set_are_listed_and_deleted_on_request(release: Release) -> None:
    release.deploy(claims=True)
    claim = ObjectRef("v1", "PersistentVolumeClaim", "data-db-0", release.namespace)
    assert release.engine().claims(release.request()) == (claim,)
    assert claim in release.uninstall().leftovers
    assert claim in release.uninstall().leftovers
    assert release.engine().delete_leftovers(release.request()) == (claim,)
    assert claim not in release.uninstall().leftovers
    assert not [o for o in release.objects() if o.startswith("persistentvolume")]


@with_helm_three_too
def test_an_uninstall_whose_record_is_gone_still_looks_for_the_objects(release: Release) -> None:
    release.hurry()
    release.deploy(names=["stuck"])
    stuck = {"apiVersion": "v1", "kind": "ConfigMap"}
    metadata = {"name": "stuck", "namespace": release.namespace}
    release.client.apply(
        {**stuck, "metadata": {**metadata, "finalizers": ["example.org/wait"]}}, manager="holder"
    )
    for _ in range(2):
        with pytest.raises(CommandError, match=r"still in the cluster.*ConfigMap .*/stuck"):
            release.uninstall()
    assert release.statuses() == []
    release.client.apply({**stuck, "metadata": {**metadata, "finalizers": []}}, manager="holder")
    release.uninstall()
    assert release.left() == []


@pytest.mark.parametrize("forgotten", ["record", "record and work folder"])
def test_objects_without_a_record_are_found_by_their_marks(
    release: Release, forgotten: str
) -> None:
    release.deploy(names=["a"])
    record = f"sh.helm.release.v1.{release.name}.v1"
    release.client.delete(ObjectRef("v1", "Secret", record, release.namespace))
    if "folder" in forgotten:
        fresh_copy(release)
        assert not release.uninstall().found, "who began it isn't known"
        release.begun = True
    assert release.uninstall().found
    assert release.left() == []


def test_nothing_to_uninstall_is_no_error(release: Release) -> None:
    gone = release.uninstall()
    assert not gone.found
    assert gone.leftovers == (ObjectRef("v1", "Namespace", release.namespace),)


def test_a_chart_that_renders_nothing_is_refused_before_anything_is_removed(
    release: Release,
) -> None:
    release.deploy()
    with pytest.raises(CommandError, match="renders nothing"):
        release.deploy(empty=True)
    assert release.statuses() == ["deployed"]


def test_old_revisions_are_dropped(release: Release) -> None:
    for number in range(7):
        release.deploy(replicas=1 + number % 2)
    assert len(release.statuses()) == 5


def test_something_of_the_same_name_that_is_not_ours_is_left_alone(release: Release) -> None:
    release.client.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "theirs", "namespace": release.namespace},
        }
    )
    with pytest.raises(CommandError, match="theirs") as caught:
        release.deploy(names=["theirs"])
    assert "belongs to somebody else" in caught.value.remedy
    release.deploy()
    release.uninstall()
    assert release.left("configmaps/theirs") == []


@with_helm_three_too
def test_a_killed_upgrade_and_a_killed_uninstall_are_taken_up(release: Release) -> None:
    """The tests of kills at random moments are in ``test_helm_engine_kill.py``."""
    release.deploy(names=["kept"])
    record = release.request().record
    with Killer(record, "upgrade", signal.SIGKILL, 0.05) as killer, suppress(CommandError):
        release.deploy(names=["kept", "other"], image=NEVER)
    assert killer.hit
    assert release.deploy(names=["kept"]).status == "deployed"
    assert {"configmaps/kept"} == {o for o in release.objects() if o.startswith("configmaps")}
    with Killer(record, "uninstall", signal.SIGKILL, 0.01), suppress(CommandError):
        release.uninstall()
    release.uninstall()
    assert release.left() == []
