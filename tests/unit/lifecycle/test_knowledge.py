"""What the ledger knows, in the words of the decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlstacks_dagster.ledger import ResourceItem
from mlstacks_dagster.ledger.sweep_book import LedgerFacts
from mlstacks_dagster.lifecycle.knowledge import cluster_facts, gather, regions_of
from mlstacks_dagster.sweep.gcp.joins import known_clusters, owner_of
from mlstacks_dagster.sweep.gcp.names import claims_of, uid8
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.ledger.helpers import begin, make_plan, make_unit
from tests.unit.lifecycle.sweep_world import SweepWorld, sweep_world
from tests.unit.lifecycle.world import World

EKS = "aws_eks_cluster"
GKE = "google_container_cluster"


@pytest.fixture
def sweeps(world: World) -> Iterator[SweepWorld]:
    with sweep_world(world.settings) as made:
        yield made


def clusters(sweeps: SweepWorld, account: str = "111") -> dict[str, tuple[ClusterFact, ...]]:
    stacks = sweeps.ledger.stacks(include_destroyed=True)
    return cluster_facts(stacks, sweeps.ledger.sweeps.facts(), account)


def eks(name: str, region: str = "r1", account: str = "111") -> ResourceItem:
    arn = f"arn:aws:eks:{region}:{account}:cluster/{name}"
    return ResourceItem(f"{EKS}.this", EKS, name, arn)


def test_live_and_destroyed_stacks_are_known_with_their_brakes(sweeps: SweepWorld) -> None:
    tombstone = sweeps.destroyed()
    sweeps.clock.sleep(10)
    plan = make_plan("kept", "network", region="r1", options={"protect": True})
    live = sweeps.deployed(plan=plan)
    begin(sweeps.ledger, live, kind="drift")
    known = gather(sweeps.ledger, "aws", "111")
    assert known.install == sweeps.ledger.installation().install_id
    assert set(known.stacks) == {tombstone, live}
    old, new = known.stacks[tombstone], known.stacks[live]
    assert (old.live, old.destroyed_at) == (False, sweeps.clock() - 10)
    assert (new.live, new.protect, new.busy, new.destroyed_at) == (True, True, True, None)
    assert (old.name, old.protect, old.busy) == ("demo", False, False)


def test_what_states_hold_and_when_things_were_seen_is_known(sweeps: SweepWorld) -> None:
    sweeps.deployed(ResourceItem("aws_s3_bucket.a", "aws_s3_bucket", "data", "arn:aws:s3:::data"))
    sweeps.ledger.sweeps.saw("aws", "111", [("iam:role", "global", "a|b")], [])
    sweeps.ledger.sweeps.saw("aws", "222", [("iam:role", "global", "other")], [])
    known = gather(sweeps.ledger, "aws", "111")
    assert known.held == {"data", "arn:aws:s3:::data"}
    assert known.first_seen == {"iam:role|global|a|b": (sweeps.clock(), 1)}
    assert known.clusters == {}


def test_a_cluster_is_where_its_state_says(sweeps: SweepWorld) -> None:
    stack_id = sweeps.deployed(eks("own-name", "r9", "999"))
    assert ClusterFact(account="999", region="r9", name="own-name") in clusters(sweeps)[stack_id]


def test_a_cluster_that_no_state_knows_is_expected_in_each_region(sweeps: SweepWorld) -> None:
    plan = make_plan("demo", "network", region="r1")
    away = make_unit("cluster", region="r2")
    stack_id = sweeps.destroyed(plan=plan.model_copy(update={"units": (*plan.units, away)}))
    name = f"ml-{stack_id}"
    assert clusters(sweeps) == {
        stack_id: tuple(ClusterFact(account="111", region=r, name=name) for r in ("r1", "r2"))
    }


def test_a_cluster_that_is_known_twice_is_one(sweeps: SweepWorld) -> None:
    stack_id = sweeps.deployed()
    operation = begin(sweeps.ledger, stack_id)
    sweeps.ledger.finish(operation.id, "ok", summary={}, resources=[eks(f"ml-{stack_id}")])
    assert len(clusters(sweeps)[stack_id]) == 1


def test_what_a_destroy_wrote_down_of_a_cluster_goes_with_it(sweeps: SweepWorld) -> None:
    stack_id = sweeps.deployed(eks("own-name"))
    note = {"name": "own-name", "uid": "u", "ingress_uid": "i", "gke_id": None}
    sweeps.destroy(stack_id, {"cluster": note})
    uids = {fact.name: fact.uid for fact in clusters(sweeps)[stack_id]}
    assert uids == {"own-name": "u i", f"ml-{stack_id}": ""}


def test_googles_clusters_are_known_by_their_paths(sweeps: SweepWorld) -> None:
    path = "projects/my-project/locations/europe-west1/clusters/own-name"
    stack_id = sweeps.deployed(ResourceItem(f"{GKE}.a", GKE, path))
    sweeps.destroy(stack_id, {"cluster": {"name": "own-name", "gke_id": "f" * 64}})
    fact = ClusterFact(account="my-project", region="europe-west1", name="own-name", uid="f" * 64)
    assert fact in clusters(sweeps, "my-project")[stack_id]


UID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize("location", ["europe-west1", "europe-west1-b"])
@pytest.mark.parametrize("home", ["europe-west1", "us-east1"])
def test_a_cluster_that_was_destroyed_by_hand_is_joined_by_what_its_deploy_wrote_down(
    sweeps: SweepWorld, location: str, home: str
) -> None:
    stack_id = sweeps.deployed(plan=make_plan("demo", "network", region=home))
    name = f"ml-{stack_id}"
    path = f"projects/my-project/locations/{location}/clusters/{name}"
    for note in (
        {"name": name, "uid": "of-an-earlier-one", "ingress_uid": "0123456789abcdef"},
        {"name": name, "uid": UID, "ingress_uid": ""},
    ):
        operation = begin(sweeps.ledger, stack_id)
        sweeps.ledger.note(operation.id, {"cluster": note})
        sweeps.ledger.finish(
            operation.id, "ok", summary={}, resources=[ResourceItem(f"{GKE}.a", GKE, path)]
        )
    sweeps.destroy(stack_id)
    known = gather(sweeps.ledger, "gcp", "my-project")
    clusters = known_clusters(known.stacks[stack_id].clusters, running=())
    for item in (
        f"k8s1-{uid8(UID)}-default-web-80-1234abcd",
        f"k8s2-fr-{uid8(UID)}-default-web-12345678",
        "k8s-be-30001--0123456789abcdef",
    ):
        owner = owner_of(claims_of({}, item, {}), clusters, "europe-west1")
        assert (owner.name, owner.location) == (name, location), item
    by_name = owner_of(
        claims_of({}, "pvc-1", {"goog-k8s-cluster-name": name}), clusters, "europe-west1"
    )
    assert (by_name.name, by_name.location) == (name, location)


@pytest.mark.parametrize(
    "where",
    [
        "",
        "own-name",
        "arn:aws:eks:r1:111:nodegroup/own-name",
        "arn:aws:eks:r1:111:cluster/own-name/more",
        "projects/p/locations/r1/clusters/own-name/nodePools/x",
    ],
)
def test_what_says_nothing_of_its_place_is_no_fact(where: str) -> None:
    facts = LedgerFacts(frozenset(), frozenset(), (("s1", "own-name", where),))
    assert cluster_facts([], facts, "111") == {}


def test_regions_of_units_that_left_the_stack_file_still_count(sweeps: SweepWorld) -> None:
    plan = make_plan("demo", "network", region="r1")
    away = make_unit("cluster", region="r2")
    sweeps.deployed(plan=plan.model_copy(update={"units": (*plan.units, away)}))
    stack_id = sweeps.deployed(plan=plan)
    stack = sweeps.ledger.stack(stack_id)
    assert stack is not None
    assert regions_of(stack, sweeps.ledger.sweeps.facts()) == ("r1", "r2")


@pytest.mark.parametrize("plan", ["{}", '{"units": 7}', '{"units": [{"new": 1}]}'])
def test_a_plan_of_another_version_hides_no_region(sweeps: SweepWorld, plan: Any) -> None:
    stack_id = sweeps.destroyed()
    sweeps.set(stack_id, f"plan = '{plan}'")
    facts = gather(sweeps.ledger, "aws", "111").stacks[stack_id].clusters
    assert [fact.region for fact in facts] == ["r1"]
