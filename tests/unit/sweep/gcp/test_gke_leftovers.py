"""The leftovers of two clusters whose names begin alike: whose is what, and deleting one's."""

from __future__ import annotations

import random

import pytest

from mlstacks_dagster.sweep.gcp import KINDS, GcpCloud
from mlstacks_dagster.sweep.inventory.model import Item
from tests.unit.sweep.gcp.conftest import MakeCloud
from tests.unit.sweep.gcp.fake_google import World
from tests.unit.sweep.gcp.scenario import (
    GLOBAL_ROOT,
    GONE,
    LINK,
    LIVE,
    NETWORK,
    REGIONAL,
    ZONAL,
    Leftovers,
    neighbours,
    run_cluster,
)


@pytest.fixture
def gone(world: World) -> Leftovers:
    neighbours(world)
    run_cluster(world, LIVE)
    return Leftovers(world, GONE)


@pytest.fixture
def live(world: World) -> Leftovers:
    return Leftovers(world, LIVE)


def of(cloud: GcpCloud, name: str) -> list[Item]:
    return [item for item in cloud.snapshot().items if name in item.clusters]


def delete_all(cloud: GcpCloud, items: list[Item]) -> int:
    """Delete with retries; return how many rounds it took."""
    rounds = 0
    while items:
        rounds += 1
        assert rounds < 10, [str(item.ref) for item in items]
        outcomes = [(item, cloud.delete(item)) for item in items]
        assert not [o for _, o in outcomes if o.status == "refused"]
        items = [item for item, outcome in outcomes if outcome.status == "retry"]
    return rounds


def in_order(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: KINDS[item.ref.type].rank)


def test_each_leftover_is_found_and_joined_to_its_own_cluster(
    gone: Leftovers, live: Leftovers, make_cloud: MakeCloud
) -> None:
    snapshot = make_cloud(GONE.fact(), LIVE.fact()).snapshot()
    owned = {name: {i.ref.id for i in snapshot.items if name in i.clusters}
             for name in (GONE.name, LIVE.name)}  # fmt: skip
    assert snapshot.unverified == ()
    assert owned[GONE.name] == gone.proven
    assert owned[LIVE.name] == live.proven


def test_cut_ids_and_lookalikes_are_hints_at_most(
    gone: Leftovers, live: Leftovers, make_cloud: MakeCloud
) -> None:
    items = {i.ref.id: i for i in make_cloud(GONE.fact(), LIVE.fact()).snapshot().items}
    cut = [items[name] for name in gone.hinted | live.hinted]
    assert [item.clusters for item in cut] == [(), ()]
    assert all("cut id" in item.facts["owner-hint"] for item in cut)
    named = {identity.rpartition("/")[2]: item for identity, item in items.items()}
    for name in ("elsewhere", "two-owners", "other-hash", f"k8s1-{GONE.uid8}-ml-lie-80-1"):
        assert named[name].clusters == ()
        assert named[name].facts["owner-hint"]
    assert named["theirs"].clusters != (GONE.name,)


def test_deleting_one_clusters_leftovers_in_order_leaves_exactly_the_rest(
    world: World, gone: Leftovers, live: Leftovers, make_cloud: MakeCloud
) -> None:
    before = set(world.objects)
    cloud = make_cloud(GONE.fact(), LIVE.fact())
    assert delete_all(cloud, in_order(of(cloud, GONE.name))) == 1
    left = {path for path in before if path.removeprefix("compute/v1/") not in gone.proven}
    assert set(world.objects) == left
    assert of(cloud, GONE.name) == []


def test_a_wrong_order_is_retried_until_all_is_gone(
    world: World, gone: Leftovers, make_cloud: MakeCloud
) -> None:
    cloud = make_cloud(GONE.fact(), LIVE.fact())
    items = in_order(of(cloud, GONE.name))[::-1]
    random.Random(4).shuffle(items)
    assert delete_all(cloud, items) > 1
    assert of(cloud, GONE.name) == []


