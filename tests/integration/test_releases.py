"""Stacks with charts, through the command line, Dagster and the real Helm.

The cluster is the emulated Kubernetes API, a cluster that "exists already": no pods run in it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.sandbox.kube import KubeEmulator
from tests.integration.stacks import Cli, write_stack

COMPONENTS = (
    ("artifact_store", "minio"),
    ("experiment_tracker", "mlflow"),
    ("orchestrator", "kubernetes"),
)
DEMO = "registry.k8s.io/pause:3.10"
NEVER = "registry.k8s.io/pause:never-ready"


@dataclass
class Place:
    """An emulated cluster, stack files, and the command."""

    kube: KubeEmulator
    folder: Path
    home: Path
    cli: Cli
    empty: frozenset[tuple[str, str | None, str]]

    @property
    def client(self) -> KubeClient:
        path = self.folder / "kubeconfig"
        return KubeClient(path, self.kube.kubeconfig(path))

    def stack(self, *components: tuple[str, str], **more: Any) -> Path:
        self.kube.kubeconfig(self.folder / "kubeconfig")
        return write_stack(
            self.folder / "s",
            "local",
            components or COMPONENTS,
            provider="k3d",
            cluster={"kubeconfig": "../kubeconfig"},
            **more,
        )

    def helm(self, *args: str) -> None:
        """Run Helm as somebody else would."""
        config = f"--kubeconfig={self.folder / 'kubeconfig'}"
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        argv = [self.cli.env["MLSTACKS_HELM"], *args, config]
        subprocess.run(argv, check=True, env=env, capture_output=True)

    def left(self) -> set[tuple[str, str | None, str]]:
        """What is in the cluster beside what it came with; events don't count."""
        return {o for o in self.kube.everything() if not o[0].startswith("events")} - self.empty


@pytest.fixture
def place(tmp_path: Path, helm: Path) -> Iterator[Place]:
    folder, home = tmp_path / "stacks", tmp_path / "home"
    folder.mkdir()
    with KubeEmulator() as kube:
        yield Place(kube, folder, home, Cli(home, folder, helm), frozenset(kube.everything()))


def results(said: str) -> dict[str, str]:
    """Return each unit's result as the command prints it."""
    return {name: unit["outcome"] for name, unit in json.loads(said)["units"].items()}


def deploy(place: Place, file: Path, *args: str) -> dict[str, str]:
    return results(place.cli.run("deploy", "-f", str(file), "--json", *args).stdout)


def files_with(folder: Path, word: str) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and word.encode() in path.read_bytes():
            found.append(path)
    return found


def write_flavor(root: Path) -> Path:
    """Write a catalog root with one chart whose image is the user's to choose."""
    unit = root / "web_tracker"
    (unit / "templates").mkdir(parents=True)
    (unit / "unit.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "web_tracker",
                "title": "Web",
                "description": "A web server.",
                "provider": "k3d",
                "engine": "helm",
                "component": {"type": "experiment_tracker", "flavor": "web"},
                "requires": [{"capability": "kubernetes_cluster"}],
                "config": {
                    "image": {"variable": "image", "description": "Image."},
                    "password": {"variable": "$secret.web-auth.password", "description": "Word."},
                },
                "helm": {
                    "release": "web",
                    "namespace": "web",
                    "timeout_seconds": 30,
                    "fill": {"marks": "marks"},
                    "secrets": [{"name": "web-auth", "keys": {"password": {"generate": 32}}}],
                    "outputs": {"namespace": "{namespace}"},
                },
            }
        )
    )
    (unit / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
    (unit / "values.yaml").write_text(f"image: {DEMO}\nmarks: {{}}\n")
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "image": {"type": "string"},
            "marks": {"type": "object", "additionalProperties": {"type": "string"}},
            "global": {"type": "object"},
        },
    }
    (unit / "values.schema.json").write_text(json.dumps(schema))
    (unit / "templates" / "web.yaml").write_text(
        """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {{ toJson .Values.marks }}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: {{ .Values.image | quote }}
          envFrom: [{secretRef: {name: web-auth}}]
"""
    )
    return root


@pytest.mark.slow
def test_the_life_of_a_stack_with_charts(place: Place) -> None:
    file = place.stack()
    assert set(deploy(place, file).values()) == {"applied"}
    assert set(deploy(place, file).values()) == {"unchanged"}

    secret = json.loads(place.cli.run("output", "local", "--secret", "mlflow-auth").stdout)
    password = secret["password"]
    assert (secret["username"], len(password)) == ("admin", 32)
    assert files_with(place.home, password) == []
    tracker = json.loads(place.cli.run("output", "local", "--json").stdout)
    assert "http://mlflow" in tracker["experiment_tracker_mlflow_k3d.tracking_uri"]
    exported = yaml.safe_load((place.home / "zenml" / "local.yaml").read_text())["components"]
    assert exported["experiment_tracker"]["configuration"]["tracking_password"] == (
        "{{local-mlflow-auth.password}}"
    )

    changed = place.stack(config={"experiment_tracker": {"mlflow_workers": 3}})
    assert deploy(place, changed) == {
        "artifact_store_minio": "unchanged",
        "experiment_tracker_mlflow_k3d": "applied",
        "orchestrator_kubernetes_namespace_k3d": "unchanged",
    }
    again = json.loads(place.cli.run("output", "local", "--secret", "mlflow-auth").stdout)
    assert again == secret, "what was generated once stays"

    place.cli.run("destroy", "local", "-y")
    assert place.left() == set()


