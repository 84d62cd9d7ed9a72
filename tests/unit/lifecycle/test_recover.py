"""Taking back what an interrupted run made; keeping off what is somebody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlstacks_dagster.errors import MlstacksError, NotOwnedError
from tests.unit.lifecycle.world import World, applied

BUCKET = ("aws_s3_bucket", "my-data")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def kill_deploy(world: World, unit: str, after: str) -> None:
    world.engine.killed_after = after
    with pytest.raises(KeyboardInterrupt):
        world.deploy(unit)
    world.engine.killed_after = None
    world.calls()


def noted(world: World, unit: str) -> dict[str, bool]:
    with world.ledger() as ledger:
        last = ledger.last_operation(world.stack().stack_id, unit)
    assert last is not None
    return {item.address: item.absent_before for item in last.planned}


def test_a_first_deploy_does_not_look_for_names_that_hold_the_stack_id(world: World) -> None:
    world.deploy("network")
    assert world.cloud.calls == []
    assert noted(world, "network") == {"aws_ecr_repository.one": True}


def test_a_first_deploy_looks_for_a_name_that_the_user_chose(world: World) -> None:
    world.deploy("bucket")
    assert world.cloud.calls == ["aws_s3_bucket my-data"]
    assert noted(world, "bucket") == {"aws_s3_bucket.this": True}


@pytest.mark.parametrize(
    "tags", [{}, {"owner": "them"}, {"mlstacks-stack": "sother", "mlstacks-component": "bucket"}]
)
def test_a_name_that_is_taken_is_refused_and_nothing_is_applied(
    world: World, tags: dict[str, str]
) -> None:
    world.cloud.put(*BUCKET, tags)
    for _ in range(2):
        with pytest.raises(NotOwnedError, match="'my-data' exists already and isn't demo's"):
            world.deploy("bucket")
    assert applied(world.calls()) == []
    assert world.cloud.things[BUCKET].tags == tags
    assert noted(world, "bucket") == {"aws_s3_bucket.this": False}


def test_a_denied_look_is_an_error_and_nothing_is_applied(world: World) -> None:
    world.cloud.denied = True
    with pytest.raises(MlstacksError):
        world.deploy("bucket")
    assert applied(world.calls()) == []


def test_what_a_killed_run_made_is_taken_back(world: World) -> None:
    world.deploy("network")
    kill_deploy(world, "cluster", "aws_eks_cluster.this")
    assert world.record("cluster").status == "failed"
    done = world.deploy("cluster")
    assert done.recovered == ("aws_eks_cluster.this",)
    assert (done.action, done.add) == ("applied", 1)
    assert {r.address for r in done.resources} == {
        "aws_eks_cluster.this",
        "aws_eks_node_group.main",
    }
    assert any("taking back aws_eks_cluster.this" in text for text in world.heard.milestones)


def test_parents_are_taken_back_before_their_parts_in_several_passes(world: World) -> None:
    world.deploy("network", "cluster")
    world.state_file("cluster").unlink()
    world.calls()
    done = world.deploy("cluster")
    assert done.recovered == ("aws_eks_cluster.this", "aws_eks_node_group.main")
    assert (done.add, len(done.resources)) == (0, 2)
    assert [c for c in world.calls() if c.startswith("plan")] == ["plan cluster"] * 3


def test_taking_back_ends_when_it_does_not_help(world: World) -> None:
    world.deploy("network")
    kill_deploy(world, "cluster", "aws_eks_cluster.this")
    world.engine.forgets_imports = True
    with pytest.raises(MlstacksError, match="the plan still creates some that exist"):
        world.deploy("cluster")
    calls = world.calls()
    assert len([c for c in calls if c.startswith("plan")]) < 12
    assert applied(calls) == []


def test_a_resource_that_was_absent_and_has_no_mark_yet_is_ours(world: World) -> None:
    kill_deploy(world, "bucket", "aws_s3_bucket.this")
    world.cloud.things[BUCKET].tags = {}
    assert world.deploy("bucket").recovered == ("aws_s3_bucket.this",)


def test_an_unmarked_resource_that_is_older_than_our_beginning_is_not_ours(world: World) -> None:
    kill_deploy(world, "bucket", "aws_s3_bucket.this")
    world.cloud.things[BUCKET].tags = {}
    world.cloud.things[BUCKET].created = LONG_AGO
    with pytest.raises(NotOwnedError):
        world.deploy("bucket")


def test_a_resource_that_another_component_of_the_stack_made_is_not_ours(world: World) -> None:
    kill_deploy(world, "bucket", "aws_s3_bucket.this")
    world.cloud.things[BUCKET].tags["mlstacks-component"] = "cluster"
    with pytest.raises(NotOwnedError):
        world.deploy("bucket")


def test_what_is_still_being_made_is_awaited(world: World) -> None:
    world.deploy("network")
    kill_deploy(world, "cluster", "aws_eks_cluster.this")
    (thing,) = (t for (kind, _), t in world.cloud.things.items() if kind == "aws_eks_cluster")
    thing.status = "CREATING"
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        thing.status = "ACTIVE"

    world.tools = replace(world.tools, sleep=sleep)
    assert world.deploy("cluster").recovered == ("aws_eks_cluster.this",)
    assert len(slept) == 1
    assert any("waiting for aws_eks_cluster.this" in text for text in world.heard.milestones)


def test_after_a_clean_deploy_a_new_resource_is_looked_for_by_its_name(world: World) -> None:
    world.deploy("bucket")
    world.cloud.put("aws_s3_bucket", "their-data", {"owner": "them"})
    world.set("bucket", bucket_name="their-data")
    world.state_file("bucket").write_text("{}")
    with pytest.raises(NotOwnedError, match="'their-data'"):
        world.deploy("bucket")
