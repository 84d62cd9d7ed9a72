"""A Helm unit's session: turns on a cluster, and what a teardown leaves that isn't ours."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.models import HelmRelease, Plan, PlannedUnit, Teardown, UnitDefinition
from mlstacks_dagster.engines.helm import HelmRequest, Uninstalled
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.errors import CommandError, NotOwnedError, StackBusyError
from mlstacks_dagster.ledger.records import Operation, PlannedItem
from mlstacks_dagster.lifecycle import api
from mlstacks_dagster.lifecycle.deploy import deploy
from mlstacks_dagster.lifecycle.helm_session import HelmSession
from mlstacks_dagster.lifecycle.helm_values import record_labels
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
        teardown=Teardown(drain=("load_balancers",)),
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


class Engine:
    """An engine that finds somebody else's release, or none."""

    def __init__(self, *, foreign: bool) -> None:
        self.foreign = foreign
        self.calls: list[str] = []

    def check_owner(self, _request: HelmRequest) -> None:
        if self.foreign:
            raise NotOwnedError("web: the release web exists and isn't ours")

    def history(self, _request: HelmRequest) -> tuple[()]:
        return ()

    def uninstall(self, _request: HelmRequest, on_event: object) -> Uninstalled:
        self.calls.append("uninstall")
        return Uninstalled(found=False)

    def delete_leftovers(self, _request: HelmRequest, on_event: object) -> None:
        self.calls.append("delete leftovers")


BALANCER = ObjectRef("v1", "Service", "theirs", "default")


@pytest.mark.parametrize(("foreign", "begun"), [(True, False), (True, True), (False, False)])
def test_a_teardown_of_what_never_was_ours_drains_nothing(
    world: World, foreign: bool, begun: bool
) -> None:
    with KubeEmulator() as kube, ExitStack() as opened:
        one = session(world, opened, kube, "one")
        one.__dict__["engine"] = engine = Engine(foreign=foreign)
        client = one.cluster.kube
        client.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "theirs", "namespace": "default"},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
            }
        )
        operation = begin(one)
        if begun:
            one.ledger.planned(operation.id, [PlannedItem("Release/web/web", "helm", True)])
            with pytest.raises(NotOwnedError, match="isn't ours"):
                one.remove_unit(operation, unclean=True)
        else:
            assert one.remove_unit(operation, unclean=True) == ()
        assert client.get(BALANCER) is not None
        assert ("uninstall" in engine.calls) is not foreign
        said = "web: the release web exists and isn't ours; it stays"
        assert (said in world.heard.milestones) is (foreign and not begun)


def test_a_unit_that_was_begun_is_drained(world: World) -> None:
    with KubeEmulator() as kube, ExitStack() as opened:
        one = session(world, opened, kube, "one")
        one.__dict__["engine"] = Engine(foreign=False)
        client = one.cluster.kube
        service = {"apiVersion": "v1", "kind": "Service"}
        about = {"name": "theirs", "namespace": "default"}
        ports = {"type": "LoadBalancer", "ports": [{"port": 80}]}
        client.apply({**service, "metadata": about, "spec": ports})
        operation = begin(one)
        one.ledger.planned(operation.id, [PlannedItem("Release/web/web", "helm", True)])
        one.remove_unit(operation, unclean=True)
        assert client.get(BALANCER) is None


class Failing(Engine):
    """An engine whose deploy fails."""

    def deploy(self, _request: HelmRequest, on_event: object) -> None:
        raise CommandError("web: no")


@pytest.mark.parametrize("theirs", [False, True])
def test_a_deploy_writes_down_who_the_stacks_own_cluster_is(world: World, theirs: bool) -> None:
    """Its controllers write nothing else into what they make, and a console can destroy it."""
    with KubeEmulator() as kube, ExitStack() as opened:
        one = session(world, opened, kube, "one")
        name = f"ml-{one.stack.stack_id}"
        one.cluster.__dict__["access"] = one.cluster.access.model_copy(update={"name": name})
        if not theirs:
            options = one.plan.options.model_copy(update={"cluster": None})
            one.job = one.job.model_copy(
                update={"plan": one.plan.model_copy(update={"options": options})}
            )
        one.__dict__["engine"] = Failing(foreign=False)
        client = one.cluster.kube
        about = {"name": "ingress-uid", "namespace": "kube-system"}
        kind = {"apiVersion": "v1", "kind": "ConfigMap"}
        client.apply({**kind, "metadata": about, "data": {"uid": "0123456789abcdef"}})
        with pytest.raises(CommandError):
            deploy(one)
        notes = one.ledger.sweeps.facts().notes
        assert len(notes) == (0 if theirs else 1), "another's cluster is none of our business"
        for stack_id, note in notes:
            assert (stack_id, note["name"]) == (one.stack.stack_id, name)
            assert note["uid"] == client.cluster_uid() != ""
            assert note["ingress_uid"] == "0123456789abcdef"


def begin(one: HelmSession) -> Operation:
    return one.ledger.begin(
        one.stack.stack_id, "web", engine="helm", kind="deploy", run_id="r", input_hash=""
    )


def test_the_labels_of_a_record_are_legal_and_stay_the_same_for_life() -> None:
    marks = {
        "mlstacks-install": "me",
        "mlstacks-stack": "sabc",
        "mlstacks-component": "web_",
        "mlstacks-expires": "123",
    }
    assert record_labels(marks) == {
        "mlstacks-install": "me",
        "mlstacks-stack": "sabc",
        "mlstacks-component": "web",
    }
