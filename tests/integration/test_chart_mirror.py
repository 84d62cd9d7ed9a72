"""A stack is deployed from the charts in MLSTACKS_CHART_MIRROR, packed or unpacked.

The chart there is a stand-in with one object more, by which it is known; the Kubernetes API is
emulated.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.sandbox.standins import build_mirror, published_charts
from tests.integration.stacks import Cli, write_stack

CHART = "tekton-operator"
MARK = "from-the-mirror"


def _mirror(folder: Path, helm: Path, *, packed: bool) -> Path:
    """Make a mirror that holds one chart, as a folder or as an archive only."""
    [reference] = [chart for chart in published_charts() if chart.name == CHART]
    build_mirror(folder, [reference])
    marked = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MARK}}
    (folder / CHART / "templates" / "mark.yaml").write_text(json.dumps(marked))
    if packed:
        argv = [str(helm), "package", str(folder / CHART), "--destination", str(folder)]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        shutil.rmtree(folder / CHART)
        assert [p.name for p in folder.iterdir()] == [f"{CHART}-{reference.version}.tgz"]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_a_stack_is_deployed_and_destroyed_from_a_mirror_of_stand_ins(
    packed: bool, tmp_path: Path, helm: Path
) -> None:
    mirror = _mirror(tmp_path / "mirror", helm, packed=packed)
    folder = tmp_path / "stacks"
    folder.mkdir()
    cli = Cli(tmp_path / "home", folder, helm)
    with KubeEmulator() as kube:
        before = {o for o in kube.everything() if not o[0].startswith("events")}
        kube.kubeconfig(folder / "kubeconfig")
        file = write_stack(
            folder / "s",
            "local",
            [("orchestrator", "tekton")],
            provider="k3d",
            cluster={"kubeconfig": "../kubeconfig"},
        )
        settings = {"MLSTACKS_CHART_MIRROR": str(mirror)}
        said = cli.run("deploy", "-f", str(file), "--json", **settings).stdout
        results = {name: unit["outcome"] for name, unit in json.loads(said)["units"].items()}
        assert results["tekton_operator"] == results["tekton_config_k3d"] == "applied"
        assert MARK in {o["metadata"]["name"] for o in kube.objects("configmaps")}
        cli.run("destroy", "local", "-y", **settings)
        after = {o for o in kube.everything() if not o[0].startswith("events")}
        assert after == before
