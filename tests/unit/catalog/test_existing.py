"""Stacks on a cluster that exists: what comes in, what is told, what is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import SpecError
from tests.unit.catalog.building import KUBERNETES, REGISTRY, Folder, Stacks

ARN = "arn:aws:eks:eu-north-1:111122223333:cluster/dev"
TRACKER = {"kind": ("experiment_tracker", "mlflow")}


@pytest.fixture
def eks(folder: Folder, stacks: Stacks) -> Folder:
    """A cluster as ours is, a driver that drains, an ingress, and what uses them."""
    (stacks.path / "kubeconfig").write_text(
        "current-context: dev\ncontexts: [{name: dev, context: {cluster: c, user: u}}]\n"
    )
    keys = ("cluster_name", "oidc_provider_arn", "oidc_issuer", "node_role_name", "other")
    folder.unit("network", provides=[{"capability": "network"}])
    folder.unit(
        "cluster",
        requires=[{"capability": "network"}],
        provides=[
            {
                "capability": "kubernetes_cluster",
                "outputs": {**{k: k for k in keys}, "kubernetes_context": "cluster_name"},
            }
        ],
        outputs=keys,
    )
    folder.unit(
        "driver",
        requires=[{"capability": "kubernetes_cluster", "bind": {"name_of_it": "cluster_name"}}],
        provides=[{"capability": "storage_class", "outputs": {"name": "storage"}}],
        variables={"name_of_it": "string"},
        outputs=["storage"],
        teardown={"drain": ["volumes"]},
    )
    folder.unit(
        "door",
        requires=[{"capability": "kubernetes_cluster"}],
        provides=[{"capability": "ingress", "outputs": {"class_name": "class_name"}}],
        variables={"class": "string"},
        outputs=["class_name"],
        config={"ingress_class_name": {"variable": "class"}},
    )
    folder.component(
        "runner",
        *KUBERNETES["kind"],
        requires=[
            {
                "capability": "kubernetes_cluster",
                "bind": {"cluster": "cluster_name", "context": "kubernetes_context"},
            }
        ],
        variables={"cluster": "string", "context": "string"},
    )
    folder.component(
        "tracker",
        *TRACKER["kind"],
        requires=[
            {"capability": "kubernetes_cluster", "bind": {"issuer": "oidc_issuer"}},
            {"capability": "storage_class", "bind": {"storage": "name"}},
            {"capability": "ingress", "when": "host", "bind": {"class": "class_name"}},
        ],
        variables={"issuer": "string", "storage": "string", "class": "string", "host": "string"},
        config={"host": {"variable": "host"}},
    )
    folder.component(
        "registry",
        *REGISTRY["kind"],
        after=[{"capability": "kubernetes_cluster", "bind": {"puller": "node_role_name"}}],
        variables={"puller": "string"},
    )
    return folder


def planned(stacks: Stacks, folder: Folder, *components: Any, **cluster: Any) -> Plan:
    return stacks.plan(folder, *components, cluster={"kubeconfig": "kubeconfig", **cluster})


def problems(stacks: Stacks, folder: Folder, *components: Any, **cluster: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        planned(stacks, folder, *components, **cluster)
    assert all(p.file and p.file.name == "stack.yaml" for p in caught.value.problems)
    return [str(p) for p in caught.value.problems]


FULL = {
    "arn": ARN,
    "oidc_provider_arn": "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id/A",
    "has": {"storage_class": {"name": "gp3"}},
}


def test_the_cluster_stands_in_for_the_units_that_would_make_it(
    eks: Folder, stacks: Stacks
) -> None:
    plan = planned(stacks, eks, KUBERNETES, TRACKER, REGISTRY, **FULL)
    assert {u.name for u in plan.units} == {"runner", "tracker", "registry"}
    assert plan.unit("runner").variables == {"cluster": "dev", "context": "dev"}
    assert plan.unit("tracker").variables == {
        "issuer": "oidc.example.com/id/A",
        "storage": "gp3",
    }
    assert all(not u.bindings and not u.depends_on for u in plan.units)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_what_only_orders_takes_what_is_known(eks: Folder, stacks: Stacks) -> None:
    assert planned(stacks, eks, REGISTRY).unit("registry").variables == {}
    plan = planned(stacks, eks, REGISTRY, node_role_name="node")
    assert plan.unit("registry").variables == {"puller": "node"}


def test_what_is_not_given_is_named_with_the_way_to_it(eks: Folder, stacks: Stacks) -> None:
    has = {"has": FULL["has"]}
    found = problems(stacks, eks, KUBERNETES, TRACKER, **has)
    assert len(found) == 2
    assert "name of the existing cluster isn't given; it is needed for runner" in found[0]
    assert "add `cluster: {name: ...}`; `aws eks describe-cluster --name NAME`" in found[0]
    assert "oidc_provider_arn of the existing cluster isn't given" in found[1]
    assert "add `cluster: {oidc_provider_arn: ...}`; `aws iam list-open-id" in found[1]


def test_a_key_that_only_another_catalog_knows_may_be_given(eks: Folder, stacks: Stacks) -> None:
    eks.component(
        "odd",
        "step_operator",
        "sagemaker",
        requires=[{"capability": "kubernetes_cluster", "bind": {"other": "other"}}],
        variables={"other": "string"},
    )
    odd = {"kind": ("step_operator", "sagemaker")}
    (found,) = problems(stacks, eks, odd)
    assert "add `cluster: {has: {kubernetes_cluster: {other: ...}}}`" in found
    plan = planned(stacks, eks, odd, has={"kubernetes_cluster": {"other": "x"}})
    assert plan.unit("odd").variables == {"other": "x"}


def test_what_drains_a_whole_cluster_is_not_installed_into_anothers(
    eks: Folder, stacks: Stacks
) -> None:
    (found,) = problems(stacks, eks, TRACKER, **{**FULL, "has": {}})
    assert "driver isn't installed into a cluster that this stack didn't make" in found
    assert "`cluster: {has: {storage_class: {name: ...}}}`" in found


@pytest.mark.parametrize(
    ("has", "says"),
    [
        ({"storage_clas": {"name": "x"}}, "did you mean storage_class?"),
        ({"storage_class": {}}, "name of the cluster's storage_class isn't given"),
        ({"storage_class": {"name": "x", "nmae": "y"}}, "did you mean name?"),
        ({"storage_class": {"name": "x"}, "network": {"id": "y"}}, "network has no key id here"),
        (
            {"storage_class": {"name": "x"}, "kubernetes_cluster": {"cluster_name": "y"}},
            "write `cluster: {name: ...}`",
        ),
        ({"storage_class": {"name": "x"}, "artifact_bucket": {}}, "no base unit on aws provides"),
    ],
)
def test_a_capability_that_the_cluster_can_not_have_is_refused(
    eks: Folder, stacks: Stacks, has: dict[str, Any], says: str
) -> None:
    found = problems(stacks, eks, TRACKER, **{**FULL, "has": has})
    assert any(says in text for text in found), found


def test_a_requirement_counts_only_when_its_key_is_given(eks: Folder, stacks: Stacks) -> None:
    for config in ({}, {"host": ""}):
        plan = stacks.plan(eks, {**TRACKER, "config": config})
        assert "door" not in {u.name for u in plan.units}
        assert "ingress" not in {r.capability for r in plan.unit("tracker").definition.requires}
    given = {"host": "ml.example.com", "ingress_class_name": "mine"}
    plan = stacks.plan(eks, {**TRACKER, "config": given})
    assert "door" in plan.unit("tracker").depends_on
    assert [b.variable for b in plan.unit("tracker").bindings if b.unit == "door"] == ["class"]
    assert plan.unit("door").variables == {"class": "mine"}


def test_a_capability_that_is_there_already_brings_no_unit_in(eks: Folder, stacks: Stacks) -> None:
    tracker = {**TRACKER, "config": {"host": "ml.example.com"}}
    plan = planned(stacks, eks, tracker, **FULL)
    assert [u.name for u in plan.units] == ["door", "tracker"]
    has = {**FULL["has"], "ingress": {"class_name": "nginx"}}  # type: ignore[dict-item]
    plan = planned(stacks, eks, tracker, **{**FULL, "has": has})
    assert [u.name for u in plan.units] == ["tracker"]
    assert plan.unit("tracker").variables["class"] == "nginx"


def test_a_binding_that_may_be_absent_needs_a_default(eks: Folder) -> None:
    eks.component(
        "odd",
        "step_operator",
        "sagemaker",
        tf='variable "a" {}\nvariable "b" {\n  default = 1\n}\n',
        config={"b": {"variable": "b"}},
        requires=[{"capability": "ingress", "when": "b", "bind": {"a": "class_name"}}],
    )
    with pytest.raises(Exception, match="a requirement with `when` may be absent"):
        eks.read()


def test_the_region_of_the_cluster_is_the_stacks(eks: Folder, stacks: Stacks) -> None:
    keys = {"cluster": {"kubeconfig": "kubeconfig", "arn": ARN}}
    plan = stacks.plan(eks, KUBERNETES, default_region=None, **keys)
    assert (plan.region, plan.warnings) == ("eu-north-1", ())
    plan = stacks.plan(eks, KUBERNETES, default_region="us-east-1", **keys)
    assert any("the cluster is in eu-north-1, the stack in us-east-1" in w for w in plan.warnings)
