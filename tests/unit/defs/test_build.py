from __future__ import annotations

import dagster as dg
import pytest
from fake_lifecycle import entry_of

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.build import build_defs
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot

CHAIN = {"network": {}, "bucket": {"needs": ["network"]}, "cluster": {"needs": ["network"]}}


def graph(definitions: dg.Definitions) -> dg.AssetGraph:  # type: ignore[name-defined]
    return definitions.resolve_asset_graph()


def build(site: Site, *entries: StackEntry) -> dg.Definitions:
    definitions = build_defs(StackSnapshot(stacks=entries), site)
    dg.Definitions.validate_loadable(definitions)
    return definitions


def test_a_unit_is_an_asset_with_the_plan_s_edges_and_cleanup_runs_in_reverse(site: Site) -> None:
    found = graph(build(site, entry_of("demo", CHAIN)))
    bucket, network = (names.deploy_key("demo", u) for u in ("bucket", "network"))
    assert found.get(bucket).parent_keys == {network}
    down = [names.cleanup_key("demo", u) for u in ("network", "bucket", "cluster")]
    assert found.get(down[0]).parent_keys == {down[1], down[2]}
    assert found.get(down[1]).parent_keys == set()
    assert not {k for k in found.get(bucket).child_keys if names.is_cleanup(k)}
    assert found.get(bucket).kinds == {"terraform", "aws"}
    assert found.get(bucket).group_name == "demo"
    assert found.get(bucket).description.startswith("**Bucket**")


def test_the_description_says_that_the_sandbox_is_emulated(site: Site) -> None:
    entry = entry_of("demo", CHAIN).model_copy(update={"target": "sandbox", "retired": ("bucket",)})
    found = graph(build(site, entry))
    assert "emulated" in found.get(names.deploy_key("demo", "network")).description
    assert "retired" in found.get(names.deploy_key("demo", "bucket")).description


def test_stacks_whose_names_differ_in_a_dash_only_live_side_by_side(site: Site) -> None:
    definitions = build(site, entry_of("a-b", CHAIN), entry_of("a_b", CHAIN))
    job = definitions.resolve_job_def("deploy")
    assert len({node.name for node in job.graph.nodes}) == 6


def test_a_broken_stack_is_shown_with_the_reason_and_harms_nobody(site: Site) -> None:
    broken = StackEntry(name="bad", problems=("bad.yaml:3: no such type",), file="bad.yaml")
    found = graph(build(site, broken, entry_of("demo", CHAIN)))
    node = found.get(dg.AssetKey(["invalid_stacks", "bad"]))
    assert node.group_name == "invalid_stacks"
    assert "bad.yaml:3: no such type" in node.description
    assert names.deploy_key("demo", "network") in found.get_all_asset_keys()
    assert not node.is_executable


def test_a_deployed_stack_with_a_broken_file_keeps_its_assets(site: Site) -> None:
    entry = entry_of("demo", CHAIN).model_copy(update={"problems": ("broken",)})
    keys = graph(build(site, entry)).get_all_asset_keys()
    assert {names.cleanup_key("demo", "network"), names.invalid_key("demo")} <= set(keys)


def test_names_that_look_like_ours_do_no_harm(site: Site) -> None:
    broken = StackEntry(name="network", problems=("x",))
    stacks = [entry_of(n, CHAIN) for n in ("cleanup", "invalid_stacks", "deploy")]
    build(site, broken, *stacks)


def test_it_loads_without_any_stack(site: Site) -> None:
    definitions = build(site)
    late = names.sweep_key("verified_again")
    assert set(graph(definitions).get_all_asset_keys()) == {late}, "all stacks are destroyed"


def test_jobs_span_all_stacks_and_checks_are_in_none_but_drift(site: Site) -> None:
    definitions = build(site, *(entry_of(f"s{i}", CHAIN) for i in range(3)))
    steps = {
        job: {node.name for node in definitions.resolve_job_def(job).graph.nodes}
        for job in ("deploy", "teardown", "drift")
    }
    for job, found in steps.items():
        assert len(found) == (12 if job == "teardown" else 9), "each teardown is verified"
        assert all(name.startswith(f"{job}__") for name in found)


def test_two_hundred_stacks_load(site: Site) -> None:
    units = {f"u{i}": {"needs": [f"u{i - 1}"] if i else []} for i in range(8)}
    definitions = build_defs(
        StackSnapshot(stacks=tuple(entry_of(f"s-{i}", units) for i in range(200))), site
    )
    assert len(graph(definitions).get_all_asset_keys()) == 3400 + 1
    found = [job.name for job in definitions.jobs or ()]
    assert found == ["deploy", "teardown", "drift", names.VERIFY_JOB]


def test_a_step_process_leaves_out_what_its_run_does_not_do(site: Site) -> None:
    snapshot = StackSnapshot(stacks=(entry_of("demo", CHAIN),))
    definitions = build_defs(snapshot, site, ["teardown"])
    keys = graph(definitions).get_all_asset_keys()
    assert all(map(names.is_cleanup, keys))
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("tags", "owners"),
    [
        ({}, []),
        ({"team": "ml"}, ["team:ml"]),
        ({"Owner": "ada@example.com", "team": "ml"}, ["ada@example.com", "team:ml"]),
        ({"owner": "ml", "team": "ml"}, ["team:ml"]),
        ({"owner": "not an@address", "cost": "x"}, ["team:not an@address"]),
        ({"owner": " "}, []),
        ({"owner": "ada@example.photography"}, ["team:ada@example.photography"]),
    ],
)
def test_the_tags_owner_and_team_are_the_asset_s_owners(
    site: Site, tags: dict[str, str], owners: list[str]
) -> None:
    entry = entry_of("demo", {"bucket": {}})
    assert entry.plan
    unit = entry.plan.units[0].model_copy(update={"tags": tags})
    plan = entry.plan.model_copy(update={"units": (unit,)})
    found = graph(build(site, entry.model_copy(update={"plan": plan})))
    for key in (names.deploy_key("demo", "bucket"), names.cleanup_key("demo", "bucket")):
        assert sorted(found.get(key).owners) == sorted(owners)
