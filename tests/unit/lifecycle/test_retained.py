"""`data: retain`: what holds data stays, what is empty goes; and the marks say so."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from mlstacks_dagster.catalog.models import Teardown
from mlstacks_dagster.engines.helm import HelmRequest
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.kube_objects import ObjectRef
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.lifecycle import kube_setup
from mlstacks_dagster.lifecycle.destroy import destroy
from mlstacks_dagster.lifecycle.helm_session import HelmSession
from mlstacks_dagster.lifecycle.inputs import tags_and_marks, variables
from mlstacks_dagster.lifecycle.kube_session import Cluster
from mlstacks_dagster.lifecycle.retained import claimed_volumes
from mlstacks_dagster.sandbox.kube import KubeEmulator
from mlstacks_dagster.spec.models import StackOptions
from tests.unit.lifecycle.test_helm_session import Engine, begin, session
from tests.unit.lifecycle.test_recover import BUCKET
from tests.unit.lifecycle.world import World

RETAIN = StackOptions(data="retain")
SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_a_bucket_with_data_is_refused_and_an_empty_one_goes(world: World) -> None:
    world.options = RETAIN
    world.deploy("network", "bucket")
    world.cloud.things[BUCKET].contents = ["a"]
    world.calls()
    with pytest.raises(RefusedError, match="holds some: aws_s3_bucket my-data") as refused:
        world.destroy("bucket")
    assert "data: delete" in (refused.value.remedy or "")
    assert (world.cloud.emptied, world.calls()) == ([], [])
    assert world.record("bucket").status == "applied", "nothing was begun"
    world.cloud.things[BUCKET].contents = []
    assert world.destroy("bucket").action == "destroyed"


def test_what_comes_after_the_first_look_is_kept_too(world: World) -> None:
    world.options = RETAIN
    world.deploy("network", "bucket")

    def written(_: str) -> None:
        world.cloud.things[BUCKET].contents = ["a"]

    world.engine.before = written
    with pytest.raises(RefusedError, match="aws_s3_bucket my-data"):
        world.destroy("bucket")
    assert world.cloud.emptied == []
    assert BUCKET in world.cloud.things


def test_a_bucket_that_can_not_be_looked_into_stays(world: World) -> None:
    world.options = RETAIN
    world.deploy("network", "bucket")
    world.cloud.denied = True
    with pytest.raises(Exception, match="looking into bucket my-data"):
        world.destroy("bucket")
    assert BUCKET in world.cloud.things


@pytest.mark.parametrize("first", ["retain", "delete"])
def test_the_last_deploy_and_the_file_must_both_give_the_data_up(world: World, first: Any) -> None:
    words = ["retain", "delete"]
    world.options = StackOptions(data=first)
    world.deploy("network", "bucket")
    world.cloud.things[BUCKET].contents = ["a"]
    words.remove(first)
    world.options = StackOptions(data=words[0])  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        world.destroy("bucket")
    world.options = StackOptions(data="delete")
    world.deploy("network", "bucket")
    world.cloud.things[BUCKET].contents = ["a"]
    assert world.destroy("bucket").action == "destroyed"
    assert world.cloud.emptied == ["my-data"]


def test_the_marks_and_the_module_say_what_becomes_of_the_data(world: World) -> None:
    world.deploy("network", "bucket")
    module = world.module / "main.tf"
    module.write_text(module.read_text() + 'variable "delete_data" {}\n')
    for word, mark in (("delete", "delete"), ("retain", "retain")):
        world.options = StackOptions(data=word)  # type: ignore[arg-type]
        world.deploy("network", "bucket")
        stack, bucket = world.stack(), world.plan().unit("bucket")
        assert tags_and_marks(bucket, stack, "me")[1]["mlstacks-data"] == mark
        values = variables(bucket, stack, "me", lambda *_: None)
        assert values["delete_data"] is (word == "delete")
        assert (
            tags_and_marks(world.plan().unit("network"), stack, "me")[1]["mlstacks-data"] == "none"
        ), "a network holds no data, and is swept"


def claim(kube: KubeClient, name: str, namespace: str, policy: str = "Delete") -> None:
    """Make a claim with its volume."""
    about = {"name": name, "namespace": namespace}
    kind = "PersistentVolumeClaim"
    kube.apply({"apiVersion": "v1", "kind": kind, "metadata": about, "spec": SPEC})
    ref = {"apiVersion": "v1", "kind": kind, **about}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "claimRef": ref,
        "persistentVolumeReclaimPolicy": policy,
        "csi": {"driver": "x", "volumeHandle": name},
    }
    metadata = {"name": f"pv-{namespace}-{name}"}
    kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})


class Claims(Engine):
    """An engine whose release has claims."""

    def __init__(self, *claims: ObjectRef) -> None:
        super().__init__(foreign=False)
        self.of_release = claims

    def claims(self, _request: HelmRequest) -> tuple[ObjectRef, ...]:
        return self.of_release


def retaining(one: HelmSession, **teardown: Any) -> HelmSession:
    """Let the session's stack keep its data; its unit drains what ``teardown`` says."""
    options = one.plan.options.model_copy(update={"data": "retain"})
    [unit] = one.plan.units
    definition = unit.definition.model_copy(update={"teardown": Teardown(**teardown)})
    changed = unit.model_copy(update={"definition": definition})
    plan = one.plan.model_copy(update={"options": options, "units": (changed,)})
    one.job = one.job.model_copy(update={"plan": plan})
    return one


def deployed(one: HelmSession) -> None:
    one.ledger.finish(begin(one).id, "ok", summary={}, outputs={}, resources=())


def test_a_release_with_claimed_volumes_is_refused_before_anything_is_done(world: World) -> None:
    with KubeEmulator() as kube, ExitStack() as opened:
        one = retaining(session(world, opened, kube, "one"))
        mine = ObjectRef("v1", "PersistentVolumeClaim", "mine", "default")
        one.__dict__["engine"] = engine = Claims(mine)
        client = one.cluster.kube
        deployed(one)
        claim(client, "theirs", "default")
        assert one.data_held() == ()
        claim(client, "mine", "default")
        kube_setup.make_namespace(client, "web", one.marks)
        claim(client, "also", "web")
        with pytest.raises(RefusedError) as refused:
            destroy(one)
        assert refused.value.exit_code == 3
        assert "volume claim default/mine, volume claim web/also" in str(refused.value)
        assert "theirs" not in str(refused.value)
        assert engine.calls == []


def test_draining_volumes_is_refused_and_a_volume_that_outlives_its_claim_is_no_reason(
    world: World,
) -> None:
    with KubeEmulator() as kube, ExitStack() as opened:
        one = retaining(session(world, opened, kube, "one"), drain=("volumes",))
        client = one.cluster.kube
        claim(client, "kept", "default", "Retain")
        assert claimed_volumes(client) == ()
        claim(client, "data", "default")
        with pytest.raises(RefusedError, match="volume claim default/data"):
            Cluster(one).drain(begin(one))
        assert client.get(ObjectRef("v1", "PersistentVolumeClaim", "data", "default"))
