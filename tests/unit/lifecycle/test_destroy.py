"""Destroying one unit: brakes, recovery, emptying, proof."""

from __future__ import annotations

import pytest

from mlstacks_dagster.errors import CommandError, MlstacksError, NotOwnedError, RefusedError
from mlstacks_dagster.lifecycle.export import export_path
from mlstacks_dagster.spec.models import StackOptions
from tests.unit.lifecycle.test_deploy import failing
from tests.unit.lifecycle.test_recover import BUCKET, LONG_AGO, kill_deploy
from tests.unit.lifecycle.world import World, applied


def test_a_destroyed_unit_is_gone_and_says_what_it_had(world: World) -> None:
    world.deploy("network", "bucket")
    done = world.destroy("bucket")
    assert (done.action, done.destroyed, done.stack_closed) == ("destroyed", 1, False)
    assert [r.id for r in done.resources] == ["my-data"]
    assert BUCKET not in world.cloud.things
    record = world.record("bucket")
    assert (record.status, record.resource_count, dict(record.outputs)) == ("destroyed", 0, {})


def test_the_last_unit_closes_the_stack_and_the_name_is_free(world: World) -> None:
    world.deploy("network", "bucket")
    first = world.stack().stack_id
    assert not world.destroy("bucket").stack_closed
    assert world.destroy("network").stack_closed
    with world.ledger() as ledger:
        assert ledger.live_stack("demo") is None
    world.deploy("network")
    assert world.stack().stack_id != first


def test_the_folders_go_with_the_unit_and_with_the_stack(world: World) -> None:
    world.deploy("network", "bucket")
    stack_id = world.stack().stack_id
    home = world.settings.home
    world.destroy("bucket")
    assert not world.settings.work_dir(stack_id, "bucket").exists()
    assert not world.settings.state_dir(stack_id, "bucket").exists()
    assert world.settings.state_dir(stack_id, "network").exists()
    world.destroy("network")
    assert not (home / "work" / stack_id).exists()
    assert not (home / "state" / stack_id).exists()


def test_destroying_what_was_never_deployed_does_nothing(world: World) -> None:
    done = world.destroy("network")
    assert (done.action, done.stack_id) == ("never_deployed", None)
    world.deploy("network")
    world.calls()
    done = world.destroy("bucket")
    assert (done.action, done.stack_id) == ("never_deployed", world.stack().stack_id)
    assert world.calls() == []


def test_destroying_twice_does_nothing_the_second_time(world: World) -> None:
    world.deploy("network", "bucket")
    world.destroy("bucket")
    world.calls()
    assert world.destroy("bucket").action == "never_deployed"
    assert world.calls() == []


def test_a_protected_stack_is_refused_until_a_deploy_says_otherwise(world: World) -> None:
    world.options = StackOptions(protect=True)
    world.deploy("network")
    world.options = StackOptions()
    with pytest.raises(RefusedError, match="stack demo is protected"):
        world.destroy("network")
    assert world.record("network").status == "applied"
    world.deploy("network")
    assert world.destroy("network").action == "destroyed"


def test_a_unit_that_another_needs_is_refused(world: World) -> None:
    world.deploy("network", "cluster")
    world.calls()
    with pytest.raises(RefusedError, match="network is still needed by cluster, which is applied"):
        world.destroy("network")
    assert world.calls() == []
    assert world.destroy("cluster", "network").stack_closed


def test_a_unit_whose_dependent_failed_to_go_is_refused(world: World) -> None:
    world.deploy("network", "cluster")
    world.engine.before = failing("apply", CommandError("not now"))
    with pytest.raises(CommandError):
        world.destroy("cluster")
    world.engine.before = lambda _: None
    with pytest.raises(RefusedError, match="which is failed"):
        world.destroy("network")


def test_a_unit_that_another_only_comes_after_can_go(world: World) -> None:
    world.deploy("network", "cluster", "bucket")
    assert world.destroy("cluster").action == "destroyed"


def test_after_an_interrupted_deploy_what_it_made_is_destroyed_too(world: World) -> None:
    world.deploy("network")
    kill_deploy(world, "cluster", "aws_eks_cluster.this")
    done = world.destroy("cluster")
    assert done.destroyed == 1
    assert world.engine.imported == ["aws_eks_cluster.this"]
    assert world.cloud.names() == {f"ml-{world.stack().stack_id}/net"}


def test_with_the_state_file_gone_what_exists_is_taken_back_and_destroyed(world: World) -> None:
    world.deploy("network", "cluster")
    world.state_file("cluster").unlink()
    done = world.destroy("cluster")
    assert done.destroyed == 2
    assert world.cloud.names() == {f"ml-{world.stack().stack_id}/net"}


