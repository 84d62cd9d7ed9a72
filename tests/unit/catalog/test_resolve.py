from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.catalog.models import Binding, Plan
from mlstacks_dagster.errors import CatalogError, SpecError
from tests.unit.catalog.building import KUBERNETES, REGISTRY, S3, Folder, Stacks


def names(plan: Plan) -> list[str]:
    return [unit.name for unit in plan.units]


def refusal(stacks: Stacks, folder: Folder, *components: Any, **keys: Any) -> str:
    with pytest.raises(SpecError) as caught:
        stacks.plan(folder, *components, **keys)
    return str(caught.value)


def line_of(stacks: Stacks, number: int, text: str) -> str:
    """Return ``c0.yaml:7:``, the place of a text in the file of component ``number``."""
    name = f"c{number}.yaml"
    lines = (stacks.path / name).read_text().splitlines()
    return f"{name}:{next(i for i, t in enumerate(lines, 1) if text in t)}: "


def test_a_component_that_needs_nothing_is_a_plan_of_one(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, S3)
    assert names(plan) == ["bucket"]
    assert (plan.stack, plan.provider, plan.region) == ("demo", "aws", "eu-north-1")
    assert plan.source == stacks.path / "stack.yaml"
    unit = plan.unit("bucket")
    assert (unit.component_name, unit.depends_on, unit.bindings) == ("c0", (), ())
    assert unit.source == stacks.path / "c0.yaml"


def test_a_stack_without_components_is_an_empty_plan(cluster: Folder, stacks: Stacks) -> None:
    assert stacks.plan(cluster).units == ()


def test_required_base_units_come_in_with_their_own_requirements(
    cluster: Folder, stacks: Stacks
) -> None:
    plan = stacks.plan(cluster, KUBERNETES)
    assert names(plan) == ["network", "cluster", "runner"]
    assert plan.unit("runner").bindings == (
        Binding(variable="cluster", unit="cluster", output="cluster_id"),
    )
    assert plan.unit("cluster").bindings == (
        Binding(variable="vpc", unit="network", output="vpc_id"),
    )
    assert plan.unit("network").component_name is None
    assert plan.dependents("cluster") == ("runner",)


def test_an_after_edge_exists_only_when_the_provider_is_there(
    cluster: Folder, stacks: Stacks
) -> None:
    alone = stacks.plan(cluster, REGISTRY)
    assert names(alone) == ["registry"]
    assert alone.unit("registry").bindings == ()
    together = stacks.plan(cluster, REGISTRY, KUBERNETES)
    assert names(together) == ["network", "cluster", "registry", "runner"]
    assert together.unit("registry").depends_on == ("cluster",)
    assert together.unit("registry").bindings == (
        Binding(variable="puller", unit="cluster", output="cluster_id"),
    )


def test_the_plan_is_the_same_however_the_components_are_listed(
    cluster: Folder, stacks: Stacks
) -> None:
    first = stacks.plan(cluster, S3, REGISTRY, KUBERNETES)
    second = stacks.plan(cluster, KUBERNETES, REGISTRY, S3)
    assert names(first) == names(second) == ["bucket", "network", "cluster", "registry", "runner"]


def test_a_plan_survives_json(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, S3, KUBERNETES)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_config_reaches_the_variables_and_nothing_else_does(
    cluster: Folder, stacks: Stacks
) -> None:
    plan = stacks.plan(cluster, {**S3, "config": {"bucket_name": "my-bucket"}})
    assert plan.unit("bucket").variables == {"bucket_name": "my-bucket"}
    assert stacks.plan(cluster, S3).unit("bucket").variables == {}


