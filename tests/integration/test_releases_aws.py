"""Charts on the emulated EKS: what its controllers make in the account goes with the stack."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.engines.kube_access import write_kubeconfig
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.lifecycle.cluster import access_of
from mlstacks_dagster.lifecycle.session import open_ledger
from tests.integration.account import Account
from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack

COMPONENTS = (
    ("artifact_store", "s3"),
    ("experiment_tracker", "mlflow"),
    ("mlops_platform", "zenml"),
)
OWN_SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "by-hand", "namespace": "default"},
    "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "x"}},
}


def balancers(account: Account) -> list[dict[str, str]]:
    """Return the tags of each load balancer in the account, of whatever kind."""
    elb = account.client("elbv2")
    found = []
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        arn = balancer["LoadBalancerArn"]
        described = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        found.append({tag["Key"]: tag["Value"] for tag in described})
    classic = account.client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    return found + [{"name": balancer["LoadBalancerName"]} for balancer in classic]


def volumes(account: Account) -> list[dict[str, str]]:
    """Return the tags of each volume in the account."""
    found = account.client("ec2").describe_volumes()["Volumes"]
    return [{tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])} for volume in found]


def cluster_client(sandbox: Sandbox, stack: str, folder: Path) -> KubeClient:
    """Return a client of the stack's cluster, with the sandbox's credentials."""
    lines = sandbox.cli.run("sandbox", "env").stdout.splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    environment = {name: shlex.split(value)[0] for name, value in pairs}
    with open_ledger(sandbox.settings) as ledger:
        record = ledger.live_stack(stack)
        assert record is not None
        units = {unit.unit: unit.outputs for unit in ledger.units(record.stack_id)}
        access = access_of(record.plan, lambda unit, name: units[unit].get(name))
    path = folder / "kubeconfig"
    return KubeClient(path, write_kubeconfig(access, path), environment)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_load_balancers_and_volumes_go_with_the_stack(sandbox: Sandbox, tmp_path: Path) -> None:
    empty = sandbox.account.everything()
    file = write_stack(sandbox.stacks / "s", "charts", COMPONENTS)
    sandbox.cli.run("deploy", "-f", str(file), "--sandbox", timeout=600)
    stack_id = json.loads(sandbox.cli.run("status", "charts", "--json").stdout)[0]["stack_id"]

    (balancer,) = balancers(sandbox.account)
    assert balancer["mlstacks-stack"] == stack_id
    assert balancer["elbv2.k8s.aws/cluster"] == f"ml-{stack_id}"
    assert volumes(sandbox.account)
    for volume in volumes(sandbox.account):
        assert volume["mlstacks-stack"] == stack_id
        assert volume[f"kubernetes.io/cluster/ml-{stack_id}"] == "owned"
    outputs = json.loads(sandbox.cli.run("output", "charts", "--json").stdout)
    assert outputs["ingress_traefik.endpoint"]

    for unit, needed_by in (
        ("cluster", "needed by"),
        ("aws_load_balancer_controller", "needed by ingress_traefik"),
        ("ebs_csi_driver_role", "needed by aws_ebs_csi_driver"),
    ):
        refused = sandbox.cli.run("destroy", "charts", "-y", "--only", unit, code=3)
        assert needed_by in f"{refused.stdout}{refused.stderr}"

    kube = cluster_client(sandbox, "charts", tmp_path)
    kube.apply(OWN_SERVICE)
    uid = kube.cluster_uid()
    assert len(balancers(sandbox.account)) == 2
    sandbox.cli.run("destroy", "charts", "-y", timeout=600)
    assert balancers(sandbox.account) == []
    assert volumes(sandbox.account) == []
    assert sandbox.account.everything() == empty
    with open_ledger(sandbox.settings) as ledger:
        manifests = {
            unit: (ledger.last_operation(stack_id, unit) or pytest.fail(unit)).summary["cluster"]
            for unit in ("cluster", "aws_load_balancer_controller", "aws_ebs_csi_driver")
        }
    assert {m["uid"] for m in manifests.values()} == {uid}
    assert {m["name"] for m in manifests.values()} == {f"ml-{stack_id}"}
    made = {unit: " ".join(m["made_by_controllers"]) for unit, m in manifests.items()}
    assert "loadbalancer" in made["aws_load_balancer_controller"]
