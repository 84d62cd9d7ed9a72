"""How many calls a sweep makes: for pages, and for what carries marks; never for others' things."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.sweep.aws.conftest import ACCOUNT, Clock
from tests.unit.sweep.aws.fake_clients import REGIONS, Answer, Call, Empty, FakeClients

REGION = "r1"
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
MARKS = [{"Key": "mlstacks-install", "Value": "inst1"}]


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def account(others: int, marked: int = 1, *, changed: datetime = EARLY) -> Answer:
    """Answer for an account with one marked thing of each type and ``others`` of everybody's."""
    ours, theirs = [f"ours-{n}" for n in range(marked)], [f"ml-team-{n}" for n in range(others)]
    names = [*ours, *theirs]
    indexed = [
        ("acm", "certificate/{}"), ("events", "rule/{}"), ("rds", "cluster:{}"), ("rds", "pg:{}"),
        ("sagemaker", "model/{}"), ("sqs", "{}"), ("ecr", "repository/{}"),
    ]  # fmt: skip
    index = [
        {"ResourceARN": arn(service, resource.format(name)), "Tags": MARKS}
        for service, resource in indexed
        for name in ours
    ] + [{"ResourceARN": f"arn:aws:s3:::{name}", "Tags": MARKS} for name in ours]
    group = {"DBParameterGroupArn": "arn", "DBParameterGroupFamily": "f"}
    lists: dict[str, dict[str, Any]] = {
        "get_resources": {"ResourceTagMappingList": index},
        "list_certificates": {"CertificateSummaryList": [
            {"CertificateArn": arn("acm", f"certificate/{n}"), "InUse": False} for n in names]},
        "list_rules": {"Rules": [{"Name": n, "Arn": arn("events", f"rule/{n}")} for n in names]},
        "describe_db_clusters": {"DBClusters": [
            {"DBClusterIdentifier": n, "TagList": MARKS if n in ours else []} for n in names]},
        "describe_db_parameter_groups": {"DBParameterGroups": [
            {"DBParameterGroupName": n, **group} for n in names]},
        "list_queues": {"QueueUrls": [f"https://sqs/{ACCOUNT}/{n}" for n in names]},
        "list_buckets": {"Buckets": [
            {"Name": n, "BucketRegion": REGION, "CreationDate": EARLY} for n in names]},
        "describe_repositories": {"repositories": [
            {"repositoryName": n, "repositoryArn": arn("ecr", f"repository/{n}"),
             "createdAt": EARLY} for n in names]},
        "describe_log_groups": {"logGroups": [
            {"logGroupName": n, "arn": arn("logs", f"log-group:{n}")} for n in theirs]},
        "list_endpoints": {"Endpoints": [
            {"EndpointName": n, "LastModifiedTime": changed} for n in theirs]},
    }  # fmt: skip

    def answer(call: Call) -> Any:
        name = str(next(iter(call.params.values()), ""))
        if call.operation == "describe_model":
            return {"ModelName": name, "ModelArn": arn("sagemaker", f"model/{name}"),
                    "CreationTime": LATE}  # fmt: skip
        if call.operation == "describe_endpoint":
            return {"EndpointName": name, "EndpointConfigName": f"{name}-config"}
        return lists.get(call.operation, Empty())

    return answer


def swept(answer: Answer, *regions: str) -> tuple[FakeClients, int]:
    """Sweep once; returns the calls and how many items with marks were found."""
    fake, clock = FakeClients(answer), Clock()
    scope = Scope(provider="aws", account=ACCOUNT, regions=regions or (REGION,))
    snapshot = AwsCloud(scope, fake, clock=clock, sleep=clock.sleep, workers=8).snapshot()
    assert snapshot.unverified == ()
    return fake, sum(1 for item in snapshot.items if item.tags)


def test_things_of_others_cost_no_call_each() -> None:
    few, found = swept(account(0))
    many, as_many = swept(account(300))
    assert Counter(many.operations()) == Counter(few.operations())
    assert found == as_many == 8


@pytest.mark.parametrize("operation", ["describe_endpoint", "describe_endpoint_config"])
def test_an_endpoint_that_may_serve_our_models_is_described_once_for_all(operation: str) -> None:
    fake, _ = swept(account(50, marked=5, changed=LATE))
    assert fake.operations().count(operation) == 50


def test_what_has_marks_costs_a_call_only_where_no_list_tells() -> None:
    one, _ = swept(account(0, marked=1))
    many, found = swept(account(0, marked=101))
    assert found == 101 * 8
    more = Counter(many.operations()) - Counter(one.operations())
    assert more == {"describe_model": 100, "get_queue_attributes": 100}


def test_an_empty_account_and_a_mixed_one_stay_within_their_calls() -> None:
    empty, _ = swept(lambda _call: Empty(), *REGIONS)
    assert len(empty.made) <= 480
    mixed, found = swept(account(500, marked=1), *REGIONS)
    assert found == 17 * 7 + 1
    assert len(mixed.made) <= 700


def test_what_the_index_does_not_have_yet_is_listed_where_stacks_of_ours_were() -> None:
    name = "ml-saaaaaaaaaaaa-x"
    group = {"DBParameterGroupName": name, "DBParameterGroupArn": "arn"}
    answers: dict[str, Any] = {
        "list_queues": {"QueueUrls": [f"https://sqs/{ACCOUNT}/{name}"]},
        "get_queue_url": {"QueueUrl": f"https://sqs/{ACCOUNT}/{name}"},
        "list_queue_tags": {"Tags": {"mlstacks-install": "inst1"}},
        "describe_db_clusters": {"DBClusters": [{"DBClusterIdentifier": "c", "TagList": MARKS}]},
        "describe_db_parameter_groups": {"DBParameterGroups": [group]},
        "list_tags_for_resource": {"TagList": MARKS},
    }
    fake, clock = FakeClients(lambda call: answers.get(call.operation, Empty())), Clock()
    scope = Scope(provider="aws", account=ACCOUNT, regions=(REGION, "r2"))
    gone = ClusterFact(account=ACCOUNT, region=REGION, name="ml-saaaaaaaaaaaa")
    cloud = AwsCloud(scope, fake, clusters=[gone], clock=clock, sleep=clock.sleep, workers=8)
    types = ["sqs:queue", "rds:cluster", "rds:parameter-group"]
    items = cloud.snapshot(types).items
    assert {(item.ref.type, item.ref.region) for item in items} == {(t, REGION) for t in types}
    assert all(item.tags for item in items)
    calls = Counter((call.region, call.operation) for call in fake.made)
    elsewhere = {operation for region, operation in calls if region == "r2"}
    assert elsewhere == {"get_resources", "describe_db_instances"}
