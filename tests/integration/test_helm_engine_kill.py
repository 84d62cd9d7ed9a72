"""Helm is killed at random moments: the next deploy or uninstall finishes by itself.

Install, upgrade, rollback and uninstall get kills by SIGKILL and SIGTERM, and time-outs; then
the process that runs the engine is killed and Helm goes on as an orphan. The seed is printed;
set MLSTACKS_TEST_SEED to repeat a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.process_record import is_alive, read_record
from mlstacks_dagster.errors import CommandError
from mlstacks_dagster.sandbox.kube import KubeEmulator, Options
from tests.integration.helm_killer import Killer
from tests.integration.helm_releases import NEVER, Release, real_helm

KILLS = 5
TRIES = 30
VERBS = ("install", "upgrade", "rollback", "uninstall")
DEPLOYED = {
    "clusterroles.rbac.authorization.k8s.io/demo-web",
    "configmaps/kept",
    "deployments.apps/web",
    "services/web",
}


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_helm(tmp_path_factory)


def _seed() -> int:
    seed = int(os.environ.get("MLSTACKS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    return seed


def _how_long(release: Release) -> dict[str, float]:
    """Return how long each undisturbed Helm lives now, in seconds."""
    lived = {}
    for verb in VERBS:
        release.timeout_seconds = 1 if verb == "rollback" else 30
        with Killer(release.request().record, verb) as watch:
            _disturbed(release, verb)
        lived[verb] = watch.lived
    release.timeout_seconds = 30
    return lived


def _disturbed(release: Release, verb: str) -> None:
    """Do what has a Helm with ``verb`` in it; how it ends doesn't matter."""
    with suppress(CommandError):
        if verb == "uninstall":
            release.uninstall()
        elif verb == "rollback":
            release.deploy(names=["kept", "bad"], image=NEVER)
        else:
            release.deploy(names=["kept", "other"], replicas=2)


def _check_whole(release: Release) -> None:
    info = release.deploy(names=["kept"])
    assert info.status == "deployed", release.said()
    here = {o for o in release.objects() if not o.startswith(("pods", "replicasets", "secrets"))}
    assert here - {"endpoints/web"} - _slices(here) == DEPLOYED, release.said()


def _slices(objects: set[str]) -> set[str]:
    return {o for o in objects if o.startswith("endpointslices")}


def _check_gone(release: Release) -> None:
    release.uninstall()
    assert release.objects() == [], release.said()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_a_killed_helm_is_taken_up_by_the_next_call(
    number: int, tmp_path: Path, helm: Path
) -> None:
    rng = random.Random(_seed())
    hits: Counter[str] = Counter()
    found: Counter[str] = Counter()
    with KubeEmulator(options=Options(ready_seconds=0.3)) as kube:
        release = Release(tmp_path, helm, kube)
        longest = _how_long(release)
        turns = [verb for _ in range(TRIES) for verb in VERBS]
        for verb in turns:
            if hits[verb] == KILLS:
                continue
            if verb != "install":
                _check_whole(release)
            release.timeout_seconds = 1 if verb == "rollback" else 30
            wait = rng.uniform(0.0, 0.8 * longest[verb])
            with Killer(release.request().record, verb, number, wait) as killer:
                _disturbed(release, verb)
            release.timeout_seconds = 30
            hits[verb] += killer.hit
            found[(release.statuses() or ["none"])[-1]] += 1
            if rng.random() < 0.7:
                _check_whole(release)
            if verb == "install" or rng.random() < 0.4:
                _check_gone(release)
        _check_gone(release)
    print(f"kills {dict(hits)}, states found {dict(found)}")
    assert hits == dict.fromkeys(VERBS, KILLS)


@pytest.mark.slow
def test_a_helm_that_runs_out_of_time_is_taken_up_by_the_next_call(
    tmp_path: Path, helm: Path
) -> None:
    with KubeEmulator(options=Options(ready_seconds=1.5)) as kube:
        release = Release(tmp_path, helm, kube)
        for _ in range(2):
            release.timeout_seconds = 1
            with pytest.raises(CommandError, match=r"not ready|did not end"):
                release.deploy(names=["kept", "other"])
            release.timeout_seconds = 30
            _check_whole(release)
            release.timeout_seconds = 1
            with pytest.raises(CommandError, match=r"not ready|did not end"):
                release.deploy(names=["kept", "third"], image="registry.k8s.io/pause:3.9")
            release.timeout_seconds = 30
            _check_whole(release)
            _check_gone(release)


_WORKER = """
import json, sys
from pathlib import Path
from mlstacks_dagster.engines.helm import HelmEngine, HelmRequest
from mlstacks_dagster.engines.helm_tools import find_helm
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.settings import Settings
given = json.loads(sys.argv[1])
home = Path(given["home"])
settings = Settings(home=home, stacks_dir=home, helm=Path(given["helm"]))
paths = {k: Path(v) for k, v in given["paths"].items()}
request = HelmRequest(**given["texts"], **paths, values=given["values"])
engine = HelmEngine(find_helm(settings), ProcessRunner(), settings)
getattr(engine, given["verb"])(request)
"""


@pytest.mark.slow
def test_a_helm_whose_parent_was_killed_is_awaited(tmp_path: Path, helm: Path) -> None:
    rng = random.Random(_seed())
    orphans = 0
    with KubeEmulator(options=Options(ready_seconds=0.8)) as kube:
        release = Release(tmp_path, helm, kube)
        for turn in range(6):
            verb = "uninstall" if turn % 3 == 2 else "deploy"
            if verb == "uninstall":
                _check_whole(release)
            orphans += _kill_the_worker(release, verb, rng.uniform(0.0, 0.6))
            if turn % 2 and verb == "deploy":
                _check_whole(release)
            _check_gone(release)
    print(f"orphans {orphans}")
    assert orphans >= 3


def _kill_the_worker(release: Release, verb: str, wait: float) -> bool:
    """Run ``verb`` in a process of its own and kill that; True when its Helm lived on."""
    values = {"names": ["kept", "other"]}
    request = release.request(**values)
    given = {
        "home": str(release.folder / "home"),
        "helm": str(release.helm),
        "verb": verb,
        "values": values,
        "texts": {
            n: getattr(request, n) for n in ("unit", "release", "namespace", "context", "owner")
        },
        "paths": {n: str(getattr(request, n)) for n in ("chart", "kubeconfig", "work_dir")},
    }
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, json.dumps(given)])
    wanted = "helm upgrade" if verb == "deploy" else "helm uninstall"
    while worker.poll() is None:
        record = read_record(request.record)
        if record is not None and record.pid and record.verb == wanted:
            time.sleep(wait)
            break
        time.sleep(0.002)
    worker.kill()
    worker.wait()
    record = read_record(request.record)
    with suppress(psutil.NoSuchProcess):
        return record is not None and bool(record.pid) and is_alive(psutil.Process(record.pid))
    return False
