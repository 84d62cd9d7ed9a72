"""Releases that own the same definitions take turns on a cluster, whatever stack they are of."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.models import HelmRelease, Plan, PlannedUnit, UnitDefinition
from mlstacks_dagster.errors import StackBusyError
from mlstacks_dagster.lifecycle import api
from mlstacks_dagster.lifecycle.helm_session import HelmSession
from mlstacks_dagster.lifecycle.models import UnitJob
from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.spec.models import ClusterLocation, StackOptions
from tests.unit.lifecycle.world import World


def session(
    world: World, opened: ExitStack, kube: KubeEmulator, stack: str, *groups: str
) -> HelmSession:
    """Open a session on a release of ``stack`` in the cluster; it waits for nobody."""
    kubeconfig = world.folder / f"{stack}.kubeconfig"
    kube.kubeconfig(kubeconfig)
    definition = UnitDefinition(
        name="web",
        title="Web",
        description="Web.",
        provider="k3d",
        engine="helm",
        helm=HelmRelease(release="web", namespace="web", crd_groups=groups),
        path=Path("web"),
    )
    plan = Plan(
        stack=stack,
        provider="k3d",
        region="",
        units=(PlannedUnit(definition=definition, region=""),),
        options=StackOptions(cluster=ClusterLocation(kubeconfig=kubeconfig)),
    )
    settings = replace(world.settings, lock_timeout=0.1)
    ledger = opened.enter_context(world.ledger())
    record = api.register(plan, "cloud", ledger, settings)
    job = UnitJob(plan=plan, unit="web", run_id=stack)
    return HelmSession(job, record, settings, ledger, world.heard)


def test_two_stacks_take_turns_with_a_group_on_one_cluster(world: World) -> None:
    with KubeEmulator() as kube, KubeEmulator() as other_cluster, ExitStack() as opened:
        one = session(world, opened, kube, "one", "example.org", "one.org")
        two = session(world, opened, kube, "two", "example.org", "two.org")
        three = session(world, opened, kube, "three", "three.org")
        far = session(world, opened, other_cluster, "far", "example.org")
        with one._alone():
            with pytest.raises(StackBusyError, match="unit web, run one"), two._alone():
                pass
            assert "web: waiting for web" in world.heard.milestones
            with three._alone(), far._alone():
                pass
        with two._alone():
            pass
