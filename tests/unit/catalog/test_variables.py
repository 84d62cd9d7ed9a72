from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.variables import (
    ModuleOutput,
    module_outputs,
    module_providers,
    module_variables,
)
from mlstacks_dagster.errors import CatalogError


def test_a_module_tells_its_variables_outputs_and_providers(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(
        'variable "plain" {}\n'
        'variable "secret" {\n  type = string\n  sensitive = true\n  nullable = false\n'
        '  default = null\n  description = "A\\n  secret."\n}\n'
    )
    (tmp_path / "outputs.tf").write_text(
        'output "token" {\n  value = var.secret\n  sensitive = true\n  description = "It."\n}\n'
    )
    (tmp_path / "versions.tf").write_text(
        "terraform {\n  required_providers {\n    aws = {\n"
        '      source = "hashicorp/aws"\n    }\n    tls = { source = "hashicorp/tls" }\n  }\n}\n'
    )
    variables = module_variables(tmp_path)
    assert list(variables) == ["plain", "secret"]
    plain, secret = variables["plain"], variables["secret"]
    assert (plain.type, plain.has_default, plain.sensitive, plain.nullable) == (
        "any", False, False, True,
    )  # fmt: skip
    assert (secret.type, secret.has_default, secret.default) == ("string", True, None)
    assert (secret.sensitive, secret.nullable, secret.description) == (True, False, "A secret.")
    assert (secret.file, secret.line) == (tmp_path / "variables.tf", 2)
    assert module_outputs(tmp_path) == {"token": ModuleOutput("token", True, "It.")}
    assert module_providers(tmp_path) == {"aws", "tls"}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "main.tf"
    file.write_text('variable "one" {}\n')
    assert list(module_variables(tmp_path)) == ["one"]
    file.write_text('variable "two" {}\n')
    os.utime(file, ns=(1, 1))
    assert list(module_variables(tmp_path)) == ["two"]


def test_a_folder_without_terraform_has_no_variables(tmp_path: Path) -> None:
    assert module_variables(tmp_path) == {}
    assert module_variables(tmp_path / "absent") == {}


def test_a_broken_module_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('variable "a" {}\n\nvariable "b" {\n  type = text\n}\n')
    with pytest.raises(CatalogError, match=r"main\.tf:\d+: .*text"):
        module_variables(tmp_path)


def test_an_override_file_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('variable "a" {\n  type = string\n}\n')
    (tmp_path / "main_override.tf").write_text('variable "a" {\n  default = "x"\n}\n')
    assert module_variables(tmp_path)["a"].type == "string"
