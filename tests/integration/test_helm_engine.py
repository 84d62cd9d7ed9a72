"""The Helm engine with the real Helm against the emulated Kubernetes API.

What a real cluster can show as well is in ``test_helm_engine_clusters.py``.
"""

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
    NEVER,
    Release,
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


def test_objects_that_only_a_failed_revision_made_are_removed(
    release: Release, kube: KubeEmulator
) -> None:
    """Helm itself forgets them: it compares with the last good revision only."""
    release.hurry()
    release.deploy()
    hit = kube.inject(Fault(methods=("PATCH", "PUT"), path="secrets/", status=403, times=9))
    with pytest.raises(CommandError):
        release.deploy(names=["stray"], image=NEVER)
    assert hit() > 0
    kube.clear_faults()
    release.deploy()
    assert "configmaps/stray" not in release.objects()


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


def test_a_value_that_the_chart_refuses_is_an_error_with_its_words(release: Release) -> None:
    schema = '{"properties": {"replicas": {"type": "integer"}}}'
    (release.chart / "values.schema.json").write_text(schema)
    with pytest.raises(CommandError, match="replicas") as caught:
        release.deploy(replicas="many")
    assert "metadata.config" in caught.value.remedy


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
    release: Release, kube: KubeEmulator, status: int, message: str
) -> None:
    release.deploy()
    path = "namespaces/demo/services/web"
    kube.inject(Fault(status=status, path=path, times=None, message=message))
    with pytest.raises(TransientCommandError):
        release.deploy(replicas=2)
    kube.clear_faults()
    assert release.deploy(replicas=2).status == "deployed"


def test_an_api_that_can_not_be_reached_is_a_passing_error(tmp_path: Path, helm: Path) -> None:
    with KubeEmulator() as emulator:
        release = Release(tmp_path, helm, emulator)
    with pytest.raises(TransientCommandError, match=r"reach|refused"):
        release.deploy()


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
    request = release.request(image=NEVER)
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
        [*argv, f"--set=image={NEVER}", "--values=/dev/null"],
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
