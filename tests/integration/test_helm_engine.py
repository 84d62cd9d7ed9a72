"""The Helm engine with the real Helm against the emulated Kubernetes API."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.helm_argv import HelmTarget
from mlstacks_dagster.engines.helm_tools import find_helm
from mlstacks_dagster.engines.kube_client import ObjectRef
from mlstacks_dagster.engines.kube_objects import documents
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.errors import CommandError, InputError, TransientCommandError
from mlstacks_dagster.sandbox.kube import Fault, KubeEmulator
from tests.integration.helm_releases import (
    NAMESPACE,
    Release,
    fresh_copy,
    real_helm,
    write_chart,
)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_helm(tmp_path_factory)


@pytest.fixture
def kube() -> Iterator[KubeEmulator]:
    with KubeEmulator() as emulator:
        yield emulator


@pytest.fixture
def release(tmp_path: Path, helm: Path, kube: KubeEmulator) -> Release:
    return Release(tmp_path, helm, kube)


def test_install_upgrade_and_uninstall_leave_what_they_should(release: Release) -> None:
    first = release.deploy(names=["a"])
    assert (first.revision, first.status, first.changed) == (1, "deployed", True)
    assert (first.chart, first.chart_version, first.app_version) == ("demo", "1.2.3", "9.9")
    assert ObjectRef("apps/v1", "Deployment", "web", NAMESPACE) in first.objects
    assert ObjectRef("rbac.authorization.k8s.io/v1", "ClusterRole", "demo-web") in first.objects

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
    assert gone.leftovers == (ObjectRef("v1", "Namespace", NAMESPACE),)
    assert release.objects() == []
    assert release.engine().info(release.request()) is None


def test_values_of_an_earlier_deploy_are_not_kept(release: Release) -> None:
    release.deploy(replicas=3)
    release.deploy()
    found = release.client.get(ObjectRef("apps/v1", "Deployment", "web", NAMESPACE))
    assert found is not None
    assert found["spec"]["replicas"] == 1


def test_a_change_by_somebody_else_is_told_and_healed(release: Release) -> None:
    release.deploy(secret="first-word")
    engine, request = release.engine(), release.request()
    assert engine.differences(request) == ()
    change = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 4}}
    release.client.apply(
        {**change, "metadata": {"name": "web", "namespace": NAMESPACE}}, manager="kubectl"
    )
    release.client.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "given", "namespace": NAMESPACE},
            "data": {"password": "c29tZXRoaW5nLWVsc2U="},
        },
        manager="kubectl",
    )
    release.client.delete(ObjectRef("v1", "Service", "web", NAMESPACE))
    told = engine.differences(request)
    assert "Service demo/web is gone" in told
    assert "Deployment demo/web: spec.replicas is 4, should be 1" in told
    assert any(line.startswith("Secret demo/given: data.password") for line in told)
    assert "c29t" not in str(told)
    release.deploy(secret="first-word")
    assert engine.differences(request) == ()


def test_what_never_becomes_ready_fails_with_the_pods_reason_and_keeps_the_last_good_revision(
    release: Release,
) -> None:
    release.hurry()
    release.deploy(names=["good"])
    with pytest.raises(CommandError) as caught:
        release.deploy(names=["bad"], image="example.org/web:never-ready")
    assert not isinstance(caught.value, TransientCommandError)
    assert "ImagePullBackOff: image example.org/web:never-ready" in caught.value.message
    assert "revision 1, the last good one, was put back" in caught.value.message
    assert release.statuses()[-1] == "deployed"
    assert "configmaps/good" in release.objects()
    assert "configmaps/bad" not in release.objects()
    found = release.client.get(ObjectRef("apps/v1", "Deployment", "web", NAMESPACE))
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/web:1"


def test_a_first_install_that_fails_is_healed_by_the_next_deploy(release: Release) -> None:
    release.hurry()
    for _ in range(2):
        with pytest.raises(CommandError, match="ImagePullBackOff"):
            release.deploy(names=["extra"], image="example.org/web:never-ready")
    assert release.statuses()[-1] == "failed"
    assert release.deploy().status == "deployed"
    assert "configmaps/extra" not in release.objects()
    release.uninstall()
    assert release.objects() == []


def test_a_hook_that_fails_fails_the_deploy_and_its_job_does_not_stay(release: Release) -> None:
    release.hurry()
    release.deploy(hook="example.org/job:1")
    assert "jobs.batch/migrate" in release.objects()
    with pytest.raises(CommandError, match="helm upgrade of web in demo failed"):
        release.deploy(hook="example.org/job:always-fails")
    assert release.statuses()[-1] == "deployed"
    release.uninstall()
    assert release.objects() == []


def test_objects_that_only_a_failed_revision_made_are_removed(release: Release) -> None:
    """Helm itself forgets them: it compares with the last good revision only."""
    release.hurry()
    release.deploy()
    hit = release.kube.inject(Fault(methods=("PATCH", "PUT"), path="secrets/", status=403, times=9))
    with pytest.raises(CommandError):
        release.deploy(names=["stray"], image="example.org/web:never-ready")
    assert hit() > 0
    release.kube.clear_faults()
    release.deploy()
    assert "configmaps/stray" not in release.objects()


def test_claims_of_a_stateful_set_are_listed_and_deleted_on_request(release: Release) -> None:
    release.deploy(claims=True)
    claim = ObjectRef("v1", "PersistentVolumeClaim", "data-db-0", NAMESPACE)
    assert claim in release.uninstall().leftovers
    assert claim in release.uninstall().leftovers
    assert release.engine().delete_leftovers(release.request()) == (claim,)
    assert claim not in release.uninstall().leftovers
    assert not [o for o in release.objects() if o.startswith("persistentvolume")]


def test_definitions_that_helm_never_removes_are_listed(release: Release) -> None:
    write_chart(release.folder / "with-crds", crds=True)
    release.chart = release.folder / "with-crds"
    release.deploy()
    gone = release.uninstall()
    crd = ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.org")
    assert crd in gone.leftovers
    kinds = ("CustomResourceDefinition",)
    assert release.engine().delete_leftovers(release.request(), kinds=kinds) == (crd,)
    assert release.objects() == []


def test_definitions_that_were_there_before_stay(release: Release) -> None:
    """Whatever becomes of the first install: what is written down first counts."""
    write_chart(release.folder / "with-crds", crds=True)
    release.chart = release.folder / "with-crds"
    theirs = next(documents((release.chart / "crds" / "things.yaml").read_text()))
    release.client.apply(theirs)
    (release.chart / "crds" / "more.yaml").write_text(
        (release.chart / "crds" / "things.yaml")
        .read_text()
        .replace("thing", "other")
        .replace("Thing", "Other")
    )
    release.hurry()
    with pytest.raises(CommandError):
        release.deploy(image="example.org/web:never-ready")
    release.deploy()
    left = [ref.name for ref in release.uninstall().leftovers]
    assert left == ["others.example.org", NAMESPACE]
    kinds = ("CustomResourceDefinition",)
    assert len(release.engine().delete_leftovers(release.request(), kinds=kinds)) == 1
    assert release.objects() == [
        "customresourcedefinitions.apiextensions.k8s.io/things.example.org"
    ]


def test_an_uninstall_whose_record_is_gone_still_looks_for_the_objects(release: Release) -> None:
    release.hurry()
    release.deploy(names=["stuck"])
    stuck = {"apiVersion": "v1", "kind": "ConfigMap"}
    metadata = {"name": "stuck", "namespace": NAMESPACE}
    release.client.apply(
        {**stuck, "metadata": {**metadata, "finalizers": ["example.org/wait"]}}, manager="holder"
    )
    for _ in range(2):
        with pytest.raises(CommandError, match=r"still in the cluster.*ConfigMap demo/stuck"):
            release.uninstall()
    assert release.statuses() == []
    release.client.apply({**stuck, "metadata": {**metadata, "finalizers": []}}, manager="holder")
    release.uninstall()
    assert release.objects() == []


@pytest.mark.parametrize("forgotten", ["record", "record and work folder"])
def test_objects_without_a_record_are_found_by_their_marks(
    release: Release, forgotten: str
) -> None:
    release.deploy(names=["a"])
    release.client.delete(ObjectRef("v1", "Secret", "sh.helm.release.v1.web.v1", NAMESPACE))
    if "folder" in forgotten:
        fresh_copy(release)
        assert not release.uninstall().found, "who began it isn't known"
        release.begun = True
    assert release.uninstall().found
    assert release.objects() == []


def test_nothing_to_uninstall_is_no_error(release: Release) -> None:
    gone = release.uninstall()
    assert not gone.found
    assert gone.leftovers == (ObjectRef("v1", "Namespace", NAMESPACE),)


def test_a_chart_that_renders_nothing_is_refused_before_anything_is_removed(
    release: Release,
) -> None:
    release.deploy()
    with pytest.raises(CommandError, match="renders nothing"):
        release.deploy(empty=True)
    assert release.statuses() == ["deployed"]


def test_a_value_that_the_chart_refuses_is_an_error_with_its_words(release: Release) -> None:
    schema = '{"properties": {"replicas": {"type": "integer"}}}'
    (release.chart / "values.schema.json").write_text(schema)
    with pytest.raises(CommandError, match="replicas") as caught:
        release.deploy(replicas="many")
    assert "metadata.config" in caught.value.remedy


def test_old_revisions_are_dropped(release: Release) -> None:
    for number in range(7):
        release.deploy(replicas=1 + number % 2)
    assert len(release.statuses()) == 5


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "Too many requests, please try again later."),
        (500, "Internal error occurred: etcdserver: request timed out"),
        (503, "the server is currently unable to handle the request"),
        (504, "Timeout: request did not complete within requested timeout"),
    ],
)
def test_an_api_that_fails_for_a_while_is_a_passing_error(
    release: Release, status: int, message: str
) -> None:
    release.deploy()
    path = "namespaces/demo/services/web"
    release.kube.inject(Fault(status=status, path=path, times=None, message=message))
    with pytest.raises(TransientCommandError):
        release.deploy(replicas=2)
    release.kube.clear_faults()
    assert release.deploy(replicas=2).status == "deployed"


def test_an_api_that_can_not_be_reached_is_a_passing_error(tmp_path: Path, helm: Path) -> None:
    with KubeEmulator() as emulator:
        release = Release(tmp_path, helm, emulator)
    with pytest.raises(TransientCommandError, match=r"reach|refused"):
        release.deploy()


def test_something_of_the_same_name_that_is_not_ours_is_left_alone(release: Release) -> None:
    release.client.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "theirs", "namespace": NAMESPACE},
        }
    )
    with pytest.raises(CommandError, match="theirs") as caught:
        release.deploy(names=["theirs"])
    assert "belongs to somebody else" in caught.value.remedy
    release.deploy()
    release.uninstall()
    assert release.objects() == ["configmaps/theirs"]


def test_nobody_can_read_the_values_on_the_way(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the arguments of any process, in events, or in files that others can read."""
    seen: list[list[str]] = []
    original = psutil.Process.create_time

    def watch(process: psutil.Process) -> float:
        seen.append(process.cmdline())
        return original(process)

    monkeypatch.setattr(psutil.Process, "create_time", watch)
    release.deploy(secret="a-very-secret-word")
    assert any("upgrade" in argv for argv in seen)
    assert "a-very-secret-word" not in str(seen)
    assert "a-very-secret-word" not in release.said()
    folder_mode = release.request().work_dir.stat().st_mode
    assert stat.S_IMODE(folder_mode) == 0o700
    for folder, _, names in os.walk(release.folder):
        for name in names:
            path = Path(folder) / name
            if b"a-very-secret-word" in path.read_bytes():
                pytest.fail(f"{path} holds the secret")


