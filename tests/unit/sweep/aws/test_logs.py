"""Log groups, which prove their cluster by name and come back after it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.unit.sweep.aws.plants import Plant
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import (
    ACCOUNT,
    MARKS,
    OURS,
    REGION,
    THEIR_MARKS,
    Bench,
    bench,
    clients,
)

__all__ = ["bench", "clients"]


@pytest.mark.parametrize(
    "name", [f"/aws/eks/{OURS}/cluster", f"/aws/containerinsights/{OURS}/host"]
)
def test_a_clusters_log_group_without_marks_proves_the_cluster(bench: Bench, name: str) -> None:
    bench.client("logs").create_log_group(logGroupName=name)

    item = bench.find("logs:log-group")[name]

    assert item.tags == {}
    assert item.clusters == (OURS,)
    assert bench.read("logs:log-group", name) == {name: item}


def test_a_log_group_with_our_name_only_is_a_hint(bench: Bench) -> None:
    name = f"/aws/sagemaker/Endpoints/{OURS}-model"
    bench.client("logs").create_log_group(logGroupName=name)

    item = bench.find("logs:log-group")[name]

    assert item.clusters == ()
    assert item.facts["owner-hint"] == OURS


def test_the_log_of_our_endpoint_is_a_hint_whatever_its_name(bench: Bench) -> None:
    logs = bench.client("logs")
    names = [f"/aws/sagemaker/Endpoints/{name}" for name in ("Churn", "theirs")]
    for name in names:
        logs.create_log_group(logGroupName=name)
    bench.indexed[f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/churn"] = MARKS

    found = bench.find("logs:log-group")

    assert set(found) & set(names) == {names[0]}
    assert (found[names[0]].tags, found[names[0]].facts["owner-hint"]) == ({}, OURS)


def test_others_log_groups_are_not_even_listed(bench: Bench) -> None:
    logs = bench.client("logs")
    for name in ("/aws/eks/prod/cluster", "/aws/lambda/html-render", "/aws/sagemaker/Endpoints/x"):
        logs.create_log_group(logGroupName=name)

    found = bench.find("logs:log-group")

    assert all("ml-" not in item.clusters for item in found.values())
    assert not {"/aws/lambda/html-render", "/aws/sagemaker/Endpoints/x"} & set(found)


def test_a_log_group_that_the_index_still_has_is_left_out_when_gone(bench: Bench) -> None:
    gone = "arn:aws:logs:us-east-1:123456789012:log-group:/gone:*"
    bench.indexed[gone] = MARKS

    assert bench.find("logs:log-group") == {}


def test_the_tags_of_the_moment_are_read_again(bench: Bench) -> None:
    name = Plant(bench).logs_log_group(f"{OURS}-x", THEIR_MARKS)
    arn = bench.find("logs:log-group")[name].facts["arn"]
    bench.client("logs").tag_resource(resourceArn=arn, tags={"mlstacks-protect": "true"})

    item = bench.read("logs:log-group", name)[name]

    assert (item.tags or {})["mlstacks-protect"] == "true"


@pytest.mark.parametrize("operation", ["describe_log_groups", "list_tags_for_resource"])
def test_a_denied_call_fails_the_type(bench: Bench, operation: str) -> None:
    real = bench.client("logs")
    real.create_log_group(logGroupName=f"/aws/eks/{OURS}/cluster")
    denied = {operation: refusal(operation, "AccessDeniedException", status=403)}
    bench.fake("logs", Scripted("logs", denied, real))

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find("logs:log-group")


def test_a_denied_index_fails_the_type(bench: Bench) -> None:
    denied = {"get_resources": refusal("GetResources", "AccessDeniedException", status=403)}
    bench.fake("resourcegroupstaggingapi", Scripted("resourcegroupstaggingapi", denied))

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find("logs:log-group")


def test_only_names_with_our_prefix_are_asked_for(bench: Bench) -> None:
    fake = Scripted("logs", {"describe_log_groups": {"logGroups": []}})
    bench.fake("logs", fake)

    bench.find("logs:log-group")

    assert fake.calls == [("describe_log_groups", {"logGroupNamePattern": "ml-", "limit": 50})]