@pytest.mark.slow
def test_an_image_that_never_comes_up_fails_with_the_pods_reason(
    place: Place, tmp_path: Path
) -> None:
    place.cli.env["MLSTACKS_CATALOG_PATH"] = str(write_flavor(tmp_path / "flavors"))
    web = ("experiment_tracker", "web")
    given = "correct-horse-battery"
    good = {"experiment_tracker": {"password": given}}
    deploy(place, place.stack(web, config=good))
    assert files_with(place.home / "dagster", given) == []
    assert files_with(place.home / "work", given) == []
    broken = place.stack(web, config={"experiment_tracker": {"image": NEVER, "password": given}})
    failed = place.cli.run("deploy", "-f", str(broken), code=1)
    assert "ImagePullBackOff" in f"{failed.stdout}{failed.stderr}"
    live = place.client.get(ObjectRef("apps/v1", "Deployment", "web", "web"))
    assert live is not None
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == DEMO
    assert deploy(place, place.stack(web, config=good)) == {"web_tracker": "unchanged"}
    place.cli.run("destroy", "local", "-y")
    assert place.left() == set()


@pytest.mark.slow
def test_a_changed_password_reaches_the_pods(place: Place, tmp_path: Path) -> None:
    place.cli.env["MLSTACKS_CATALOG_PATH"] = str(write_flavor(tmp_path / "flavors"))
    web = ("experiment_tracker", "web")
    config = {"experiment_tracker": {"password": "correct-horse"}}
    deploy(place, place.stack(web, config=config))
    (first,) = place.client.list("v1", "Pod", "web")
    config["experiment_tracker"]["password"] = "battery-staple"
    assert deploy(place, place.stack(web, config=config)) == {"web_tracker": "applied"}
    (second,) = place.client.list("v1", "Pod", "web")
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    again = deploy(place, place.stack(web, config=config), "--replan")
    assert again == {"web_tracker": "unchanged"}, "Helm and drift leave the annotation"
    assert place.client.list("v1", "Pod", "web")[0]["metadata"]["uid"] == second["metadata"]["uid"]
    place.cli.run("destroy", "local", "-y")
    assert place.left() == set()


@pytest.mark.slow
def test_what_somebody_changed_in_the_cluster_is_drift_and_healed(place: Place) -> None:
    file = place.stack(("orchestrator", "kubernetes"))
    deploy(place, file)
    role = next(o for o in place.left() if o[0].startswith("roles."))
    place.client.delete(ObjectRef("rbac.authorization.k8s.io/v1", "Role", role[2], role[1] or ""))
    assert deploy(place, file, "--replan") == {"orchestrator_kubernetes_namespace_k3d": "applied"}
    assert role in place.left()
    place.cli.run("destroy", "local", "-y")
    assert place.left() == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_killed_at_any_moment_lose_nothing(place: Place) -> None:
    seed = int(os.environ.get("MLSTACKS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    file = place.stack()
    log = place.folder / "log"
    verbs = {"deploy": ("deploy", "-f", str(file)), "destroy": ("destroy", "local", "-y")}
    for number in range(6):
        verb = "deploy" if number % 2 == 0 else "destroy"
        run = place.cli.start(*verbs[verb], log=log)
        time.sleep(rng.uniform(2.0, 8.0))
        family = [psutil.Process(run.pid)] if run.poll() is None else []
        family += [p for parent in family for p in parent.children(recursive=True)]
        if family:
            victim = rng.choice(family)
            if victim.is_running():
                victim.send_signal(signal.SIGKILL)
        run.wait(200)
        place.cli.run(*verbs[verb], timeout=200)
        if verb == "destroy":
            assert place.left() == set(), f"seed {seed}"


@pytest.mark.slow
def test_a_release_that_is_not_ours_outlives_our_stack(place: Place, tmp_path: Path) -> None:
    flavors = write_flavor(tmp_path / "flavors")
    place.cli.env["MLSTACKS_CATALOG_PATH"] = str(flavors)
    file = place.stack(("experiment_tracker", "web"))
    theirs = ["install", "web", str(flavors / "web_tracker"), "-n", "web", "--create-namespace"]
    place.helm(*theirs)
    before = place.left()
    refused = place.cli.run("deploy", "-f", str(file), code=3)
    assert "web_tracker: the release web in the namespace web exists" in (
        f"{refused.stdout}{refused.stderr}"
    )
    assert place.left() == before, "neither Secrets nor a namespace were made"
    gone = place.cli.run("destroy", "local", "-y", "--json")
    assert results(gone.stdout) == {"web_tracker": "destroyed"}
    assert files_with(place.home / "dagster", "it stays"), "the run's log says so"
    assert place.left() == before


@pytest.mark.slow
def test_two_stacks_do_not_share_a_release(place: Place, tmp_path: Path) -> None:
    place.cli.env["MLSTACKS_CATALOG_PATH"] = str(write_flavor(tmp_path / "flavors"))
    web = (("experiment_tracker", "web"),)
    deploy(place, place.stack(*web))
    before = place.left()
    cluster = {"kubeconfig": "../kubeconfig"}
    other = write_stack(place.folder / "o", "other", web, provider="k3d", cluster=cluster)
    refused = place.cli.run("deploy", "-f", str(other), code=3)
    assert "belongs to another: mlstacks-" in f"{refused.stdout}{refused.stderr}"
    place.cli.run("destroy", "other", "-y")
    assert place.left() == before
    assert deploy(place, place.stack(*web), "--replan") == {"web_tracker": "unchanged"}
    place.cli.run("destroy", "local", "-y")
    assert place.left() == set()