def test_a_clean_unit_is_not_looked_for(world: World) -> None:
    world.deploy("network")
    world.calls()
    world.destroy("network")
    assert world.cloud.calls == []
    assert "plan network" not in world.calls()


def test_a_resource_that_stays_in_the_state_is_an_error_and_the_unit_stays(world: World) -> None:
    world.deploy("network", "bucket")
    world.engine.keeps_on_destroy = True
    with pytest.raises(MlstacksError, match="still in the state after destroy: aws_s3_bucket"):
        world.destroy("bucket")
    assert world.record("bucket").status == "failed"
    assert world.last_outcome("bucket") == "failed"
    assert world.state_file("bucket").exists()
    world.engine.keeps_on_destroy = False
    assert world.destroy("bucket").action == "destroyed"


def test_only_what_the_unit_asks_for_is_emptied(world: World) -> None:
    world.deploy("network", "bucket")
    world.cloud.things[BUCKET].contents = ["a", "b"]
    foreign = world.cloud.put("aws_s3_bucket", "theirs")
    foreign.contents = ["c"]
    (repository,) = (t for (k, _), t in world.cloud.things.items() if k == "aws_ecr_repository")
    repository.contents = ["sha256:1"]
    world.destroy("bucket")
    assert world.cloud.emptied == ["my-data"]
    assert (foreign.contents, repository.contents) == (["c"], ["sha256:1"])
    assert "emptying my-data: 2 items deleted" in world.heard.lines


def test_a_bucket_that_lost_its_marks_is_not_emptied(world: World) -> None:
    world.deploy("bucket")
    thing = world.cloud.things[BUCKET]
    thing.tags, thing.contents = {"owner": "them"}, ["a"]
    with pytest.raises(NotOwnedError, match="was not emptied"):
        world.destroy("bucket")
    assert thing.contents == ["a"]
    assert BUCKET in world.cloud.things


def test_an_interrupt_closes_the_operation_as_interrupted(world: World) -> None:
    world.deploy("network")
    world.engine.before = failing("apply", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.destroy("network")
    assert world.last_outcome("network") == "interrupted"
    world.engine.before = lambda _: None
    assert world.destroy("network").action == "destroyed"


def test_a_unit_whose_deploy_was_refused_for_a_taken_name_can_be_destroyed(world: World) -> None:
    world.cloud.put(*BUCKET, {"owner": "them"})
    with pytest.raises(NotOwnedError):
        world.deploy("bucket")
    done = world.destroy("bucket")
    assert (done.action, done.destroyed, done.stack_closed) == ("destroyed", 0, True)
    assert world.cloud.things[BUCKET].tags == {"owner": "them"}
    assert any("it is left alone" in text for text in world.heard.milestones)


def test_what_may_be_ours_stops_the_destroy(world: World) -> None:
    kill_deploy(world, "bucket", "aws_s3_bucket.this")
    world.cloud.things[BUCKET].tags = {}
    world.cloud.things[BUCKET].created = LONG_AGO
    for _ in range(2):
        with pytest.raises(NotOwnedError):
            world.destroy("bucket")
    assert BUCKET in world.cloud.things
    assert world.record("bucket").status == "failed"


def test_a_destroy_does_not_say_that_it_will_create(world: World) -> None:
    world.deploy("network")
    kill_deploy(world, "cluster", "aws_eks_cluster.this")
    world.engine.before = failing("plan -destroy", CommandError("no"))
    with pytest.raises(CommandError):
        world.destroy("cluster")
    with world.ledger() as ledger:
        last = ledger.last_operation(world.stack().stack_id, "cluster")
    assert last is not None
    assert (last.kind, last.planned) == ("destroy", ())


def test_the_zenml_file_follows_what_is_deployed(world: World) -> None:
    path = export_path(world.settings, "demo")
    world.deploy("network", "bucket")
    assert "s3://my-data" in path.read_text()
    world.destroy("bucket")
    assert "s3://my-data" not in path.read_text()
    world.destroy("network")
    assert not path.exists()


def test_an_emptied_folder_of_work_is_no_obstacle(world: World) -> None:
    world.deploy("network")
    work = world.settings.work_dir(world.stack().stack_id, "network")
    for path in sorted(work.rglob("*"), reverse=True):
        path.unlink()
    work.rmdir()
    assert world.destroy("network").action == "destroyed"
    assert applied(world.calls())[-1] == "network"
