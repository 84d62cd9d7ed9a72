"""Whose is what, going by names and ids: never the neighbour's, whatever the names share."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstacks_dagster.sweep.gcp.joins import KnownCluster, Owner, known_clusters, owner_of
from mlstacks_dagster.sweep.gcp.names import (
    claims_of,
    load_balancer_of,
    marks_of_description,
    uid8,
)
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.sweep.gcp.scenario import GONE, LIVE, PROJECT, REGION, ZONE

KNOWN = known_clusters([GONE.fact(), LIVE.fact()], [])


def owner(
    name: str = "x",
    labels: dict[str, str] | None = None,
    region: str = "global",
    known: tuple[KnownCluster, ...] = KNOWN,
    **raw: object,
) -> Owner:
    return owner_of(claims_of(raw, name, labels or {}), known, region)


def test_the_two_clusters_have_ids_that_begin_alike() -> None:
    assert GONE.uid16[:15] == LIVE.uid16[:15]
    assert LIVE.name.startswith(GONE.name)


@pytest.mark.parametrize("uid", [GONE.fact().uid, ""])
def test_a_clusters_zone_and_its_stacks_region_are_one_cluster(uid: str) -> None:
    zonal = GONE.fact(uid)
    expected = [zonal.model_copy(update={"region": place}) for place in (REGION, ZONE)]
    [known] = known_clusters([zonal, *expected], [])
    assert known.location == ZONE
    assert owner(known=(known,), targetTags=[GONE.tag], network="n").name == GONE.name


def test_clusters_of_one_name_that_nobody_knows_apart_stay_two() -> None:
    zonal = ClusterFact(account=PROJECT, region=ZONE, name="prod")
    regional = zonal.model_copy(update={"region": REGION})
    assert len(known_clusters([zonal, regional], [])) == 2
    other = GONE.fact().model_copy(update={"uid": LIVE.fact().uid})
    assert len(known_clusters([GONE.fact(), other], [])) == 2


def test_an_id_that_is_not_the_clusters_own_takes_back_the_names_proof() -> None:
    alone = known_clusters([GONE.fact()], [])
    said = json.dumps({"cluster-uid": LIVE.kube_uid})
    lie = owner(f"k8s1-{GONE.uid8}-ml-lie-80-1", known=alone, region=REGION, description=said)
    assert lie.name == ""
    assert "contradicts itself" in lie.hint


def test_a_hash_stands_for_the_whole_uid() -> None:
    assert len(uid8(GONE.kube_uid)) == 8
    assert uid8(GONE.kube_uid) != uid8(LIVE.kube_uid)
    assert uid8("").isalnum()


@pytest.mark.parametrize(
    "name",
    [f"k8s2-{GONE.uid8}-ns-svc-hash", f"k8s2-fr-{GONE.uid8}-ns-ing-hash",
     f"k8s1-{GONE.uid8}-ns-svc-80-hash", f"k8s-ig--{GONE.uid16}", f"k8s-fw-l7--{GONE.uid16}",
     f"k8s-{GONE.uid16}-node", f"k8s-{GONE.uid16}-internal-tcp-nmv1-0a1b"],
)  # fmt: skip
def test_whole_ids_in_names_prove(name: str) -> None:
    assert owner(name).name == GONE.name


@pytest.mark.parametrize(
    "name",
    [f"x-k8s2-{GONE.uid8}-ns", f"k8s2-{GONE.uid8}", f"k8s2-{GONE.uid8}x-ns-svc",
     f"k8s-ig--{GONE.uid16[:15]}", f"k8s-ig--{GONE.uid16}0", f"my-k8s-ig--{GONE.uid16}",
     f"gke-{GONE.name}-pool-1"],
)  # fmt: skip
def test_parts_of_ids_and_other_forms_prove_nothing(name: str) -> None:
    assert owner(name).name == ""


def test_a_name_cut_to_look_whole_proves_nothing() -> None:
    """15 digits of the live one's id and the closing 0 are just the gone one's id."""
    whole = "k8s-um-" + "n" * 38 + "--" + LIVE.uid16
    cut = whole[:62] + "0"
    assert cut.endswith(GONE.uid16)
    found = owner(cut)
    assert found.name == ""
    assert GONE.name in found.hint
    assert LIVE.name in found.hint


@settings(max_examples=300)
@given(
    uids=st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), min_size=2, max_size=2,
                  unique=True),
    shared=st.integers(0, 15),
    middle=st.text("abc-", min_size=0, max_size=70),
    form=st.sampled_from(["k8s-um-", "k8s-be-", "k8s-fw-", "k8s-tps-", "k8s-ig-"]),
)  # fmt: skip
def test_no_old_name_is_ever_anothers(uids: list[str], shared: int, middle: str, form: str) -> None:
    mine, other = uids[0], uids[0][:shared] + uids[1][shared:]
    if mine == other:
        return
    name = f"{form}{middle}--{other}"
    name = name if len(name) <= 62 else name[:62] + "0"
    known = (KnownCluster("mine", ZONE, uid16=mine), KnownCluster("other", ZONE, uid16=other))
    assert owner(name, known=known).name in ("", "other")


def test_network_tags_are_read_whole() -> None:
    assert owner(targetTags=[GONE.tag]).name == GONE.name
    assert owner(targetTags=[LIVE.tag]).name == LIVE.name
    assert owner(targetTags=[GONE.tag, LIVE.tag]).name == ""
    assert owner(targetTags=[GONE.tag, "web"]).name == ""
    assert owner(targetTags=[GONE.tag + "s"]).name == ""


def test_a_recorded_id_must_fit_the_tags_hash() -> None:
    tag = f"gke-{GONE.name}-00000000-node"
    assert owner(targetTags=[tag]).name == ""
    unrecorded = known_clusters([GONE.fact(uid="")], [])
    assert owner(targetTags=[tag], known=unrecorded).name == GONE.name


def test_a_running_cluster_of_the_same_name_elsewhere_takes_proof_from_bare_names() -> None:
    twin = KnownCluster(GONE.name, "europe-west1", gke_id="f" * 64)
    known = known_clusters([GONE.fact(uid="")], [twin])
    theirs = f"gke-{GONE.name}-ffffffff-node"
    assert owner(targetTags=[theirs], known=known).name == ""
    assert owner(targetTags=[GONE.tag], known=known).name == GONE.name
    labels = {"goog-k8s-cluster-name": GONE.name}
    assert owner(labels=labels, known=known).name == ""
    assert owner(labels=labels, known=known, region=REGION).name == GONE.name
    there = labels | {"goog-k8s-cluster-location": "europe-west1"}
    assert owner(labels=there, known=known, region="europe-west1").location == "europe-west1"


def test_a_label_that_names_another_location_is_a_hint() -> None:
    labels = {"goog-k8s-cluster-name": GONE.name, "goog-k8s-cluster-location": "us-central1-f"}
    found = owner(labels=labels, region=REGION)
    assert found.name == ""
    assert "another cluster" in found.hint


def test_blind_bare_names_of_global_items_prove_nothing() -> None:
    labels = {"goog-k8s-cluster-name": GONE.name}
    claims = claims_of({}, "x", labels)
    assert owner_of(claims, KNOWN, "global").name == GONE.name
    assert owner_of(claims, KNOWN, "global", blind=True).name == ""
    assert owner_of(claims, KNOWN, REGION, blind=True).name == GONE.name
    tagged = claims_of({"targetTags": [GONE.tag]}, "x", {})
    assert owner_of(tagged, KNOWN, "global", blind=True).name == GONE.name


def test_descriptions_name_the_cluster_or_its_id() -> None:
    path = {"k8sCluster": f"/locations/{ZONE}/clusters/{GONE.name}"}
    assert owner(description=json.dumps(path)).name == GONE.name
    elsewhere = {"k8sCluster": f"/locations/us-central1-f/clusters/{GONE.name}"}
    assert owner(description=json.dumps(elsewhere)).name == ""
    assert owner(description=json.dumps({"cluster-uid": GONE.kube_uid})).name == GONE.name
    assert owner(description=json.dumps({"cluster-uid": GONE.kube_uid[:-1]})).name == ""
    for text in ("{", "[]", '{"cluster-uid": ""}', "text", '{"k8sCluster": 7}'):
        assert owner(description=text) == Owner()


def test_two_clusters_with_the_same_short_id_prove_nothing() -> None:
    twins = tuple(KnownCluster(name, ZONE, kube_uid=GONE.kube_uid) for name in ("one", "two"))
    assert owner(f"k8s1-{GONE.uid8}-a-b-c", known=twins).name == ""


def test_an_unknown_cluster_is_named_as_it_says() -> None:
    labels = {"goog-k8s-cluster-name": "who", "goog-k8s-cluster-location": "us-east1"}
    assert owner(labels=labels, region="us-east1").name == "who"


def test_ids_are_told_apart_by_their_form() -> None:
    fact = ClusterFact(account=PROJECT, region=ZONE, name="c", uid=f"{GONE.gke_id},{GONE.uid16}")
    (known,) = known_clusters([fact], [])
    assert (known.gke_id, known.uid16, known.kube_uid) == (GONE.gke_id, GONE.uid16, "")


def test_load_balancers_are_read_from_whole_names() -> None:
    name = GONE.balancer("web")
    for form in (name, f"k8s-fw-{name}", f"k8s-fw-{name}-deny", f"k8s-{name}-http-hc"):
        assert load_balancer_of(form) == name
    for form in (name[:-1], name + "0", f"x{name}", f"k8s-fw-{name}-more"):
        assert load_balancer_of(form) == ""


def test_marks_in_descriptions_are_read_whole() -> None:
    assert marks_of_description("mlstacks:inst:sabc:network our VPC") == {
        "mlstacks-install": "inst", "mlstacks-stack": "sabc", "mlstacks-component": "network"
    }  # fmt: skip
    for text in (
        "",
        "see mlstacks:inst:sabc",
        "mlstacks:inst",
        "mlstacks:inst:SABC",
        "mlstacks::s",
    ):
        assert marks_of_description(text) == {}
