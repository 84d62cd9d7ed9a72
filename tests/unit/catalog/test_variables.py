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
from mlstacks_dagster.settings import Settings


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
    assert (str(plain.type), plain.has_default, plain.sensitive, plain.nullable) == (
        "any", False, False, True,
    )  # fmt: skip
    assert (str(secret.type), secret.has_default, secret.default) == ("string", True, None)
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
    assert str(module_variables(tmp_path)["a"].type) == "string"


def _read_by_the_next_process(module: Path) -> dict[str, object]:
    """Return what is read once this process remembers nothing of the module any more."""
    file = module / "main.tf"
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    return dict(module_variables(module))


def _cached() -> list[Path]:
    return list(Settings.load().module_cache.iterdir())


RICH = (
    'variable "a" {\n  type = object({ x = optional(list(number), [1]), y = any })\n'
    '  default = { y = [1.5, null, "z", 1e999] }\n}\nvariable "b" {}\n'
    'output "c" {\n  value = 1\n}\nterraform {\n  required_providers {\n    aws = {}\n  }\n}\n'
)


def test_the_next_process_finds_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(RICH)
    first = dict(module_variables(tmp_path))
    (file,) = _cached()
    assert _read_by_the_next_process(tmp_path) == first
    assert module_outputs(tmp_path) == {"c": ModuleOutput("c")}
    assert module_providers(tmp_path) == {"aws"}
    file.write_text(file.read_text().replace('"line":5', '"line":55'))
    assert _read_by_the_next_process(tmp_path) != first, "the file was not used"


@pytest.mark.parametrize("broken", ["", "{", '{"variables": 1}', '{"other": {}}', "\xff"])
def test_a_broken_cache_is_written_anew(tmp_path: Path, broken: str) -> None:
    (tmp_path / "main.tf").write_text(RICH)
    first = dict(module_variables(tmp_path))
    (file,) = _cached()
    whole = file.read_bytes()
    file.write_bytes(broken.encode("latin-1"))
    assert _read_by_the_next_process(tmp_path) == first
    assert file.read_bytes() == whole


def test_without_a_writable_home_modules_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.tf").write_text(RICH)
    monkeypatch.setenv("MLSTACKS_HOME", str(tmp_path / "main.tf" / "home"))
    assert list(module_variables(tmp_path)) == ["a", "b"]


def test_modules_alike_in_two_folders_name_their_own_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").write_text(RICH)
        assert module_variables(tmp_path / name)["a"].file == tmp_path / name / "main.tf"