def test_what_is_needed_as_proof_is_deleted_after_what_it_proves(
    gone: Leftovers, make_cloud: MakeCloud
) -> None:
    items = {i.ref.id: i for i in make_cloud(GONE.fact()).snapshot().items}
    name = GONE.balancer("web")
    rule = items[f"projects/ml-project/regions/us-central1/forwardingRules/{name}"]
    used = {ref.id.rpartition("/")[2] for ref in rule.uses}
    assert {f"k8s-fw-{name}", f"k8s-fw-{name}-deny", name} <= used


def test_without_recorded_ids_only_what_states_the_name_is_proven(
    gone: Leftovers, make_cloud: MakeCloud
) -> None:
    items = of(make_cloud(GONE.fact(uid="")), GONE.name)
    ids = {item.ref.id for item in items}
    assert ids < gone.proven | {"projects/ml-project/global/firewalls/other-hash"}
    assert any("/disks/" in one for one in ids)
    assert not any("/networkEndpointGroups/" in one for one in ids)


def test_paging_finds_the_same(world: World, gone: Leftovers, make_cloud: MakeCloud) -> None:
    cloud = make_cloud(GONE.fact(), LIVE.fact())
    whole = cloud.snapshot()
    world.page = 2
    paged = cloud.snapshot()
    assert paged.items == whole.items
    assert paged.calls > whole.calls


def test_reading_again_gives_the_same_items_and_none_for_the_gone(
    world: World, gone: Leftovers, make_cloud: MakeCloud
) -> None:
    cloud = make_cloud(GONE.fact(), LIVE.fact())
    items = of(cloud, GONE.name)
    extra = items[0].ref.model_copy(update={"id": items[0].ref.id + "-never"})
    world.requests.clear()
    again = cloud.read([*(item.ref for item in items), extra])
    assert again[extra] is None
    for item in items:
        found = again[item.ref]
        assert found is not None
        assert (found.fingerprint, found.clusters) == (item.fingerprint, item.clusters)
    assert len(world.requests) < len(items)


def test_a_group_manager_is_of_its_templates_cluster_and_holds_its_machines(
    world: World, make_cloud: MakeCloud
) -> None:
    labels = {"goog-k8s-cluster-name": GONE.name}
    template = f"{GLOBAL_ROOT}/instanceTemplates/t"
    manager, group = f"{ZONAL}/instanceGroupManagers/m", f"{ZONAL}/instanceGroups/m"
    world.add(template, properties={"labels": labels})
    world.add(manager, instanceTemplate=LINK + template, instanceGroup=LINK + group)
    world.add(group)
    made = [{"key": "created-by", "value": manager.removeprefix("compute/v1/")}]
    world.add(f"{ZONAL}/instances/vm", labels=labels, metadata={"items": made})
    items = {i.ref.type: i for i in make_cloud(GONE.fact()).snapshot().items}
    assert items["compute:instance-group-manager"].clusters == (GONE.name,)
    assert items["compute:instance"].used_by == (items["compute:instance-group-manager"].ref,)
    assert "compute:instance-group" not in items
    alone = make_cloud(GONE.fact()).snapshot(["compute:instance-group"])
    assert alone.items == ()


def test_what_comes_and_goes_with_a_network_is_implicit(
    world: World, make_cloud: MakeCloud
) -> None:
    world.add(NETWORK, autoCreateSubnetworks=True)
    world.add(f"{REGIONAL}/subnetworks/shared", network=LINK + NETWORK)
    routes = f"{GLOBAL_ROOT}/routes"
    world.add(f"{routes}/default-route-1", network=LINK + NETWORK)
    world.add(f"{routes}/peer", network=LINK + NETWORK, nextHopPeering="p")
    world.add(f"{routes}/own", network=LINK + NETWORK)
    items = make_cloud().snapshot().items
    implicit = {(i.ref.type, i.name) for i in items if i.facts.get("implicit") == "true"}
    assert implicit == {
        ("compute:subnetwork", "shared"),
        ("compute:route", "default-route-1"),
        ("compute:route", "peer"),
    }


def test_a_shared_vpc_of_another_project_is_no_container(
    world: World, make_cloud: MakeCloud
) -> None:
    host = LINK + "compute/v1/projects/host/global/networks/n"
    world.add(f"{GLOBAL_ROOT}/firewalls/f", network=host)
    (rule,) = make_cloud().snapshot().items
    assert rule.inside == ()
