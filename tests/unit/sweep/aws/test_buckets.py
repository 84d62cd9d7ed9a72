"""Buckets: every version goes, nothing locked is forced, all regions count."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from mlstacks_dagster.errors import RefusedError
from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import MARKS, OURS, Bench, bench, clients

__all__ = ["bench", "clients"]


def test_a_marked_bucket_with_any_name_is_found(bench: Bench) -> None:
    name = Plant(bench).s3_bucket("plain-name", MARKS)

    assert set(bench.find("s3:bucket")) == {name}


def test_others_buckets_cost_no_call_each(bench: Bench) -> None:
    for number in range(5):
        bench.client("s3").create_bucket(Bucket=f"others-{number}")
    before = bench.caller.calls

    assert bench.find("s3:bucket") == {}
    assert bench.caller.calls == before + 2  # the list and the index


def test_a_bucket_is_where_it_says(bench: Bench) -> None:
    bench.client("s3").create_bucket(
        Bucket=f"{OURS}-far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )

    item = bench.find("s3:bucket")[f"{OURS}-far"]

    assert item.facts["region"] == "eu-west-1"
    bench.delete_all(item)
    assert bench.find("s3:bucket") == {}


def test_all_pages_of_versions_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlstacks_dagster.sweep.aws.buckets._PAGE", 2)
    name = Plant(bench).s3_bucket(f"{OURS}-x", MARKS)
    for number in range(5):
        bench.client("s3").put_object(Bucket=name, Key=f"k{number}", Body=b"x")
    item = bench.read("s3:bucket", name)[name]

    bench.delete_all(item)

    assert bench.read("s3:bucket", name) == {}


def test_what_is_locked_is_refused_and_never_forced(bench: Bench) -> None:
    name = Plant(bench).s3_bucket(f"{OURS}-x", MARKS)
    item = bench.find("s3:bucket")[name]
    locked = {"Errors": [{"Key": "data", "Code": "AccessDenied"}]}
    fake = Scripted("s3", {"delete_objects": locked}, bench.client("s3"))
    bench.fake("s3", fake)

    with pytest.raises(RefusedError, match="data"):
        bench.delete(item)

    assert "BypassGovernanceRetention" not in fake.calls[0][1]
    assert name in bench.find("s3:bucket")


def test_a_failure_that_passes_is_tried_again(bench: Bench) -> None:
    name = Plant(bench).s3_bucket(f"{OURS}-x", MARKS)
    item = bench.find("s3:bucket")[name]
    busy = {"Errors": [{"Key": "data", "Code": "SlowDown"}]}
    bench.fake("s3", Scripted("s3", {"delete_objects": busy}, bench.client("s3")))

    assert "SlowDown" in (bench.delete(item) or "")


def test_a_bucket_whose_tags_are_denied_fails_the_type(bench: Bench) -> None:
    Plant(bench).s3_bucket(f"{OURS}-x", {})
    denied = {"get_bucket_tagging": refusal("GetBucketTagging", "AccessDenied", status=403)}
    bench.fake("s3", Scripted("s3", denied, bench.client("s3")))

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find("s3:bucket")


def test_a_bucket_without_tags_has_none(bench: Bench) -> None:
    name = Plant(bench).s3_bucket(f"{OURS}-x", {})

    assert bench.find("s3:bucket")[name].tags == {}
    bench.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(MARKS)})
    assert bench.read("s3:bucket", name)[name].tags == MARKS
