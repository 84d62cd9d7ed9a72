"""What mlstacks accepts silently but should not, and several findings at once."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.errors import SettingError, SpecError
from mlstacks_dagster.settings import Settings, data_root
from mlstacks_dagster.spec.fields import MAX_NAME
from mlstacks_dagster.spec.load import load_stack
from tests.unit.spec.writing import NOW, Folder, component, settings, stack, triple


def gcp(config: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    return triple("gcp", "artifact_store", "gcp", metadata={"config": config}, **changes)


def test_a_component_file_in_place_of_a_stack_says_where_it_belongs(folder: Folder) -> None:
    folder.write("stack.yaml", component())
    problem = folder.problem()
    assert "put it under `components:` of a stack" in problem.remedy
    assert problem.line == 2


def test_a_stack_file_in_place_of_a_component_is_named(folder: Folder) -> None:
    folder.fill(stack(), stack(name="other"))
    problem = folder.problem()
    assert "this is a stack file" in problem.remedy
    assert (problem.file, problem.line) == (folder.path / "c0.yaml", 2)


def test_k3d_with_sagemaker_is_no_flavor(folder: Folder) -> None:
    folder.fill(stack(provider="k3d"), triple("k3d", "orchestrator", "sagemaker"))
    problem = folder.problem()
    assert problem.message == "there is no such flavor: k3d orchestrator 'sagemaker'"
    assert "sagemaker is for aws" in problem.remedy
    assert problem.line == 4


def test_a_flavor_of_the_catalog_is_accepted_though_mlstacks_does_not_know_it(
    folder: Folder,
) -> None:
    folder.fill(
        stack(), triple("aws", "model_deployer", "kserve"), triple("aws", "annotator", "label")
    )
    assert len(folder.problems()) == 2
    known = {("aws", "model_deployer", "kserve"), ("aws", "annotator", "label")}
    assert [c.flavor for c in folder.load(known=known).components] == ["kserve", "label"]


def test_gcp_without_project_id_is_an_error(folder: Folder) -> None:
    folder.fill(stack(provider="gcp"), gcp({"bucket_name": "b"}))
    problem = folder.problem()
    assert problem.message == "a gcp component needs a project_id"
    assert "project_id: my-project" in problem.remedy
    assert (problem.file, problem.line) == (folder.path / "c0.yaml", 8)


def test_one_project_id_serves_all_components_of_a_stack(folder: Folder) -> None:
    registry = triple("gcp", "container_registry", "gcp", metadata={"config": {"project_id": None}})
    folder.fill(stack(provider="gcp"), gcp({"project_id": "my-project"}), registry)
    assert [c.config for c in folder.load().components] == [{"project_id": "my-project"}] * 2


def test_two_project_ids_contradict(folder: Folder) -> None:
    registry = triple(
        "gcp", "container_registry", "gcp", metadata={"config": {"project_id": "other-project"}}
    )
    folder.fill(stack(provider="gcp"), gcp({"project_id": "my-project"}), registry)
    problem = folder.problem()
    assert "differs from 'my-project'" in problem.message
    assert (problem.file, problem.line) == (folder.path / "c1.yaml", 9)


@pytest.mark.parametrize("project", ["My-Project", "short", "ends-with-", 123456])
def test_a_project_id_that_google_refuses_is_refused(folder: Folder, project: object) -> None:
    folder.fill(stack(provider="gcp"), gcp({"project_id": project}))
    assert folder.problem().message == "project_id can't be used"


def test_region_in_config_is_the_region_of_the_component(folder: Folder) -> None:
    folder.fill(
        stack(), component(metadata={"config": {"region": "us-east-1", "bucket_name": "b"}})
    )
    loaded = folder.load()
    assert loaded.components[0].region == "us-east-1"
    assert loaded.components[0].config == {"bucket_name": "b"}
    assert loaded.warnings == ()


def test_the_same_region_twice_is_fine_and_two_regions_contradict(folder: Folder) -> None:
    metadata = {"region": "us-east-1", "config": {"region": "us-east-1"}}
    folder.fill(stack(), component(metadata=metadata))
    assert folder.load().components[0].region == "us-east-1"
    metadata["config"] = {"region": "us-east-2"}
    folder.fill(stack(), component(metadata=metadata))
    problem = folder.problem()
    assert "contradicts metadata.region 'us-east-1'" in problem.message
    assert problem.line == 10


@pytest.mark.parametrize(
    ("metadata", "line"), [({"region": "us-east-1"}, 8), ({"config": {"region": "us-east-1"}}, 9)]
)
def test_a_region_that_differs_from_the_stack_is_a_warning(
    folder: Folder, metadata: dict[str, Any], line: int
) -> None:
    folder.fill(stack(default_region="eu-north-1"), component(metadata=metadata))
    loaded = folder.load()
    (warning,) = loaded.warnings
    assert "differs from the stack's default_region eu-north-1" in warning.message
    assert (warning.file, warning.line) == (folder.path / "c0.yaml", line)
    assert loaded.components[0].region == "us-east-1"


@pytest.mark.parametrize(
    ("provider", "region", "near"),
    [
        ("aws", "eu-nort-1", "eu-north-1"),
        ("aws", "eu-north-1a", "eu-north-1"),
        ("aws", "EU-NORTH-1", "eu-north-1"),
        ("gcp", "europe-west11", "europe-west1"),
        ("gcp", "eu-north-1", "europe-north1"),
    ],
)
def test_a_region_that_does_not_exist_names_the_nearest(
    folder: Folder, provider: str, region: str, near: str
) -> None:
    folder.write("stack.yaml", stack(provider=provider, default_region=region))
    problem = folder.problem()
    assert problem.message == f"{provider} has no region {region!r}"
    assert near in problem.remedy
    assert f"MLSTACKS_EXTRA_REGIONS={region}" in problem.remedy


def test_a_region_of_a_component_is_checked_too(folder: Folder) -> None:
    folder.fill(stack(), component(metadata={"region": "mars-1"}))
    assert folder.problem().line == 8
    folder.fill(stack(), component(metadata={"config": {"region": "mars-1"}}))
    assert folder.problem().line == 9


def test_an_extra_region_of_the_settings_is_allowed(folder: Folder) -> None:
    folder.write("stack.yaml", stack(default_region="mars-1"))
    assert folder.load(settings=settings(extra_regions=("mars-1",))).region == "mars-1"


def test_an_empty_region_is_left_out_with_a_warning(folder: Folder) -> None:
    folder.write("stack.yaml", stack(default_region=""))
    loaded = folder.load()
    assert loaded.region is None
    assert [w.message for w in loaded.warnings] == ["default_region is empty"]


def test_two_orchestrators_are_refused(folder: Folder) -> None:
    first = triple("aws", "orchestrator", "kubernetes")
    second = {**triple("aws", "orchestrator", "sagemaker"), "name": "second"}
    folder.fill(stack(), first, second)
    problem = folder.problem()
    assert problem.message == f"a second orchestrator; the first is in {folder.path / 'c0.yaml'}"
    assert (problem.file, problem.line) == (folder.path / "c1.yaml", 3)


def test_one_name_for_two_components_is_refused(folder: Folder) -> None:
    folder.fill(
        stack(), component(), {**triple("aws", "container_registry", "aws"), "name": "store"}
    )
    problem = folder.problem()
    assert "the name 'store' is taken" in problem.message
    assert problem.line == 5


@pytest.mark.parametrize("second", ["c.yaml", "./c.yaml", "sub/../c.yaml", "link.yaml"])
def test_one_file_listed_twice_is_refused_however_it_is_spelled(
    folder: Folder, second: str
) -> None:
    folder.write("c.yaml", component())
    (folder.path / "sub").mkdir()
    (folder.path / "link.yaml").symlink_to("c.yaml")
    folder.write("stack.yaml", stack(components=["c.yaml", second]))
    problem = folder.problem()
    assert problem.message == f"component file {second} is listed twice; first on line 6"
    assert problem.line == 7


@pytest.mark.parametrize(
    ("key", "near"),
    [("defaul_tags", "default_tags"), ("Components", "components"), ("on-failure", "on_failure")],
)
def test_an_unknown_key_of_a_stack_names_the_nearest(folder: Folder, key: str, near: str) -> None:
    folder.write("stack.yaml", stack(**{key: "x"}))
    problem = folder.problem()
    assert problem.message == f"unknown key {key!r}"
    assert problem.remedy == f"did you mean {near}?"
    assert problem.line == 5


def test_unknown_keys_of_a_component_and_its_metadata_are_refused(folder: Folder) -> None:
    folder.fill(stack(), component(flavour="x", metadata={"environment": {}, "zzz": 1}))
    first, second, third = folder.problems()
    assert first.remedy == "did you mean component_flavor?" or "known:" in first.remedy
    assert second.remedy == "did you mean environment_variables?"
    assert third.remedy == "known: config, environment_variables, region, tags"
    assert [first.line, second.line, third.line] == [7, 9, 10]


def test_all_problems_of_all_files_are_reported_at_once_in_order(folder: Folder) -> None:
    folder.write(
        "stack.yaml",
        textwrap.dedent("""\
            spec_version: 2
            spec_type: stack
            name: a b
            provider: aws
            default_region: nowhere
            ttl: soon
            components:
              - c.yaml
              - broken.yaml
              - missing.yaml
            """),
    )
    folder.write("c.yaml", {**component(name="_x"), "metadata": {"tags": {"aws:x": "y"}}})
    folder.write("broken.yaml", "a: [\n")
    found = [(p.file.name if p.file else "", p.line) for p in folder.problems()]
    assert found == [
        ("stack.yaml", 1),
        ("stack.yaml", 3),
        ("stack.yaml", 5),
        ("stack.yaml", 6),
        ("stack.yaml", 10),
        ("c.yaml", 5),
        ("c.yaml", 9),
        ("broken.yaml", 1),
    ]


def test_every_problem_of_a_thoroughly_broken_stack_has_file_line_and_remedy(
    folder: Folder,
) -> None:
    folder.fill(
        stack(name=1, provider="x", default_tags=[], ttl=1, protect="no", state=4, foo=1),
        component(
            name=None, component_type=1, metadata={"config": [], "tags": {"mlstacks-x": "1"}}
        ),
    )
    problems = folder.problems()
    assert len(problems) >= 10
    for problem in problems:
        assert problem.file is not None
        assert problem.line is not None
        assert problem.remedy


def test_the_default_clock_is_the_real_one(folder: Folder) -> None:
    path = folder.write("stack.yaml", stack(expires_at="2000-01-01T00:00:00Z"))
    loaded = load_stack(path, settings(), now=None)
    assert loaded.options.expires_at == 946_684_800
    assert "in the past" in folder.problem(now=lambda: NOW).message
    from mlstacks_dagster.errors import SpecError

    with pytest.raises(SpecError, match="in the past"):
        load_stack(path, settings())


EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/stack.yaml")), ids=lambda p: p.parent.name)
def test_every_example_loads_without_a_warning(path: Path) -> None:
    loaded = load_stack(path, Settings.load({}))
    assert loaded.warnings == ()
    assert loaded.components


def test_the_examples_are_found_and_point_editors_at_the_schema() -> None:
    files = sorted(EXAMPLES.glob("*/*.yaml"))
    assert {"aws-minimal", "aws-quickstart", "aws-sagemaker", "aws-skypilot"} <= {
        f.parent.name for f in files
    }
    line = "# yaml-language-server: $schema=../../schemas/stack.schema.json"
    assert [f for f in files if f.read_text().splitlines()[0] != line] == []


def test_each_component_file_of_the_examples_is_used_by_its_stack() -> None:
    for path in EXAMPLES.glob("*/stack.yaml"):
        used = {c.source.file for c in load_stack(path, Settings.load({})).components}
        assert used == set(path.parent.glob("*.yaml")) - {path}


def test_a_component_that_is_no_file_is_named_at_the_stack_s_line(folder: Folder) -> None:
    (folder.path / "d").mkdir()
    folder.write("stack.yaml", stack(components=["d", "/dev/zero"]))
    first, second = folder.problems()
    assert (first.file, first.line) == (folder.path / "stack.yaml", 6)
    assert first.message == "component file 'd': this is a folder"
    assert (second.file, second.line) == (folder.path / "stack.yaml", 7)
    assert second.message == "component file '/dev/zero': this is not a regular file"


def test_a_path_that_is_too_long_is_a_problem_at_its_line(folder: Folder) -> None:
    folder.write("stack.yaml", stack(components=["x" * 5000 + ".yaml"]))
    problem = folder.problem()
    assert problem.line == 6
    assert "can't be looked up" in problem.message
    assert len(str(problem)) < 1000


@pytest.mark.parametrize("name", ["a" * MAX_NAME, "1a"])
def test_a_name_of_the_longest_length_is_kept(folder: Folder, name: str) -> None:
    folder.write("stack.yaml", stack(name=name))
    assert folder.load().name == name


def test_a_longer_name_is_refused_with_the_rule(folder: Folder) -> None:
    folder.fill(stack(name="a" * 101), component(name="b" * 101))
    first, second = folder.problems()
    assert "at most 100 characters" in first.remedy
    assert "at most 100 characters" in second.remedy


def test_a_current_folder_that_is_gone_matters_to_relative_paths_only(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.fill(stack(), component())
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Settings.load({"MLSTACKS_HOME": str(tmp_path)}).stacks_dir == data_root() / "examples"
    with pytest.raises(SettingError, match="current folder has been removed"):
        Settings.load({"MLSTACKS_HOME": "home"})
    assert folder.load().name == "demo"
    with pytest.raises(SpecError, match="current folder has been removed"):
        load_stack(Path("stack.yaml"), settings())
    folder.write("stack.yaml", stack(components=["nowhere.yaml"]))
    assert folder.problem().remedy == f"looked in {folder.path}"
