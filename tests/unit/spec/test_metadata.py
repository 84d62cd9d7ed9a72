"""Environment variables and tags."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.spec.metadata import MAX_USER_TAGS, MAX_VALUE_BYTES
from tests.unit.spec.writing import Folder, component, stack, triple


def with_metadata(folder: Folder, **metadata: Any) -> Folder:
    folder.fill(stack(), component(metadata=metadata))
    return folder


@pytest.mark.parametrize(
    "name",
    ["AWS_PROFILE", "GOOGLE_CLOUD_PROJECT", "HTTPS_PROXY", "http_proxy", "NO_PROXY", "_X", "TFX"],
)
def test_an_environment_variable_for_the_tools_is_kept(folder: Folder, name: str) -> None:
    with_metadata(folder, environment_variables={name: "value"})
    assert folder.load().components[0].environment == {name: "value"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PATH", "which programs"),
        ("HOME", "credentials"),
        ("KUBECONFIG", "kubeconfig of its own"),
        ("LD_PRELOAD", "libraries"),
        ("DYLD_INSERT_LIBRARIES", "libraries"),
        ("PYTHONPATH", "libraries"),
        ("TF_CLI_ARGS", "Terraform"),
        ("TF_CLI_ARGS_apply", "Terraform"),
        ("TF_VAR_region", "Terraform"),
        ("TF_LOG", "Terraform"),
        ("TF_WORKSPACE", "Terraform"),
        ("TF_DATA_DIR", "Terraform"),
        ("tf_log", "Terraform"),
        ("HELM_PLUGINS", "Helm"),
        ("MLSTACKS_HOME", "own settings"),
        ("DAGSTER_HOME", "own settings"),
        ("BASH_ENV", "programs"),
    ],
)
def test_a_variable_that_would_change_our_own_work_is_refused_with_the_reason(
    folder: Folder, name: str, reason: str
) -> None:
    with_metadata(folder, environment_variables={"OK": "1", name: "value"})
    problem = folder.problem()
    assert name in problem.message
    assert reason in problem.message
    assert problem.line == 10


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", "A=B", "É", "A\n"])
def test_a_name_that_no_environment_takes_is_refused(folder: Folder, name: str) -> None:
    with_metadata(folder, environment_variables={name: "value"})
    assert "can't be the name" in folder.problem().message


def test_a_value_with_nul_is_refused_and_never_shown(folder: Folder) -> None:
    with_metadata(folder, environment_variables={"TOKEN": "secret\0value"})
    problem = folder.problem()
    assert "NUL" in problem.message
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    "tags",
    [
        {"deployed-by": "mlstacks"},
        {"Team Ä": "_.:/=+-@ 1"},
        {"k" * 128: "v" * 256},
        {"empty": ""},
        {"awsome": "x"},
        {f"k{i}": "v" for i in range(MAX_USER_TAGS)},
    ],
    ids=lambda t: str(t)[:30],
)
def test_tags_that_aws_takes_are_kept(folder: Folder, tags: dict[str, str]) -> None:
    folder.fill(stack(default_tags=tags), component(metadata={"tags": tags}))
    loaded = folder.load()
    assert loaded.tags == tags
    assert loaded.components[0].tags == tags


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("", "v", "1 to 128"),
        ("k" * 129, "v", "1 to 128"),
        ("k", "v" * 257, "at most 256"),
        ("aws:x", "v", "belong to AWS"),
        ("AWS:x", "v", "belong to AWS"),
        ("a,b", "v", "only letters"),
        ("k", "a*b", "only letters"),
        ("k", "a\nb", "only letters"),
        ("k", "🙂", "only letters"),
    ],
)
def test_a_tag_that_aws_refuses_is_refused_with_the_rule(
    folder: Folder, key: str, value: str, rule: str
) -> None:
    folder.fill(stack(default_tags={key: value}), component(metadata={"tags": {key: value}}))
    first, second = folder.problems()
    assert rule in first.remedy
    assert rule in second.remedy
    assert (first.file, second.file) == (folder.path / "stack.yaml", folder.path / "c0.yaml")


def test_the_rules_of_aws_are_not_those_of_other_clouds(folder: Folder) -> None:
    tags = {"a,b": "v" * 300}
    store = triple(
        "gcp",
        "artifact_store",
        "gcp",
        metadata={"config": {"project_id": "my-project"}, "tags": tags},
    )
    folder.fill(stack(provider="gcp", default_tags=tags), store)
    assert folder.load().tags == tags


@pytest.mark.parametrize("provider", ["aws", "gcp", "k3d"])
@pytest.mark.parametrize("key", ["mlstacks-stack", "Mlstacks-x"])
def test_keys_of_the_ownership_marks_are_refused_everywhere(
    folder: Folder, provider: str, key: str
) -> None:
    folder.write("stack.yaml", stack(provider=provider, default_tags={key: "x"}))
    assert "ownership marks" in folder.problem().message


def test_more_tags_than_aws_allows_beside_the_marks_are_refused(folder: Folder) -> None:
    assert MAX_USER_TAGS == 37
    many = {f"k{i}": "v" for i in range(MAX_USER_TAGS + 1)}
    folder.write("stack.yaml", stack(default_tags=many))
    problem = folder.problem()
    assert problem.message == "38 tags in default_tags"
    assert "at most 37" in problem.remedy


def test_tags_of_stack_and_component_are_counted_together(folder: Folder) -> None:
    first = {f"a{i}": "v" for i in range(30)}
    second = {f"b{i}": "v" for i in range(8)}
    folder.fill(stack(default_tags=first), component(metadata={"tags": second}))
    problem = folder.problem()
    assert problem.message == "38 tags with the stack's default_tags"
    assert (problem.file, problem.line) == (folder.path / "c0.yaml", 8)
    same = {f"a{i}": "w" for i in range(30)}
    folder.fill(stack(default_tags=first), component(metadata={"tags": same}))
    folder.load()


@pytest.mark.parametrize("key", ["name", "NAME", "nAme"])
def test_a_tag_beside_our_name_tag_that_iam_takes_for_it_is_refused(
    folder: Folder, key: str
) -> None:
    folder.write("stack.yaml", stack(default_tags={"a": "1", key: "x"}))
    problem = folder.problem()
    assert problem.message == f"tag '{key}' differs from 'Name' in case only"
    assert problem.line == 7


def test_a_name_tag_written_as_ours_is_kept(folder: Folder) -> None:
    folder.write("stack.yaml", stack(default_tags={"Name": "x"}))
    assert folder.load().tags == {"Name": "x"}


def test_tags_that_iam_takes_for_one_are_refused(folder: Folder) -> None:
    folder.write("stack.yaml", stack(default_tags={"Team": "x", "team": "y"}))
    assert folder.problem().message == ("tag 'team' differs from 'Team' in case only")
    folder.write("stack.yaml", stack(provider="k3d", default_tags={"Team": "x", "team": "y"}))
    folder.load()


def test_a_component_s_tag_that_iam_takes_for_one_of_the_stack_s_is_refused(
    folder: Folder,
) -> None:
    folder.fill(stack(default_tags={"Team": "x"}), component(metadata={"tags": {"TEAM": "z"}}))
    problem = folder.problem()
    assert problem.message == "tag 'TEAM' and the stack's 'Team' are one key to IAM"
    assert (problem.file, problem.line) == (folder.path / "c0.yaml", 9)
    folder.fill(stack(default_tags={"Team": "x"}), component(metadata={"tags": {"Team": "z"}}))
    folder.load()


def test_a_value_longer_than_32_kib_is_refused_and_never_shown(folder: Folder) -> None:
    with_metadata(folder, environment_variables={"A": "x" * MAX_VALUE_BYTES})
    folder.load()
    with_metadata(folder, environment_variables={"A": "é" * (MAX_VALUE_BYTES // 2) + "x"})
    problem = folder.problem()
    assert problem.message == "the value of A is longer than 32 KiB"
    assert "éé" not in str(problem)
