"""Secrets, keys and certificates: recoverable after deletion, and gone for a listing."""

from __future__ import annotations

from typing import Any

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted
from tests.unit.sweep.aws.services import ACCOUNT, MARKS, OURS, REGION, Bench, bench, clients

__all__ = ["bench", "clients"]


def test_a_deleted_secret_can_be_restored(bench: Bench) -> None:
    arn = Plant(bench).secretsmanager_secret(f"{OURS}-x", MARKS)

    bench.delete_all(bench.find("secretsmanager:secret")[arn])
    assert bench.find("secretsmanager:secret") == {}
    bench.client("secretsmanager").restore_secret(SecretId=arn)

    assert set(bench.find("secretsmanager:secret")) == {arn}


def test_a_secret_is_never_deleted_without_a_window(bench: Bench) -> None:
    arn = Plant(bench).secretsmanager_secret(f"{OURS}-x", MARKS)
    item = bench.find("secretsmanager:secret")[arn]
    fake = Scripted("secretsmanager", {"delete_secret": {}}, bench.client("secretsmanager"))
    bench.fake("secretsmanager", fake)

    bench.delete_all(item)

    assert fake.calls == [("delete_secret", {"SecretId": arn, "RecoveryWindowInDays": 30})]


def test_a_secrets_copies_go_before_it(bench: Bench) -> None:
    arn = Plant(bench).secretsmanager_secret(f"{OURS}-x", MARKS)
    item = bench.find("secretsmanager:secret")[arn]
    copies = {"ARN": arn, "Name": "x", "ReplicationStatus": [{"Region": "eu-west-1"}]}
    answers: dict[str, Any] = {
        "describe_secret": copies,
        "remove_regions_from_replication": {},
        "delete_secret": {},
    }
    fake = Scripted("secretsmanager", answers)
    bench.fake("secretsmanager", fake)

    bench.delete_all(item)

    assert fake.names() == ["describe_secret", "remove_regions_from_replication", "delete_secret"]


def test_a_secret_that_a_service_keeps_goes_with_it(bench: Bench) -> None:
    raw = {"ARN": "arn:x", "Name": "rds!db", "Tags": pairs(MARKS), "OwningService": "rds"}
    bench.fake(
        "secretsmanager", Scripted("secretsmanager", {"list_secrets": {"SecretList": [raw]}})
    )

    assert bench.find("secretsmanager:secret")["arn:x"].facts["implicit"] == "true"


def test_a_key_waits_thirty_days_and_is_gone_for_a_listing(bench: Bench) -> None:
    key = Plant(bench).kms_key(f"{OURS}-x", MARKS)

    bench.delete_all(bench.find("kms:key")[key])

    raw = bench.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    assert raw["KeyState"] == "PendingDeletion"
    assert bench.find("kms:key") == {}
    assert bench.read("kms:key", key) == {}


def test_a_certificate_is_held_by_what_uses_it(bench: Bench) -> None:
    arn = Plant(bench).acm_certificate(f"{OURS}-x", MARKS)
    begin = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer"
    distribution = f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1"
    users = [f"{begin}/app/new/1", f"{begin}/old", distribution]
    raw = {"CertificateArn": arn, "DomainName": "x.example.com", "InUseBy": users}
    listed: dict[str, Any] = {"CertificateSummaryList": [{"CertificateArn": arn, "InUse": True}]}
    answers: dict[str, Any] = {
        "describe_certificate": {"Certificate": raw},
        "list_certificates": listed,
    }
    bench.fake("acm", Scripted("acm", answers, bench.client("acm")))

    item = bench.find("acm:certificate")[arn]

    assert item.used_by == (
        Ref(type="elbv2:load-balancer", region=REGION, id=f"{begin}/app/new/1"),
        Ref(type="elb:load-balancer", region=REGION, id="old"),
        Ref(type="cloudfront:distribution", region=GLOBAL, id=distribution),
    )
