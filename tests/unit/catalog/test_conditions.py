"""Conditions of ``validation`` blocks: what is evaluated, and what is left to Terraform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.catalog.conditions import CantSayError, holds, read_condition, variables_in
from mlstacks_dagster.catalog.hcl import HclError, read_blocks
from mlstacks_dagster.catalog.variables import module_variables
from tests.unit.catalog.expressions import HOLD, LEFT_TO_TERRAFORM, NOT_READ


def read(text: str) -> Any:
    (block,) = read_blocks(f"a {{\n  b = {text}\n}}\n")
    return read_condition(block.attributes["b"])


@pytest.mark.parametrize(("text", "expected"), HOLD)
def test_a_condition_holds_as_terraform_says(text: str, expected: bool) -> None:
    kept = json.loads(json.dumps(read(text)))  # as the module cache gives it back
    assert holds(kept, {}) is expected


@pytest.mark.parametrize("text", NOT_READ)
def test_what_modules_don_t_use_is_not_read(text: str) -> None:
    with pytest.raises(HclError):
        read(text)


@pytest.mark.parametrize("text", LEFT_TO_TERRAFORM)
def test_what_only_terraform_can_evaluate_is_left_to_it(text: str) -> None:
    with pytest.raises(CantSayError):
        holds(read(text), {"null": None})


def test_variables_are_looked_up_and_named() -> None:
    condition = read('var.a <= var.b && alltrue([for one in var.c : one != "var"])')
    assert variables_in(condition) == {"a", "b", "c"}
    assert holds(condition, {"a": 1, "b": 2, "c": ["x"]})
    assert not holds(condition, {"a": 3, "b": 2, "c": ["x"]})
    assert not holds(condition, {"a": 1, "b": 2, "c": ["var"]})
    with pytest.raises(CantSayError):
        holds(condition, {"a": 1, "c": []})


def test_a_literal_that_looks_like_a_variable_is_none() -> None:
    assert variables_in(read('contains(["var", "x"], var.y)')) == {"y"}


@given(st.text(max_size=8), st.sampled_from(["^[a-z]+$", "^(a|b)$|^$", "[$]$", "a$", r"^\\\\$"]))
def test_the_end_of_a_text_is_its_end_only(text: str, pattern: str) -> None:
    found = holds(read(f'can(regex("{pattern}", var.x))'), {"x": f"{text}\n"})
    assert found is False


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_value_makes_it_fail(value: Any) -> None:
    for text in (
        "var.x == null || can(length(var.x))",
        'can(regex("^a", var.x)) && !strcontains(var.x, "b")',
        "alltrue([for one in var.x : can(cidrhost(one, 0))])",
        "var.x >= 0 && floor(var.x) == var.x",
        'try(tonumber(split("/", var.x)[1]) >= 16, false)',
        "contains([1, 2], var.x)",
    ):
        try:
            assert holds(read_once(text), {"x": value}) in (True, False)
        except CantSayError:
            continue


def read_once(text: str, known: dict[str, Any] = {}) -> Any:  # noqa: B006 - remembers
    if text not in known:
        known[text] = read(text)
    return known[text]


def test_a_variable_keeps_its_rules_and_what_can_t_be_read_of_them(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(
        """
        variable "x" {
          type = number
          default = -1
          validation {
            condition     = var.x > 0
            error_message = "x must be positive."
          }
          validation {
            condition     = var.x + 1 > 0
            error_message = "x is ${var.x}."
          }
        }
        """
    )
    variable = module_variables(tmp_path)["x"]
    first, second = variable.validations
    assert variable.default == -1
    assert first.message == "x must be positive."
    assert first.condition is not None
    assert (second.message, second.condition) == ("", None)
