"""What our AWS modules grant, and to whom: exact service accounts, named actions, named things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.terraform_tools import MODULES, blocks, resources

AWS = [module for module in MODULES if module.parent.name == "aws"]
DOCUMENT = re.compile(r"\$?\{?data\.aws_iam_policy_document\.(\w+)(\[[^]]+\])?\.json\}?")
SUBJECT = re.compile(r"system:serviceaccount:\$\{var\.\w+\}:\$\{(var\.\w+|each\.value)\}")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME_RULE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

IRSA_MODULES = {
    "ebs_csi_driver_role",
    "experiment_tracker_mlflow_role",
    "load_balancer_controller_role",
    "model_deployer_seldon_role",
    "orchestrator_kubeflow_role",
    "orchestrator_kubernetes",
    "orchestrator_tekton_role",
}

ON_EVERYTHING = {
    "Look": "EC2's and ELB's Describe calls take no resource; they are held to the region",
    "Token": "ecr:GetAuthorizationToken takes no resource",
    "Metrics": "cloudwatch:PutMetricData takes no resource; it is held to the namespace",
}
"""Statements that name no resource, and why they can't."""

MANAGED = {
    "AmazonEC2ContainerRegistryPullOnly": "nodes pull images",
    "AmazonEKSClusterPolicy": "what EKS asks of a cluster's role",
    "AmazonEKSWorkerNodePolicy": "what EKS asks of a node's role",
    "AmazonEKS_CNI_Policy": "the nodes' network plugin makes interfaces",
}
"""Policies of AWS's own that we attach, and what for."""

each_aws_module = pytest.mark.parametrize("module", [pytest.param(m, id=m.name) for m in AWS])


KIND = "aws_iam_policy_document."