def test_a_key_of_a_base_unit_reaches_the_base_unit(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(
        cluster, {**KUBERNETES, "config": {"node_count": 3, "vpc_cidr": "10.1.0.0/16"}}
    )
    assert plan.unit("cluster").variables == {"node_count": 3}
    assert plan.unit("network").variables == {"vpc_cidr": "10.1.0.0/16"}
    assert plan.unit("runner").variables == {}


def test_an_own_key_wins_over_a_base_unit_of_that_key(cluster: Folder, stacks: Stacks) -> None:
    cluster.component(
        "tracker",
        "experiment_tracker",
        "mlflow",
        requires=[{"capability": "network"}],
        variables={"count": "number"},
        config={"node_count": {"variable": "count"}},
    )
    plan = stacks.plan(
        cluster, KUBERNETES, {"kind": ("experiment_tracker", "mlflow"), "config": {"node_count": 2}}
    )
    assert plan.unit("tracker").variables == {"count": 2}
    assert plan.unit("cluster").variables == {}


def test_one_base_key_with_one_value_from_two_components_is_fine(
    cluster: Folder, stacks: Stacks
) -> None:
    config = {"config": {"node_count": 3}}
    plan = stacks.plan(cluster, {**KUBERNETES, **config}, {**S3, **config})
    assert plan.unit("cluster").variables == {"node_count": 3}


def test_one_base_key_with_two_values_names_both_lines(cluster: Folder, stacks: Stacks) -> None:
    text = refusal(
        stacks,
        cluster,
        {**KUBERNETES, "config": {"node_count": 3}},
        {**S3, "config": {"node_count": 4}},
    )
    assert line_of(stacks, 1, "node_count") + "node_count of cluster is 4 here and 3 in" in text
    assert line_of(stacks, 0, "node_count").rstrip(": ") in text


def test_an_unknown_key_names_the_nearest_and_all_known_ones(
    cluster: Folder, stacks: Stacks
) -> None:
    text = refusal(stacks, cluster, {**S3, "config": {"bucketname": "x"}})
    assert line_of(stacks, 0, "bucketname") + "unknown key bucketname for artifact_store s3" in text
    assert "did you mean bucket_name? known: bucket_name, region, zenml-version" in text


def test_a_key_of_a_base_unit_that_is_not_needed_says_so(cluster: Folder, stacks: Stacks) -> None:
    text = refusal(stacks, cluster, {**S3, "config": {"node_count": 3}})
    assert "node_count is a key of cluster, which this stack doesn't need" in text


@pytest.mark.parametrize(
    ("component", "key", "value", "words"),
    [
        (KUBERNETES, "node_count", "many", 'node_count: must be a number, not the text "many"'),
        (KUBERNETES, "node_count", "many", "(How many nodes.)"),
        (S3, "bucket_name", "My_Bucket", "bucket_name: a bucket name has only lowercase"),
        (S3, "bucket_name", ["a"], "bucket_name: must be text, not a list"),
        (S3, "bucket_name", None, "bucket_name: has no value"),
    ],
)
def test_a_value_that_terraform_or_the_cloud_would_refuse_is_refused_here(
    cluster: Folder, stacks: Stacks, component: Any, key: str, value: object, words: str
) -> None:
    text = refusal(stacks, cluster, {**component, "config": {key: value}})
    assert words in text
    assert line_of(stacks, 0, key) in text


def test_the_value_of_a_sensitive_variable_is_never_shown(folder: Folder, stacks: Stacks) -> None:
    folder.component(
        "bucket",
        "artifact_store",
        "s3",
        tf='variable "pin" {\n  type = number\n  sensitive = true\n  default = 0\n}\n',
        config={"pin": {"variable": "pin"}},
    )
    text = refusal(stacks, folder, {**S3, "config": {"pin": "hunter2"}})
    assert "pin: must be of type number" in text
    assert "hunter2" not in text


def test_every_problem_is_reported_at_once(cluster: Folder, stacks: Stacks) -> None:
    with pytest.raises(SpecError) as caught:
        stacks.plan(
            cluster,
            {**S3, "config": {"bucketname": "x"}},
            {**KUBERNETES, "config": {"node_count": "many"}},
            {"kind": ("step_operator", "sagemaker")},
        )
    assert [p.file.name for p in caught.value.problems if p.file] == [
        "c0.yaml", "c1.yaml", "c2.yaml",
    ]  # fmt: skip


def test_a_flavor_that_only_mlstacks_has_says_so(cluster: Folder, stacks: Stacks) -> None:
    text = refusal(stacks, cluster, {"kind": ("step_operator", "sagemaker")})
    place = line_of(stacks, 0, "component_flavor")
    words = "step_operator sagemaker on aws is known to mlstacks, not in the catalog yet"
    assert place + words in text
    assert "the catalog has for aws: artifact_store s3," in text


def test_a_capability_that_nothing_provides_is_an_error(folder: Folder, stacks: Stacks) -> None:
    folder.component("bucket", "artifact_store", "s3", requires=[{"capability": "moon"}])
    text = refusal(stacks, folder, S3)
    assert line_of(stacks, 0, "flavor") + "bucket requires `moon`; nothing on aws provides" in text


def test_a_provider_on_another_cloud_does_not_count(folder: Folder, stacks: Stacks) -> None:
    folder.component("bucket", "artifact_store", "s3", requires=[{"capability": "moon"}])
    folder.base("moon", "moon", provider="gcp", folder="gcp/moon")
    assert "nothing on aws provides it" in refusal(stacks, folder, S3)


def test_a_capability_that_only_a_component_provides_names_it(
    folder: Folder, stacks: Stacks
) -> None:
    folder.component("bucket", "artifact_store", "s3", provides=[{"capability": "bucket"}])
    folder.component("registry", "container_registry", "aws", requires=[{"capability": "bucket"}])
    text = refusal(stacks, folder, REGISTRY)
    assert "registry requires `bucket`, which this stack lacks" in text
    assert "add a component that provides it: artifact_store s3" in text
    assert names(stacks.plan(folder, REGISTRY, S3)) == ["bucket", "registry"]


def test_of_two_providers_the_one_in_the_plan_is_taken(folder: Folder, stacks: Stacks) -> None:
    folder.base("plain_network", "network")
    folder.component("mesh", "data_lake", "mesh", provides=[{"capability": "network"}])
    folder.component("bucket", "artifact_store", "s3", requires=[{"capability": "network"}])
    assert names(stacks.plan(folder, S3)) == ["plain_network", "bucket"]
    assert names(stacks.plan(folder, S3, {"kind": ("data_lake", "mesh")})) == ["mesh", "bucket"]


def test_two_base_units_for_one_capability_are_ambiguous(folder: Folder, stacks: Stacks) -> None:
    folder.base("net_a", "network")
    folder.base("net_b", "network")
    folder.component("bucket", "artifact_store", "s3", requires=[{"capability": "network"}])
    text = refusal(stacks, folder, S3)
    assert "bucket needs one `network`, but net_a and net_b provide it" in text


def test_a_component_may_be_made_of_several_units(folder: Folder, stacks: Stacks) -> None:
    kind = ("model_deployer", "seldon")
    folder.component("a_release", *kind, requires=[{"capability": "rights"}])
    folder.component(
        "rights",
        *kind,
        provides=[{"capability": "rights"}],
        variables={"size": "number"},
        config={"size": {"variable": "size"}},
    )
    plan = stacks.plan(folder, {"kind": kind, "config": {"size": 1}})
    assert names(plan) == ["rights", "a_release"]
    assert {unit.component_name for unit in plan.units} == {"c0"}
    assert plan.unit("rights").variables == {"size": 1}


def test_a_cycle_is_shown_edge_by_edge(folder: Folder, stacks: Stacks) -> None:
    folder.component("bucket", "artifact_store", "s3", requires=[{"capability": "one"}])
    folder.base("unit_one", "one", requires=["two"])
    folder.base("unit_two", "two", after=[{"capability": "one"}])
    with pytest.raises(CatalogError) as caught:
        stacks.plan(folder, S3)
    text = str(caught.value)
    assert "unit_two -> unit_one (unit_one requires two provided by unit_two)" in text
    assert "unit_one -> unit_two (unit_two comes after one provided by unit_one)" in text
    assert "bucket" not in text


def test_tags_of_the_component_go_over_those_of_the_stack(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(
        cluster,
        {**KUBERNETES, "tags": {"team": "b", "more": "x"}},
        default_tags={"team": "a", "all": "y"},
    )
    assert plan.unit("runner").tags == {"team": "b", "all": "y", "more": "x"}
    assert plan.unit("cluster").tags == {"team": "a", "all": "y"}


def test_environment_variables_reach_the_units_of_their_component_only(
    cluster: Folder, stacks: Stacks
) -> None:
    plan = stacks.plan(cluster, {**KUBERNETES, "environment_variables": {"A": "b"}})
    assert plan.unit("runner").environment == {"A": "b"}
    assert plan.unit("cluster").environment == {}


def test_the_region_of_a_component_wins_and_base_units_keep_the_stacks(
    cluster: Folder, stacks: Stacks
) -> None:
    plan = stacks.plan(cluster, {**KUBERNETES, "region": "us-west-2"})
    assert plan.region == "eu-north-1"
    assert plan.unit("runner").region == "us-west-2"
    assert plan.unit("cluster").region == "eu-north-1"
    assert any("runner in us-west-2 uses cluster in eu-north-1" in w for w in plan.warnings)
    assert len(plan.warnings) == 2  # the other one is the spec's: it differs from default_region


def test_config_region_works_like_metadata_region(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, {**S3, "config": {"region": "us-west-2"}}, default_region=None)
    assert plan.unit("bucket").region == plan.region == "us-west-2"
    assert plan.warnings == ()
    assert plan.unit("bucket").variables == {}


def test_without_any_region_a_default_is_used_and_said(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, S3, default_region=None)
    assert plan.region == plan.unit("bucket").region == "us-east-1"
    assert any("names no region; us-east-1 is used" in warning for warning in plan.warnings)


def test_two_regions_and_no_default_region_leave_base_units_in_the_default(
    cluster: Folder, stacks: Stacks
) -> None:
    plan = stacks.plan(
        cluster,
        {**S3, "region": "us-west-2"},
        {**KUBERNETES, "region": "eu-west-1"},
        default_region=None,
    )
    assert plan.unit("network").region == "us-east-1"


def test_the_zenml_version_is_the_plans_and_no_variable(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, {**S3, "config": {"zenml-version": "0.98.0"}})
    assert plan.zenml_version == "0.98.0"
    assert plan.unit("bucket").variables == {}
    assert stacks.plan(cluster, S3).zenml_version is None


def test_two_zenml_versions_contradict(cluster: Folder, stacks: Stacks) -> None:
    text = refusal(
        stacks,
        cluster,
        {**S3, "config": {"zenml-version": "0.98.0"}},
        {**KUBERNETES, "config": {"zenml-version": "0.97.0"}},
    )
    assert "zenml-version of the stack is '0.97.0' here and '0.98.0' in" in text


def test_options_and_warnings_of_the_stack_reach_the_plan(cluster: Folder, stacks: Stacks) -> None:
    plan = stacks.plan(cluster, S3, ttl="8h", protect=True)
    assert plan.options.ttl_seconds == 8 * 3600
    assert plan.options.protect is True


RULED = """
variable "size" {
  type      = number
  sensitive = true
  default   = 1
  validation {
    condition     = var.size > 0
    error_message = "size must be positive."
  }
}
variable "bound" {
  type    = string
  default = null
  validation {
    condition     = var.bound == null || var.size < 10
    error_message = "size must be small."
  }
}
"""


def test_a_module_s_rule_is_said_but_never_a_sensitive_value(
    folder: Folder, stacks: Stacks
) -> None:
    folder.component(
        "bucket", "artifact_store", "s3", tf=RULED, config={"size": {"variable": "size"}}
    )
    found = refusal(stacks, folder, {**S3, "config": {"size": -48151623}})
    assert line_of(stacks, 0, "size") + "size can't be this value (size must be positive.)" in found
    assert "48151623" not in found


def test_a_rule_that_needs_what_only_the_deploy_knows_is_left_to_it(
    folder: Folder, stacks: Stacks
) -> None:
    provides = [{"capability": "network", "outputs": {"id": "id"}}]
    folder.unit("network", provides=provides, outputs=["id"])
    folder.component(
        "bucket",
        "artifact_store",
        "s3",
        tf=RULED,
        config={"size": {"variable": "size"}},
        requires=[{"capability": "network", "bind": {"bound": "id"}}],
    )
    plan = stacks.plan(folder, {**S3, "config": {"size": 20}})
    assert plan.unit("bucket").variables == {"size": 20}


def test_credentials_that_only_a_part_of_the_stack_has_are_a_warning(
    cluster: Folder, stacks: Stacks
) -> None:
    own = {"environment_variables": {"MY_FLAG": "1", "AWS_PROFILE": "prod"}}
    (warning,) = stacks.plan(cluster, KUBERNETES | own).warnings
    assert warning.startswith(f"{stacks.path}/")
    assert line_of(stacks, 0, "AWS_PROFILE") in warning
    assert "(AWS_PROFILE)" in warning
    assert "cluster, network have others" in warning
    assert "a stack of its own" in warning
    assert "prod" not in warning

    two = {"environment_variables": {"AWS_PROFILE": "dev"}}
    found = stacks.plan(cluster, S3 | own, REGISTRY | two).warnings
    assert ["bucket has others" in w or "registry has others" in w for w in found] == [True] * 2


def test_credentials_that_all_units_share_are_no_warning(cluster: Folder, stacks: Stacks) -> None:
    own = {"environment_variables": {"AWS_PROFILE": "prod"}}
    assert stacks.plan(cluster, S3 | own, REGISTRY | own).warnings == ()
    other = {"environment_variables": {"AWS_REGION": "eu-west-1"}}
    assert stacks.plan(cluster, S3 | other, REGISTRY).warnings == ()
