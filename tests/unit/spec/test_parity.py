"""What mlstacks accepts and refuses, line by line, and what it accepts but should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlstacks_dagster.spec.matrix import MATRIX
from tests.unit.spec.writing import ABSENT, Folder, component, stack, triple

QUICKSTART_STACK = """\
spec_version: 1
spec_type: stack
name: quickstart_stack
provider: aws
default_region: eu-north-1
default_tags: {deployed-by: mlstacks}
components: [simple_component_s3.yaml]
"""
QUICKSTART_COMPONENT = """\
spec_version: 1
spec_type: component
component_type: artifact_store
component_flavor: s3
name: quickstart_s3_bucket
provider: aws
metadata:
  config: {bucket_name: quickstart-s3-bucket}
"""


def test_the_quickstart_of_mlstacks_loads_unchanged(folder: Folder) -> None:
    folder.write("stack.yaml", QUICKSTART_STACK)
    folder.write("simple_component_s3.yaml", QUICKSTART_COMPONENT)
    loaded = folder.load()
    assert (loaded.name, loaded.provider, loaded.region) == (
        "quickstart_stack",
        "aws",
        "eu-north-1",
    )
    assert loaded.tags == {"deployed-by": "mlstacks"}
    assert loaded.warnings == ()
    (bucket,) = loaded.components
    assert (bucket.name, bucket.type, bucket.flavor) == (
        "quickstart_s3_bucket",
        "artifact_store",
        "s3",
    )
    assert bucket.config == {"bucket_name": "quickstart-s3-bucket"}
    assert loaded.options.ttl_seconds is None
    assert loaded.options.state.kind == "local"


def test_the_matrix_has_the_thirty_triples_that_mlstacks_deploys() -> None:
    assert len(MATRIX) == 30


@pytest.mark.parametrize(("provider", "kind", "flavor"), sorted(MATRIX))
def test_every_triple_of_the_matrix_is_accepted(
    folder: Folder, provider: str, kind: str, flavor: str
) -> None:
    folder.fill(stack(provider=provider), triple(provider, kind, flavor))
    (loaded,) = folder.load().components
    assert (loaded.provider, loaded.type, loaded.flavor) == (provider, kind, flavor)


@pytest.mark.parametrize(
    "content",
    [
        stack(),
        stack(components=[]),
        stack(components=None),
        stack(default_region=None, default_tags=None, deployment_method=None),
        stack(default_tags={}),
        stack(default_tags={"team": ""}),
        stack(deployment_method="kubernetes"),
        stack(provider="gcp"),
        stack(provider="k3d", default_region="local"),
        stack(name="aria"),
        stack(name="aria-"),
        stack(name="1a"),
        stack(name="5"),
        stack(spec_version="1"),
    ],
    ids=str,
)
def test_a_stack_file_that_mlstacks_accepts_is_accepted(
    folder: Folder, content: dict[str, Any]
) -> None:
    folder.write("stack.yaml", content)
    loaded = folder.load()
    assert loaded.name == content["name"]
    assert loaded.components == ()
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    "metadata",
    [
        ABSENT,
        None,
        {},
        {"config": None, "tags": None, "region": None, "environment_variables": None},
        {"config": {}, "tags": {"a": "b"}, "region": "us-east-1"},
        {"environment_variables": {"AWS_PROFILE": "dev"}},
    ],
    ids=str,
)
def test_metadata_may_be_absent_empty_or_full(folder: Folder, metadata: object) -> None:
    folder.fill(stack(), component(metadata=metadata))
    (loaded,) = folder.load().components
    given = metadata if isinstance(metadata, dict) else {}
    assert loaded.region == given.get("region")
    assert loaded.tags == (given.get("tags") or {})
    assert loaded.environment == (given.get("environment_variables") or {})


@pytest.mark.parametrize(
    ("provider", "kind", "flavor", "says"),
    [
        ("aws", "artifact_store", "gcp", "aws artifact_store: s3; gcp is for gcp"),
        ("k3d", "step_operator", "sagemaker", "k3d has no step_operator"),
        ("k3d", "step_operator", "vertex", "k3d has no step_operator"),
        ("aws", "step_operator", "vertex", "aws step_operator: sagemaker; vertex is for gcp"),
        ("k3d", "orchestrator", "skypilot", "k3d orchestrator: kubeflow, kubernetes, tekton"),
        ("k3d", "orchestrator", "sagemaker", "there is no such flavor: k3d orchestrator"),
        ("gcp", "artifact_store", "gcs", "gcp artifact_store: gcp"),
        ("aws", "artifact_store", "S3", "aws artifact_store: s3"),
        *(
            ("aws", kind, "any", f"component_type '{kind}' isn't known")
            for kind in (
                "feature_store",
                "image_builder",
                "annotator",
                "alerter",
                "data_validator",
                "model_registry",
            )
        ),
    ],
)
def test_every_other_triple_is_refused_with_what_is_allowed(
    folder: Folder, provider: str, kind: str, flavor: str, says: str
) -> None:
    folder.fill(stack(provider=provider), triple(provider, kind, flavor))
    problem = folder.problem()
    assert says in str(problem)
    assert problem.file == folder.path / "c0.yaml"
    assert problem.line in (3, 4)
    assert problem.remedy


def test_all_triples_outside_the_matrix_are_refused(folder: Folder) -> None:
    kinds = {kind for _, kind, _ in MATRIX}
    flavors = {flavor for _, _, flavor in MATRIX}
    wrong = [
        (p, k, f)
        for p in ("aws", "gcp", "k3d")
        for k in kinds
        for f in flavors
        if (p, k, f) not in MATRIX
    ]
    for provider, kind, flavor in wrong:
        folder.fill(stack(provider=provider), triple(provider, kind, flavor))
        assert folder.problem().file == folder.path / "c0.yaml", (provider, kind, flavor)


def test_azure_is_refused_with_the_reason(folder: Folder) -> None:
    folder.fill(stack(), component(provider="azure"))
    assert "azure is known to mlstacks, but has no components" in str(folder.problem())
    folder.write("stack.yaml", stack(provider="azure"))
    problem = folder.problem()
    assert "azure is known to mlstacks, but has no components" in problem.message
    assert problem.line == 4


@pytest.mark.parametrize("key", ["spec_version", "spec_type", "name", "provider"])
@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_required_key_of_a_stack_is_missed(folder: Folder, key: str, value: object) -> None:
    folder.write("stack.yaml", stack(**{key: value}))
    problem = folder.problem()
    assert problem.message == f"{key} is missing"
    assert f"{key}:" in problem.remedy


@pytest.mark.parametrize(
    "key",
    ["spec_version", "spec_type", "name", "provider", "component_type", "component_flavor"],
)
@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_required_key_of_a_component_is_missed(folder: Folder, key: str, value: object) -> None:
    folder.fill(stack(), component(**{key: value}))
    problem = folder.problem()
    assert problem.message == f"{key} is missing"
    assert problem.file == folder.path / "c0.yaml"


@pytest.mark.parametrize(
    "name", ["-aria", "_a", "", "a b", "a.b", "Ä1", 5, "aria\n", "é", "a/b", "٣", True]
)
def test_a_name_that_mlstacks_refuses_is_refused(folder: Folder, name: object) -> None:
    folder.write("stack.yaml", stack(name=name))
    problem = folder.problem()
    assert "name" in problem.message
    assert problem.line == 3
    folder.fill(stack(), component(name=name))
    assert folder.problem().file == folder.path / "c0.yaml"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"spec_version": 2}, "spec_version must be 1, not the number 2"),
        ({"spec_version": True}, "spec_version must be 1, not the boolean true"),
        ({"spec_type": "foo"}, "spec_type 'foo' isn't known"),
        ({"spec_type": ["stack"]}, "spec_type must be text, not a list"),
        ({"deployment_method": "foo"}, "deployment_method 'foo' isn't known"),
        ({"provider": "AWS"}, "provider 'AWS' isn't known (did you mean aws?)"),
        ({"default_tags": ["a"]}, "default_tags must be a mapping, not a list"),
        ({"default_tags": {"a": 1}}, "default_tags.a must be text, not the number 1"),
        ({"default_tags": {"a": True}}, "put the value in quotes"),
        ({"default_tags": {"a": None}}, "default_tags.a must be text, not null"),
        ({"default_region": 5}, "default_region must be text"),
        ({"components": "a.yaml"}, "components must be a list, not 'a.yaml'"),
        ({"components": [1]}, "a component is the path of a file, not the number 1"),
        ({"components": [{"name": "x"}]}, "not a mapping (write the component in a file"),
        ({"components": ["no.yaml"]}, "there is no component file 'no.yaml'"),
        ({"components": ["a\0b"]}, "there is no component file"),
    ],
)
def test_a_stack_file_that_mlstacks_refuses_is_refused(
    folder: Folder, changes: dict[str, Any], says: str
) -> None:
    folder.write("stack.yaml", stack(**changes))
    assert says in str(folder.problem())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"provider": "gcp", "component_flavor": "gcp"}, "for gcp, its stack for aws"),
        ({"provider": "AWS"}, "did you mean aws?"),
        ({"spec_version": 2}, "spec_version must be 1"),
        ({"metadata": []}, "metadata must be a mapping, not a list"),
        ({"metadata": {"config": [1]}}, "config must be a mapping"),
        ({"metadata": {"environment_variables": {"A": 1}}}, "A must be text, not the number 1"),
        ({"metadata": {"tags": ["a"]}}, "tags must be a mapping"),
        ({"metadata": {"region": 1}}, "region must be text"),
    ],
)
def test_a_component_file_that_can_not_be_used_is_refused(
    folder: Folder, changes: dict[str, Any], says: str
) -> None:
    folder.fill(stack(), component(**changes))
    problem = folder.problem()
    assert says in str(problem)
    assert problem.file == folder.path / "c0.yaml"


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n", "a: [1\n", "text\n"])
def test_an_empty_list_shaped_or_broken_file_is_refused_with_its_name(
    folder: Folder, content: str
) -> None:
    path = folder.write("stack.yaml", content)
    assert folder.problem().file == path
    folder.fill(stack(), content)
    problem = folder.problem()
    assert problem.file == folder.path / "c0.yaml"
    assert problem.remedy


def test_a_missing_component_file_says_where_it_was_looked_for(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    folder.write("stack.yaml", stack(components=["sub/no.yaml"]))
    problem = folder.problem()
    assert str(folder.path) in problem.remedy
    assert str(elsewhere) in problem.remedy
    assert problem.line == 6


def test_a_component_beside_the_stack_wins_over_the_current_directory(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Folder(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.chdir(elsewhere.path)
    elsewhere.write("c.yaml", component(name="wrong"))
    folder.write("c.yaml", component(name="right"))
    folder.write("stack.yaml", stack(components=["c.yaml"]))
    loaded = folder.load()
    assert loaded.components[0].name == "right"
    assert loaded.warnings == ()


def test_a_component_in_the_current_directory_is_found_with_a_warning(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Folder(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.chdir(elsewhere.path)
    elsewhere.write("c.yaml", component())
    folder.write("stack.yaml", stack(components=["c.yaml"]))
    loaded = folder.load()
    assert loaded.components[0].source.file == elsewhere.path / "c.yaml"
    (warning,) = loaded.warnings
    assert "found in the current directory" in warning.message
    assert (warning.file, warning.line) == (folder.path / "stack.yaml", 6)


def test_a_component_with_an_absolute_path_is_found(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = Folder(tmp_path_factory.mktemp("else")).write("c.yaml", component())
    folder.write("stack.yaml", stack(components=[str(path)]))
    assert folder.load().components[0].source.file == path


def test_source_files_are_absolute_even_when_the_path_is_not(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlstacks_dagster.spec.load import load_stack
    from tests.unit.spec.writing import settings

    folder.fill(stack(), component())
    monkeypatch.chdir(folder.path)
    loaded = load_stack(Path("stack.yaml"), settings())
    assert loaded.source.file == folder.path / "stack.yaml"
    assert loaded.components[0].source.file == folder.path / "c0.yaml"
    assert loaded.warnings == ()
