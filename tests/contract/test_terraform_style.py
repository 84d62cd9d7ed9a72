"""How our Terraform modules are written: one way for each thing, over every module we ship."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlstacks_dagster.spec.metadata import MAX_USER_TAGS
from mlstacks_dagster.spec.regions import AWS_REGIONS
from mlstacks_dagster.sweep.marks import ownership_marks
from tests.contract.terraform_tools import MODULES, each_module
from tests.contract.terraform_tools import blocks as _blocks
from tests.contract.terraform_tools import plain as _plain
from tests.contract.terraform_tools import read as _read
from tests.contract.terraform_tools import resources as _resources

COMMON_VARIABLES = {"name", "install", "region", "tags"}
FILES = ("unit.yaml", "versions.tf", "variables.tf", "main.tf", "outputs.tf", "README.md")
OVERRIDES = ("current_provider.tf", "current_provider_override.tf")
LONGEST_ROLE_NAME = 64
LONGEST_PREFIX = 24


def test_there_are_modules() -> None:
    """Without any, the tests below would pass by testing nothing."""
    assert MODULES


def test_a_string_is_read_without_its_quotes(tmp_path: Path) -> None:
    """What the tests below rest on: python-hcl2 8 keeps the quotes."""
    (tmp_path / "main.tf").write_text('variable "a" {\n  description = "Some words."\n}\n')
    assert dict(_blocks(tmp_path, "variable")) == {"a": {"description": "Some words."}}


@each_module
def test_a_module_has_its_files(module: Path) -> None:
    missing = [name for name in FILES if not (module / name).is_file()]
    assert not missing, f"{module.name} lacks {missing}"


@each_module
def test_nothing_but_source_lies_in_a_module(module: Path) -> None:
    """No state, no lock file, no provider of a run by hand."""
    odd = [
        path.name
        for path in module.iterdir()
        if path.suffix not in (".tf", ".yaml", ".md") or path.is_dir()
    ]
    assert not odd


@each_module
def test_every_module_takes_the_common_variables(module: Path) -> None:
    assert {name for name, _ in _blocks(module, "variable")} >= COMMON_VARIABLES


@each_module
def test_the_common_variables_are_declared_alike(module: Path) -> None:
    def common(folder: Path) -> dict[str, Any]:
        return {n: b for n, b in _blocks(folder, "variable") if n in COMMON_VARIABLES}

    assert common(module) == common(MODULES[0])


@each_module
def test_a_variable_has_a_description_and_a_strict_type(module: Path) -> None:
    for name, body in _blocks(module, "variable"):
        assert body.get("description", "").endswith("."), f"{name}: describe it in a sentence"
        assert body.get("type"), f"{name} has no type"
        assert not re.search(r"\bany\b", str(body["type"])), f"{name} takes anything"


@each_module
def test_a_variable_that_may_be_null_says_what_null_means(module: Path) -> None:
    for name, body in _blocks(module, "variable"):
        if "default" in body and body["default"] in (None, "null"):
            assert "null" in body["description"], f"{name}: what does null mean?"
        else:
            assert body.get("nullable") is False, f"{name} takes null: nullable = false"


@each_module
def test_a_validation_names_its_variable(module: Path) -> None:
    for name, body in _blocks(module, "variable"):
        for validation in body.get("validation", []):
            message = validation["error_message"]
            assert message.startswith(f"{name} must "), f"{name}: {message}"
            assert message.endswith("."), f"{name}: {message}"


@each_module
def test_an_output_has_a_description(module: Path) -> None:
    for name, body in _blocks(module, "output"):
        assert body.get("description", "").endswith("."), f"{name}: describe it in a sentence"


@each_module
def test_the_modules_of_a_provider_pin_the_same_versions(module: Path) -> None:
    """A module without resources has no provider; all others have one text in common."""
    own = (module / "versions.tf").read_text()
    if not _resources(module):
        assert "required_providers" not in own
        assert re.search(r'required_version = ">= 1\.10"', own)
        return
    others = {
        (other / "versions.tf").read_text()
        for other in MODULES
        if other.parent == module.parent and _resources(other)
    }
    assert others == {own}


@each_module
def test_versions_have_a_lower_and_an_upper_bound(module: Path) -> None:
    for terraform in _read(module / "versions.tf")["terraform"]:
        assert terraform["required_version"].startswith(">=")
        for providers in terraform.get("required_providers", []):
            for name, pin in providers.items():
                assert re.fullmatch(r">= \d+\.\d+, < \d+\.\d+", _plain(pin["version"])), name


@each_module
def test_the_readme_names_the_unit_and_all_that_goes_in_and_out(module: Path) -> None:
    readme = (module / "README.md").read_text()
    names = {module.name}
    names |= {name for kind in ("variable", "output") for name, _ in _blocks(module, kind)}
    missing = sorted(name for name in names if f"`{name}`" not in readme)
    assert not missing, f"{module.name}/README.md doesn't mention {missing}"


@each_module
def test_what_staging_leaves_out_is_not_needed_by_the_rest(module: Path) -> None:
    """An older provider gets the module without these files; it must still be whole."""
    extra = {
        label
        for name in OVERRIDES[:1]
        if (module / name).exists()
        for label, _ in _blocks(module, "resource", name)
    }
    for path in module.glob("*.tf"):
        if path.name in OVERRIDES:
            continue
        text = path.read_text()
        used = [label for label in extra if re.search(rf"\b{re.escape(label)}\b", text)]
        assert not used, f"{path.name} uses {used} of {OVERRIDES[0]}"


@each_module
def test_only_the_agreed_file_overrides_and_only_what_exists(module: Path) -> None:
    overrides = [path.name for path in module.glob("*override.tf")]
    assert set(overrides) <= {OVERRIDES[1]}
    for name in overrides:
        for label, _ in _blocks(module, "resource", name):
            assert label in _resources(module), f"{name} overrides {label}, which isn't there"


@each_module
def test_tags_come_from_the_provider_and_add_a_name_only(module: Path) -> None:
    """``default_tags`` brings the marks everywhere; a second copy would hide a missing one."""
    for label, body in _resources(module).items():
        tags = body.get("tags")
        if tags is None:
            continue
        assert isinstance(tags, dict), f"{label} builds its tags: {tags}"
        assert tags.get("Name"), f"{label} has tags without a Name"
        assert not any(key.startswith("mlstacks-") for key in tags), label


@each_module
def test_names_for_recovery_are_unique_within_a_type(module: Path) -> None:
    """After a crash a resource is found by its type, its marks and its Name tag."""
    seen: dict[tuple[str, str], str] = {}
    for label, body in _resources(module).items():
        tags = body.get("tags")
        if isinstance(tags, dict) and "Name" in tags:
            key = (label.split(".")[0], tags["Name"])
            assert seen.setdefault(key, label) == label, f"{label} and {seen[key]} share a Name"
            if "for_each" in body:
                assert "each.key" in tags["Name"], f"{label} gives all of them one Name"


@each_module
def test_nothing_is_named_at_random(module: Path) -> None:
    for path in module.glob("*.tf"):
        text = path.read_text()
        for word in ("name_prefix", "bucket_prefix", "random_", "timestamp(", "uuid("):
            assert word not in text, f"{path.name} uses {word}"


@each_module
def test_an_iam_role_lives_below_our_path_and_its_name_fits(module: Path) -> None:
    for label, body in _resources(module).items():
        if label.startswith("aws_iam_role."):
            assert body["path"] == "/mlstacks/${var.install}/", label
            fixed = body["name"].replace("${var.name}", "")
            assert "${" not in fixed, f"{label}: {body['name']}"
            assert LONGEST_PREFIX + len(fixed) <= LONGEST_ROLE_NAME, label


@each_module
def test_no_policy_grants_everything(module: Path) -> None:
    """No full-access policy, no action of a whole service, except to deny."""
    for path in module.glob("*.tf"):
        assert "FullAccess" not in path.read_text(), path.name
    for label, body in _blocks(module, "data"):
        for statement in body.get("statement", []):
            if statement.get("effect") == "Deny":
                continue
            wide = [a for a in statement["actions"] if a == "*" or a.endswith(":*")]
            assert not wide, f"{label} allows {wide}"
            if "*" in statement.get("resources", []):
                held = statement.get("condition") or statement["actions"] == [
                    "ecr:GetAuthorizationToken"
                ]
                assert held, f"{label} allows {statement['actions']} on everything"


@each_module
def test_no_binding_takes_rights_from_others(module: Path) -> None:
    """Authoritative ones remove what other people granted."""
    for label in _resources(module):
        kind = label.split(".")[0]
        assert not kind.endswith(("_iam_binding", "_iam_policy")) or kind == "aws_iam_policy"
        assert kind not in ("aws_iam_policy_attachment", "aws_iam_role_policies_exclusive")


@each_module
def test_lines_fit_and_end_without_spaces(module: Path) -> None:
    for path in module.glob("*.tf"):
        text = path.read_text()
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path.name
        assert "\t" not in text, path.name


def _conditions(module: Path, variable: str) -> list[str]:
    (body,) = (body for label, body in _blocks(module, "variable") if label == variable)
    return [validation["condition"] for validation in body["validation"]]


@each_module
def test_the_tags_that_the_spec_lets_through_fit_into_what_the_module_takes(module: Path) -> None:
    (condition,) = _conditions(module, "tags")
    found = re.search(r"length\(var\.tags\) <= (\d+)", condition)
    assert found is not None
    marks = ownership_marks(
        install="i", stack_id="s", name="n", component="c", created=0, expires=None
    )
    assert MAX_USER_TAGS + len(marks) == int(found[1])


@each_module
def test_the_module_takes_every_region_that_the_spec_takes(module: Path) -> None:
    (condition,) = _conditions(module, "region")
    found = re.search(r'regex\(\\?"(.+)\\?", var\.region\)', condition)
    assert found is not None
    assert [r for r in AWS_REGIONS if not re.search(found[1], r)] == []
    assert not re.search(found[1], "eu-north-1a")
