"""Credentials of another account: everything would seem to be gone."""

from __future__ import annotations

import pytest

from mlstacks_dagster.errors import MlstacksError, RefusedError
from tests.unit.lifecycle.world import World

OTHER = "999988887777"


def test_the_account_of_a_deploy_is_recorded(world: World) -> None:
    world.deploy("network")
    assert world.record("network").account == world.cloud.account


@pytest.mark.parametrize("verb", ["deploy", "destroy", "drift"])
def test_with_credentials_of_another_account_nothing_is_done(world: World, verb: str) -> None:
    world.deploy("network")
    was, world.cloud.account = world.cloud.account, OTHER
    world.calls()
    world.set("network", size="large")
    with pytest.raises(RefusedError) as caught:
        getattr(world, verb)("network")
    assert str(was) in caught.value.message
    assert OTHER in caught.value.message
    assert not world.calls()
    assert world.record("network").status == "applied"


def test_after_a_destroy_it_may_go_elsewhere(world: World) -> None:
    world.deploy("network", "cluster")
    world.destroy("cluster")
    world.cloud.account = OTHER
    with pytest.raises(RefusedError, match="network"):
        world.destroy("network")
    world.deploy("cluster")
    assert world.record("cluster").account == OTHER


def test_what_was_deployed_before_accounts_were_recorded_is_not_checked(world: World) -> None:
    world.cloud.account = None
    world.deploy("network")
    assert world.record("network").account is None
    world.cloud.account = OTHER
    world.destroy("network")


def test_without_credentials_a_unit_of_a_known_account_is_left_alone(world: World) -> None:
    world.deploy("network")
    world.cloud.account = None
    world.set("network", size="large")
    for verb in (world.deploy, world.destroy):
        with pytest.raises(MlstacksError, match="whose credentials"):
            verb("network")
    assert world.record("network").status == "applied"
