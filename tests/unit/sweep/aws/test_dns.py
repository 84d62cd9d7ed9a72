"""Route 53: external-dns's records in others' zones, and zones of ours with all in them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from tests.unit.sweep.aws.plants import Plant
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import MARKS, OURS, THEIRS, Bench, bench, clients

__all__ = ["bench", "clients"]


def _says(owner: str) -> str:
    return f'"heritage=external-dns,external-dns/owner={owner},external-dns/resource=ingress/a/b"'


@pytest.fixture
def zone(bench: Bench) -> str:
    return Plant(bench).route53_hosted_zone("neighbour", {})


@pytest.mark.parametrize("text", ["app", "a-app", "cname-app"])
def test_a_record_and_the_text_about_it_name_our_cluster(
    bench: Bench, zone: str, text: str
) -> None:
    plant = Plant(bench)
    if text == "app":
        record = plant.record(zone, "app.neighbour.example.com", "A", "10.0.0.2")
    else:
        record = plant.record(zone, "app.neighbour.example.com", "CNAME", "lb.example.com")
    about = plant.record(zone, f"{text}.neighbour.example.com", "TXT", _says(OURS))

    found = bench.find("route53:record-set")

    assert set(found) == {record, about}
    assert all(item.clusters == (OURS,) for item in found.values())
    assert found[about].used_by == (Ref(type="route53:record-set", region=GLOBAL, id=record),)


def test_others_records_are_no_candidates(bench: Bench, zone: str) -> None:
    plant = Plant(bench)
    plant.record(zone, "app.neighbour.example.com", "A", "10.0.0.2")
    plant.record(zone, "app.neighbour.example.com", "TXT", _says("production"))
    plant.record(zone, "spf.neighbour.example.com", "TXT", '"v=spf1 -all"')

    assert bench.find("route53:record-set") == {}


def test_an_owner_that_only_contains_our_name_is_a_hint(bench: Bench, zone: str) -> None:
    text = Plant(bench).record(zone, "x.neighbour.example.com", "TXT", _says(f"blue-{OURS}"))

    item = bench.find("route53:record-set")[text]

    assert item.clusters == ()
    assert item.facts["owner-hint"] == f"blue-{OURS}"


def test_a_record_with_two_owners_is_nobodys(bench: Bench, zone: str) -> None:
    plant = Plant(bench)
    record = plant.record(zone, "app.neighbour.example.com", "A", "10.0.0.2")
    plant.record(zone, "app.neighbour.example.com", "TXT", _says(OURS))
    plant.record(zone, "a-app.neighbour.example.com", "TXT", _says("production"))

    assert record not in bench.find("route53:record-set")


def test_deleting_records_leaves_others_in_the_zone(bench: Bench, zone: str) -> None:
    plant = Plant(bench)
    record = plant.record(zone, "app.neighbour.example.com", "A", "10.0.0.2")
    text = plant.record(zone, "app.neighbour.example.com", "TXT", _says(OURS))
    theirs = plant.record(zone, "their.neighbour.example.com", "TXT", _says(THEIRS))
    found = bench.find("route53:record-set")

    bench.delete_all(found[record])
    assert set(bench.read("route53:record-set", record, text)) == {text}
    bench.delete_all(found[text])

    assert set(bench.find("route53:record-set")) == {theirs}
    listed = bench.client("route53").list_resource_record_sets(HostedZoneId=zone)
    assert "www.neighbour.example.com." in {r["Name"] for r in listed["ResourceRecordSets"]}


def test_what_is_in_a_zone_of_ours_is_no_item_of_its_own(bench: Bench) -> None:
    plant = Plant(bench)
    zone = plant.route53_hosted_zone(f"{OURS}-x", MARKS)
    plant.record(zone, f"app.{OURS}-x.example.com", "TXT", _says(OURS))

    assert bench.find("route53:record-set") == {}
    bench.delete_all(bench.find("route53:hosted-zone")[zone])
    assert bench.find("route53:hosted-zone") == {}


def test_all_pages_of_a_zone_are_read(
    bench: Bench, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlstacks_dagster.sweep.aws.dns._RECORD_PAGE", 2)
    plant = Plant(bench)
    texts = {
        plant.record(zone, f"t{n}.neighbour.example.com", "TXT", _says(OURS)) for n in range(5)
    }

    assert set(bench.find("route53:record-set")) == texts


def test_a_denied_zone_fails_the_type(bench: Bench, zone: str) -> None:
    operation = "list_resource_record_sets"
    denied = {operation: refusal(operation, "AccessDenied", status=403)}
    bench.fake("route53", Scripted("route53", denied, bench.client("route53")))

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find("route53:record-set")
