"""Whose a release is, on the real Helm's record: what isn't ours is refused and left as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlstacks_dagster.errors import CommandError, NotOwnedError
from mlstacks_dagster.sandbox.kube import KubeEmulator
from tests.integration.helm_releases import NAMESPACE, Release, fresh_copy, real_helm

NEVER = "example.org/web:never-ready"
OTHER = {"mlstacks-stack": "sxyz"}


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_helm(tmp_path_factory)


@pytest.fixture
def release(tmp_path: Path, helm: Path) -> Iterator[Release]:
    with KubeEmulator() as emulator:
        yield Release(tmp_path, helm, emulator)


def by_hand(release: Release, *arguments: str) -> subprocess.Popen[bytes]:
    """Run Helm as somebody else would: without our labels."""
    argv = [str(release.helm), *arguments, f"--namespace={NAMESPACE}"]
    argv += [f"--kubeconfig={release.folder / 'kubeconfig'}", f"--kube-context={release.context}"]
    env = {"PATH": os.environ["PATH"], "HOME": str(release.folder / "theirs")}
    return subprocess.Popen(argv, env=env, stdout=-3, stderr=-3)


def killed_install(release: Release) -> None:
    """Leave a first install of somebody else's half done."""
    theirs = by_hand(
        release, "install", "web", str(release.chart), "--wait", f"--set=image={NEVER}"
    )
    while release.statuses() != ["pending-install"]:
        assert theirs.poll() is None
        time.sleep(0.05)
    theirs.send_signal(signal.SIGKILL)
    theirs.wait()


def labels(release: Release) -> dict[int, str]:
    """Return our label on each revision's record."""
    records = release.client.list("v1", "Secret", NAMESPACE, "owner=helm,name=web")
    marks = [r["metadata"]["labels"] for r in records]
    return {int(m["version"]): m.get("mlstacks-stack", "") for m in marks}


def test_somebody_elses_release_is_neither_upgraded_nor_removed(release: Release) -> None:
    assert by_hand(release, "install", "web", str(release.chart)).wait() == 0
    before = release.objects()
    for touch in (release.deploy, release.uninstall):
        with pytest.raises(NotOwnedError, match="web in the namespace demo exists and was not"):
            touch()
    assert (release.statuses(), release.objects()) == (["deployed"], before)


def test_somebody_elses_half_done_release_is_not_mended(release: Release) -> None:
    killed_install(release)
    before = release.objects()
    for touch in (release.deploy, release.uninstall):
        with pytest.raises(NotOwnedError):
            touch()
    assert (release.statuses(), release.objects()) == (["pending-install"], before)


def test_a_release_of_another_stack_is_neither_upgraded_nor_removed(release: Release) -> None:
    release.deploy()
    before = release.objects()
    fresh_copy(release)
    release.owner, release.begun = OTHER, True
    for touch in (release.deploy, release.uninstall):
        with pytest.raises(NotOwnedError, match="belongs to another: mlstacks-stack sabc"):
            touch()
    assert (release.statuses(), release.objects()) == (["deployed"], before)


def test_our_killed_first_install_is_known_without_a_work_folder(release: Release) -> None:
    release.hurry()
    with pytest.raises(CommandError, match="ImagePullBackOff"):
        release.deploy(image=NEVER)
    fresh_copy(release)
    assert release.deploy().status == "deployed"
    assert set(labels(release).values()) == {"sabc"}


def test_a_release_from_before_the_labels_is_ours_when_we_know_that_we_began(
    release: Release,
) -> None:
    release.hurry()
    assert by_hand(release, "install", "web", str(release.chart)).wait() == 0
    release.begun = True
    with pytest.raises(CommandError, match="revision 1, the last good one, was put back"):
        release.deploy(image=NEVER)
    assert labels(release) == {1: "", 2: "sabc", 3: ""}, "a rollback takes its target's labels"
    release.begun = False
    assert release.deploy(replicas=2).status == "deployed"
    assert labels(release)[4] == "sabc"
    release.uninstall()
    assert release.objects() == []


def test_objects_of_a_release_without_a_record_are_not_ours_unless_we_began(
    release: Release,
) -> None:
    assert by_hand(release, "install", "web", str(release.chart)).wait() == 0
    for record in release.client.list("v1", "Secret", NAMESPACE, "owner=helm"):
        metadata = record["metadata"]
        unlabelled = {**metadata["labels"], "owner": "flux"}
        release.client.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": metadata["name"],
                    "namespace": NAMESPACE,
                    "labels": unlabelled,
                },
            }
        )
    assert not release.uninstall().found
    assert "deployments.apps/web" in release.objects()


def test_labels_outlive_an_upgrade_by_hand(release: Release) -> None:
    release.deploy()
    assert by_hand(release, "upgrade", "web", str(release.chart)).wait() == 0
    assert labels(release) == {1: "sabc", 2: "sabc"}
    release.uninstall()
    assert release.objects() == []
