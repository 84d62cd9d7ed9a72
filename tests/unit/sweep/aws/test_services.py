"""Every type that the emulator knows: found with its owner, read again, deleted, gone."""

from __future__ import annotations

import pytest

from tests.unit.sweep.aws.plants import Plant
from tests.unit.sweep.aws.services import (
    HANDLERS,
    MARKS,
    OURS,
    THEIR_MARKS,
    THEIRS,
    Bench,
    bench,
    clients,
)

__all__ = ["bench", "clients"]

PLANTED = (
    "acm:certificate",
    "ecr:repository",
    "efs:file-system",
    "eks:cluster",
    "eks:fargate-profile",
    "eks:nodegroup",
    "events:rule",
    "fsx:file-system",
    "iam:instance-profile",
    "iam:oidc-provider",
    "iam:policy",
    "iam:role",
    "kms:key",
    "logs:log-group",
    "rds:cluster",
    "rds:instance",
    "rds:parameter-group",
    "rds:subnet-group",
    "route53:hosted-zone",
    "s3:bucket",
    "sagemaker:endpoint",
    "sagemaker:endpoint-config",
    "sagemaker:model",
    "sagemaker:notebook-instance",
    "sagemaker:pipeline",
    "secretsmanager:secret",
    "sqs:queue",
)


@pytest.mark.parametrize("type_", PLANTED)
def test_ours_is_found_with_its_marks_and_a_neighbours_never_looks_like_ours(
    bench: Bench, type_: str
) -> None:
    plant = Plant(bench)
    ours = plant(type_, f"{OURS}-x", MARKS)
    theirs = plant(type_, f"{THEIRS}-x", THEIR_MARKS)
    neighbour = plant(type_, "neighbour-x", {})

    found = bench.find(type_)

    assert {k: v for k, v in (found[ours].tags or {}).items() if k in MARKS} == MARKS
    assert (found[theirs].tags or {})["mlstacks-install"] == "inst2"
    if neighbour in found:
        assert not any(key.startswith("mlstacks-") for key in found[neighbour].tags or {})
        assert "owner-hint" not in found[neighbour].facts
        assert all("ml-" not in cluster for cluster in found[neighbour].clusters)


@pytest.mark.parametrize("type_", PLANTED)
def test_what_is_read_again_is_what_was_found(bench: Bench, type_: str) -> None:
    ours = Plant(bench)(type_, f"{OURS}-x", MARKS)

    found = bench.find(type_)[ours]

    assert bench.read(type_, ours) == {ours: found}


@pytest.mark.parametrize("type_", PLANTED)
def test_deleting_takes_one_with_all_that_is_in_it_and_leaves_the_others(
    bench: Bench, type_: str
) -> None:
    plant = Plant(bench)
    ours = plant(type_, f"{OURS}-x", MARKS)
    theirs = plant(type_, f"{THEIRS}-x", THEIR_MARKS)
    item = bench.find(type_)[ours]

    bench.delete_all(item)

    assert bench.read(type_, ours) == {}
    left = bench.find(type_)
    assert ours not in left
    assert theirs in left


def test_every_handler_says_how_it_proves_its_things() -> None:
    unsaid = [type_ for type_, handler in HANDLERS.items() if not handler.kind.proofs]

    assert not unsaid
    assert set(PLANTED) <= set(HANDLERS)
