"""RDS: last snapshots, protection, and who holds whom."""

from __future__ import annotations

from mlstacks_dagster.sweep.inventory.model import Ref
from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.services import MARKS, OURS, REGION, Bench, bench, clients

__all__ = ["bench", "clients"]


def _snapshots(bench: Bench) -> list[str]:
    found = bench.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    return [snapshot["DBSnapshotIdentifier"] for snapshot in found]


def test_a_database_leaves_a_last_snapshot(bench: Bench) -> None:
    name = Plant(bench).rds_instance(f"{OURS}-x", MARKS)

    bench.delete_all(bench.find("rds:instance")[name])

    assert _snapshots(bench) == [f"{OURS}-x-last-1800000000"]


def test_a_database_whose_data_may_go_leaves_none(bench: Bench) -> None:
    name = Plant(bench).rds_instance(f"{OURS}-x", {**MARKS, "mlstacks-data": "delete"})

    bench.delete_all(bench.find("rds:instance")[name])

    assert _snapshots(bench) == []


def test_the_name_of_a_last_snapshot_is_never_too_long(bench: Bench) -> None:
    name = Plant(bench).rds_instance(f"{OURS}-" + "x" * 46, MARKS)

    bench.delete_all(bench.find("rds:instance")[name])

    (snapshot,) = _snapshots(bench)
    assert len(snapshot) <= 63
    assert snapshot.endswith("-last-1800000000")


def test_a_protected_database_is_refused(bench: Bench) -> None:
    name = Plant(bench).rds_instance(f"{OURS}-x", MARKS)
    bench.client("rds").modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=True)
    item = bench.find("rds:instance")[name]

    assert item.facts["protected"] == "true"
    assert bench.word(item) == "refused"
    assert name in bench.find("rds:instance")


def test_a_database_names_its_network_and_its_groups(bench: Bench) -> None:
    plant = Plant(bench)
    group = plant.rds_subnet_group(f"{OURS}-group", MARKS)
    bench.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{OURS}-x",
        DBInstanceClass="db.m5.large",
        Engine="postgres",
        MasterUsername="root",
        MasterUserPassword="hunter2hunter2",
        AllocatedStorage=20,
        DBSubnetGroupName=group,
        Tags=pairs(MARKS),
    )
    vpc = bench.find("rds:subnet-group")[group].inside

    item = bench.find("rds:instance")[f"{OURS}-x"]

    assert item.inside == vpc != ()
    assert Ref(type="rds:subnet-group", region=REGION, id=group) in item.uses


def test_an_unmarked_groups_place_is_told_without_a_call_for_its_tags(bench: Bench) -> None:
    group = Plant(bench).rds_subnet_group("neighbour", {"team": "a"})
    before = bench.caller.calls

    assert bench.find("rds:subnet-group")[group].inside != ()
    assert bench.caller.calls == before + 2  # the index and the list


def test_a_cluster_is_held_by_its_members_which_leave_no_snapshot(bench: Bench) -> None:
    cluster = Plant(bench).rds_cluster(f"{OURS}-c", MARKS)
    bench.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{OURS}-m",
        DBInstanceClass="db.r5.large",
        Engine="aurora-postgresql",
        DBClusterIdentifier=cluster,
        Tags=pairs(MARKS),
    )
    member = bench.find("rds:instance")[f"{OURS}-m"]

    assert bench.find("rds:cluster")[cluster].used_by == (member.ref,)
    assert Ref(type="rds:cluster", region=REGION, id=cluster) in member.uses
    bench.delete_all(member)
    assert _snapshots(bench) == []
