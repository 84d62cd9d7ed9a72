"""The modules' own ``validation`` rules are said when a stack is validated, before the deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.catalog.variables import module_variables
from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.settings import Settings, data_root

MODULES = sorted(path.parent for path in (data_root() / "terraform").glob("*/*/unit.yaml"))
LEFT_TO_TERRAFORM: set[tuple[str, str]] = set()  # module and variable; say why beside it


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_rule_of_a_module_is_one_that_we_can_evaluate(module: Path) -> None:
    for variable in module_variables(module).values():
        for validation in variable.validations:
            known = validation.condition is not None
            assert known != ((module.name, variable.name) in LEFT_TO_TERRAFORM), variable.name
            assert validation.message.startswith(variable.name)


class Stacks:
    """Stack files of one component, with the real catalog."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home", stacks_dir=folder)

    def problems(self, kind: str, flavor: str, **config: Any) -> tuple[Problem, ...]:
        head = {"spec_version": 1, "provider": "aws"}
        component = {
            **head,
            "spec_type": "component",
            "name": "one",
            "component_type": kind,
            "component_flavor": flavor,
            "metadata": {"config": config},
        }
        stack = {
            **head,
            "spec_type": "stack",
            "name": "demo",
            "default_region": "eu-north-1",
            "components": ["one.yaml"],
        }
        (self.folder / "one.yaml").write_text(yaml.safe_dump(component, sort_keys=False))
        (self.folder / "stack.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))
        try:
            load_plan(self.folder / "stack.yaml", self.settings)
        except SpecError as error:
            return error.problems
        return ()

    def problem(self, kind: str, flavor: str, **config: Any) -> Problem:
        found = self.problems(kind, flavor, **config)
        assert len(found) == 1, "\n".join(map(str, found))
        assert found[0].file == self.folder / "one.yaml"
        assert found[0].line == 9
        return found[0]


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    return Stacks(tmp_path)


@pytest.mark.parametrize(
    ("config", "message", "rule"),
    [
        ({"node_min_count": -5}, "node_min_count can't be the number -5", "whole number, 0 or"),
        ({"node_min_count": 1.5}, "node_min_count can't be the number 1.5", "whole number"),
        ({"node_min_count": "-5"}, "node_min_count can't be '-5'", "whole number"),
        ({"node_min_count": 5}, "node_min_count can't be the number 5", "from node_min_count to"),
        (
            {"node_desired_count": 1, "node_min_count": 5, "node_max_count": 2},
            "node_desired_count can't be the number 1",
            "from node_min_count to node_max_count",
        ),
        ({"az_count": 7}, "az_count can't be the number 7", "2 or 3"),
        ({"cluster_log_retention_days": 13}, "can't be the number 13", "one of 1, 3, 5"),
        ({"node_disk_gib": 1e300}, "node_disk_gib can't be the number 1e+300", "20 to 16384"),
        ({"secrets_kms_key_arn": "foo"}, "can't be 'foo'", "ARN of a KMS key"),
        ({"node_instance_types": ["banana"]}, "can't be this value", "instance type, such as"),
        ({"node_instance_types": []}, "can't be this value", "at least one instance type"),
        ({"kubernetes_version": "1.15"}, "no such clusters any more", ""),
        ({"kubernetes_version": "1.99"}, "no such Kubernetes version", ""),
        ({"api_endpoint_cidrs": [f"1.2.{i}.0/24" for i in range(60)]}, "at most 40", ""),
        ({"node_disk_gib": float("nan")}, "must be a number, not the number nan", ""),
        (
            {"kubernetes_namespace": "Bad_NS"},
            "kubernetes_namespace: a Kubernetes name has 1 to 63",
            "",
        ),
        (
            {"service_account_name": "a..b"},
            "service_account_name: a Kubernetes name has 1 to 63",
            "",
        ),
    ],
    ids=str,
)
def test_a_value_that_terraform_would_refuse_is_one_problem_at_its_line(
    stacks: Stacks, config: dict[str, Any], message: str, rule: str
) -> None:
    problem = stacks.problem("orchestrator", "kubernetes", **config)
    assert message in problem.message
    assert rule in problem.remedy


@pytest.mark.parametrize(
    ("kind", "flavor", "config"),
    [
        ("artifact_store", "s3", {"noncurrent_version_days": 0}),
        ("artifact_store", "s3", {"noncurrent_version_days": 0.5}),
        ("container_registry", "aws", {"image_keep_count": 0}),
    ],
)
def test_rules_of_components_are_said_too(
    stacks: Stacks, kind: str, flavor: str, config: dict[str, Any]
) -> None:
    assert "whole number, 1 or more" in stacks.problem(kind, flavor, **config).remedy


def test_values_that_terraform_takes_are_taken(stacks: Stacks) -> None:
    config = {
        "node_min_count": 0,
        "node_desired_count": "5",
        "node_max_count": 5,
        "node_disk_gib": 20,
        "az_count": 3,
        "cluster_log_retention_days": 3653,
        "secrets_kms_key_arn": "arn:aws:kms:eu-north-1:111122223333:key/x",
        "node_instance_types": ["t3.large", "u-6tb1.56xlarge"],
        "kubernetes_version": "1.34",
        "api_endpoint_cidrs": [f"1.2.{i}.0/24" for i in range(40)],
        "vpc_cidr": "10.1.0.0/16",
        "kubernetes_namespace": "good-ns",
    }
    assert stacks.problems("orchestrator", "kubernetes", **config) == ()