def _documents(module: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of each policy document of a module."""
    return {
        label.removeprefix(KIND): body.get("statement", [])
        for label, body in blocks(module, "data")
        if label.startswith(KIND)
    }


def _roles(module: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each role with the statements that say who may take it."""
    documents = _documents(module)
    for label, body in resources(module).items():
        if label.startswith("aws_iam_role."):
            trust = DOCUMENT.fullmatch(body["assume_role_policy"])
            assert trust, f"{label}: its trust is no document that a test can read"
            yield label, documents[trust[1]]


def _is_for_pods(statement: dict[str, Any]) -> bool:
    federated = [who for who in statement["principals"] if who["type"] == "Federated"]
    return bool(federated) or "sts:AssumeRoleWithWebIdentity" in statement["actions"]


def _conditions(statement: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(c["test"], c["variable"]): c["values"] for c in statement.get("condition", [])}


def _granting(module: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, statements in _documents(module).items():
        for statement in statements:
            if statement.get("effect") != "Deny" and "resources" in statement:
                yield f"{name} {statement.get('sid')}", statement


def test_the_modules_with_roles_for_pods_are_those_we_know() -> None:
    """Without any, the tests below would pass by testing nothing."""
    found = {
        module.name
        for module in AWS
        for _, statements in _roles(module)
        if any(_is_for_pods(statement) for statement in statements)
    }
    assert found == IRSA_MODULES


@each_aws_module
def test_a_role_for_pods_is_for_exact_accounts_and_tokens_meant_for_aws(module: Path) -> None:
    for label, statements in _roles(module):
        for statement in filter(_is_for_pods, statements):
            assert len(statements) == 1, f"{label}: one way in, not {len(statements)}"
            assert statement["actions"] == ["sts:AssumeRoleWithWebIdentity"], label
            assert statement["principals"] == [
                {"type": "Federated", "identifiers": ["${var.oidc_provider_arn}"]}
            ], label
            held = _conditions(statement)
            assert set(held) == {
                ("StringEquals", "${var.oidc_issuer}:sub"),
                ("StringEquals", "${var.oidc_issuer}:aud"),
            }, label
            assert held["StringEquals", "${var.oidc_issuer}:aud"] == ["sts.amazonaws.com"], label
            (subject,) = held["StringEquals", "${var.oidc_issuer}:sub"]
            assert SUBJECT.fullmatch(subject), f"{label}: {subject} is not one service account"


@each_aws_module
def test_no_name_in_a_subject_can_be_a_pattern(module: Path) -> None:
    """Namespaces and accounts that come from outside are names, by the variables' own rules."""
    variables = dict(blocks(module, "variable"))
    for label, statements in _roles(module):
        for statement in filter(_is_for_pods, statements):
            for name in re.findall(r"var\.(\w+)", str(statement["condition"])):
                if name != "oidc_issuer":
                    rules = [v["condition"] for v in variables[name].get("validation", [])]
                    assert any(NAME_RULE in rule for rule in rules), f"{label}: {name}"


@each_aws_module
def test_each_of_several_subjects_is_written_out(module: Path) -> None:
    """A document for each account goes over names in the module, not over what is passed in."""
    for label, body in blocks(module, "data"):
        if label.startswith(KIND) and "each.value" in str(body):
            source = re.fullmatch(r"\$\{local\.(\w+)\}", body["for_each"])
            assert source, f"{label}: {body['for_each']}"
            written = dict(blocks(module, "locals"))[source[1]]
            assert all(NAME.fullmatch(name) for name in written.values()), f"{label}: {written}"


@each_aws_module
def test_no_action_is_a_pattern(module: Path) -> None:
    for where, statement in _granting(module):
        wide = [action for action in statement["actions"] if re.search(r"[*?]", action)]
        assert not wide, f"{where} allows {wide}"
        assert not {"not_actions", "not_resources"} & set(statement), where


@each_aws_module
def test_a_right_on_everything_has_a_reason(module: Path) -> None:
    for where, statement in _granting(module):
        wide = [r for r in statement["resources"] if re.fullmatch(r"\*|arn:.*:\*", r)]
        if wide:
            assert statement.get("sid") in ON_EVERYTHING, f"{where} allows things on {wide}"
            held = statement.get("condition") or statement["sid"] == "Token"
            assert held, f"{where} is held by nothing"


@each_aws_module
def test_every_right_is_in_a_document_and_awss_own_policies_are_few(module: Path) -> None:
    """What is written elsewhere, these tests would not see."""
    documents = _documents(module)
    for label, body in resources(module).items():
        if label.startswith(("aws_iam_role_policy.", "aws_iam_policy.")):
            found = DOCUMENT.fullmatch(body["policy"])
            assert found, f"{label}: {body['policy']}"
            assert found[1] in documents, f"{label}: {body['policy']}"
        if label.startswith("aws_iam_role."):
            assert not {"inline_policy", "managed_policy_arns"} & set(body), label
        if label.startswith("aws_iam_role_policy_attachment."):
            names = re.findall(r"Amazon\w+", str(body))
            assert names, label
            assert set(names) <= set(MANAGED), f"{label}: {names}"


# Network policies


def test_network_policies_are_enforced() -> None:
    """Without the agent the charts' policies are words."""
    cluster = next(module for module in AWS if module.name == "cluster")
    addon = resources(cluster)["aws_eks_addon.network"]
    assert addon["addon_name"] == "vpc-cni"
    values = addon["configuration_values"]
    assert re.search(r'\{enableNetworkPolicy = "true", env = ', values), values


# Kubeflow Pipelines: the steps work in the whole bucket, what serves them in its folder


@pytest.fixture
def kubeflow() -> dict[str, list[dict[str, Any]]]:
    """Return the policy documents of Kubeflow's roles."""
    return _documents(next(m for m in AWS if m.name == "orchestrator_kubeflow_role"))


@pytest.mark.parametrize("document", ["server", "ui"])
def test_kubeflows_servers_keep_to_their_folder(
    document: str, kubeflow: dict[str, list[dict[str, Any]]]
) -> None:
    for statement in kubeflow[document]:
        if any("Object" in action for action in statement["actions"]):
            assert statement["resources"] == ["${local.bucket_arn}/${var.prefix}/*"]
        else:
            assert statement["resources"] == ["${local.bucket_arn}"]


def test_kubeflows_user_interface_only_reads(kubeflow: dict[str, list[dict[str, Any]]]) -> None:
    for statement in kubeflow["ui"]:
        for action in statement["actions"]:
            assert re.match(r"s3:(Get|List)", action), action


def test_only_kubeflows_steps_delete_versions(kubeflow: dict[str, list[dict[str, Any]]]) -> None:
    deleting = {
        name
        for name, statements in kubeflow.items()
        for statement in statements
        if statement.get("effect") != "Deny" and "s3:DeleteObjectVersion" in statement["actions"]
    }
    assert deleting == {"artifacts"}