def test_helm_keeps_to_folders_of_its_own(release: Release) -> None:
    release.deploy()
    left = {p.name for p in release.folder.iterdir()}
    assert left <= {"work", "home", "chart", "kubeconfig"} | {n for n in left if n.endswith(".pem")}


def test_releases_are_deployed_in_parallel(tmp_path: Path, helm: Path, kube: KubeEmulator) -> None:
    releases = []
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        releases.append(Release(folder, helm, kube, name=f"web-{number}"))
        template = folder / "chart" / "templates" / "all.yaml"
        text = template.read_text()
        template.write_text(text.replace("{name: web", "{name: {{ .Release.Name }}"))
    with ThreadPoolExecutor(4) as pool:
        assert [r.status for r in pool.map(lambda r: r.deploy(), releases)] == ["deployed"] * 4
        assert all(r.found for r in pool.map(lambda r: r.uninstall(), releases))
    assert not [o for o in releases[0].objects() if "web" in o]


def test_another_helm_at_work_is_awaited(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pending release that no command of ours explains may be somebody's; it is not broken."""
    release.deploy()
    release.timeout_seconds = 20
    request = release.request(image="example.org/web:never-ready")
    target = HelmTarget(
        str(release.helm),
        find_helm(release.settings).major,
        release.name,
        NAMESPACE,
        request.kubeconfig,
        request.context,
    )
    argv = target.upgrade_argv(
        release.chart, labels=release.owner, timeout_seconds=4, history_max=5
    )
    theirs = psutil.Popen(
        [*argv, "--set=image=example.org/web:never-ready", "--values=/dev/null"],
        stdin=-3,
        stdout=-3,
        stderr=-3,
    )
    while release.statuses()[-1] != "pending-upgrade":
        assert theirs.poll() is None
    info = release.deploy(replicas=2)
    assert theirs.wait() == 1
    assert info.status == "deployed"
    assert "another Helm seems to be at work (pending-upgrade)" in release.milestones()
    assert "failed" in release.statuses()


def test_a_published_chart_with_another_checksum_is_refused(release: Release) -> None:
    request = replace(release.request(), chart="https://charts.invalid/demo", version="1.2.3")
    with pytest.raises(CommandError):
        release.engine(ProcessRunner()).deploy(request)
    archive = release.folder / "demo-1.2.3.tgz"
    archive.write_bytes(b"not a chart")
    with pytest.raises(InputError, match="checksum"):
        release.engine().deploy(replace(request, chart=archive, digest="sha256:" + "0" * 64))
