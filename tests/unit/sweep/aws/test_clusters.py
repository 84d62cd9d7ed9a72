"""Clusters and their parts: whose, in which order, and what a failed call means."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from mlstacks_dagster.sweep.inventory.model import GLOBAL, Ref
from tests.unit.sweep.aws.plants import Plant
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import ACCOUNT, MARKS, OURS, REGION, Bench, bench, clients

__all__ = ["bench", "clients"]


def test_a_nodegroup_without_marks_names_its_cluster(bench: Bench) -> None:
    identifier = Plant(bench).eks_nodegroup(OURS, {})

    item = bench.find("eks:nodegroup")[identifier]

    assert item.clusters == (OURS,)
    assert item.inside == (Ref(type="eks:cluster", region=REGION, id=OURS),)
    assert Ref(type="iam:role", region=GLOBAL, id="somebody") in item.uses


def test_a_cluster_without_marks_proves_nothing_by_its_own_name(bench: Bench) -> None:
    Plant(bench).eks_cluster(OURS, {})

    item = bench.find("eks:cluster")[OURS]

    assert item.clusters == ()
    assert item.facts["owner-hint"] == OURS


def test_a_cluster_waits_for_its_nodegroups(bench: Bench) -> None:
    identifier = Plant(bench).eks_nodegroup(OURS, MARKS)
    cluster = bench.find("eks:cluster")[OURS]

    assert bench.word(cluster) == "busy"
    bench.delete_all(bench.find("eks:nodegroup")[identifier])
    bench.delete_all(cluster)

    assert bench.find("eks:cluster") == {}


def test_a_cluster_uses_its_role_and_its_identity_provider(bench: Bench) -> None:
    plant = Plant(bench)
    plant.eks_cluster(OURS, MARKS)
    issuer = bench.find("eks:cluster")[OURS].facts["issuer"]
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.removeprefix('https://')}"

    uses = bench.find("eks:cluster")[OURS].uses

    assert Ref(type="iam:oidc-provider", region=GLOBAL, id=provider) in uses
    assert Ref(type="iam:role", region=GLOBAL, id=f"{OURS}-cluster") in uses


def test_what_goes_between_list_and_describe_is_left_out(bench: Bench) -> None:
    plant = Plant(bench)
    plant.eks_cluster("ghost", {})
    kept = plant.eks_nodegroup(OURS, MARKS)
    real = bench.client("eks")

    def only_ours(params: dict[str, str]) -> dict[str, object]:
        if params["clusterName"] == "ghost":
            raise refusal("ListNodegroups", "ResourceNotFoundException", status=404)
        answer: dict[str, object] = real.list_nodegroups(**params)
        return answer

    bench.fake("eks", Scripted("eks", {"list_nodegroups": only_ours}, real))

    assert set(bench.find("eks:nodegroup")) == {kept}


@pytest.mark.parametrize(
    ("type_", "operation"),
    [
        ("eks:cluster", "list_clusters"),
        ("eks:cluster", "describe_cluster"),
        ("eks:nodegroup", "list_nodegroups"),
        ("eks:nodegroup", "describe_nodegroup"),
        ("eks:fargate-profile", "list_fargate_profiles"),
    ],
)
def test_a_denied_call_fails_the_type(bench: Bench, type_: str, operation: str) -> None:
    Plant(bench).eks_nodegroup(OURS, MARKS)
    denied = {operation: refusal(operation, "AccessDeniedException", status=403)}
    bench.fake("eks", Scripted("eks", denied, bench.client("eks")))

    with pytest.raises(ClientError, match="AccessDenied"):
        bench.find(type_)


def test_what_is_being_deleted_is_not_asked_for_again(bench: Bench) -> None:
    identifier = Plant(bench).eks_nodegroup(OURS, MARKS)
    item = bench.find("eks:nodegroup")[identifier]
    going = item.model_copy(update={"facts": {**item.facts, "state": "DELETING"}})

    assert bench.delete(going) is None
    assert identifier in bench.find("eks:nodegroup")
