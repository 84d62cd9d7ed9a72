from __future__ import annotations

import datetime

import pytest

from mlstacks_dagster.catalog.hcl import HclError, read_blocks
from mlstacks_dagster.catalog.typecheck import TypeNode, check_type, read_type

NODES = (
    "list(object({ name = string, min = optional(number, 1), tags = optional(map(string), {}) }))"
)


def _type(text: str) -> TypeNode:
    (block,) = read_blocks(f"variable {{\n  type = {text}\n}}\n")
    return read_type(block.attributes["type"])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "string"),
        (3, "string"),
        (3, "number"),
        (1.5, "number"),
        ("3", "number"),
        ("-1.5e3", "number"),
        (True, "bool"),
        ("true", "bool"),
        ("0", "bool"),
        (["a", 2], "list(string)"),
        ([], "set(number)"),
        ({"a": ["b"]}, "map(list(string))"),
        ({"a": 1, "b": [2]}, "any"),
        ([{"name": "a"}], NODES),
        ([{"name": "a", "min": "2", "tags": {"x": "y"}}], NODES),
        ([{"name": "a", "min": None}], NODES),
        (["a", 1], "tuple([string, number])"),
        ([[1]], "list(any)"),
        ([1], "list"),
    ],
)
def test_what_terraform_would_convert_is_accepted(value: object, kind: str) -> None:
    assert check_type(value, _type(kind)) is None


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (1.3, "string", "put it in quotes"),
        (True, "string", "YAML reads true here; put it in quotes"),
        (datetime.date(2030, 1, 31), "string", "the date 2030-01-31"),
        (["a"], "string", "must be text, not a list"),
        ("three", "number", 'must be a number, not the text "three"'),
        ("3 ", "number", "must be a number"),
        (True, "number", "must be a number, not true"),
        (float("nan"), "number", "must be a number"),
        ("yes", "bool", 'must be true or false, not the text "yes"'),
        (1, "bool", "must be true or false, not the number 1"),
        ("a", "list(string)", "must be a list"),
        (["a", ["b"]], "list(string)", "item 2: must be text, not a list"),
        ({"a": "x"}, "map(number)", "key a: must be a number"),
        (["a"], "map(string)", "must be a mapping, not a list"),
        ([{"min": 1}], NODES, "item 1: lacks the attribute name"),
        ([{"name": "a", "mim": 1}], NODES, "item 1: has no attribute mim; did you mean min?"),
        (["a"], "tuple([string, number])", "must have 2 items, not 1"),
        (None, "string", "has no value"),
        ([None], "list(string)", "item 1: has no value"),
    ],
)
def test_anything_else_is_refused_in_words(value: object, kind: str, words: str) -> None:
    assert words in str(check_type(value, _type(kind)))


@pytest.mark.parametrize(
    "text",
    [
        "text",
        "object",
        "var.x",
        "list()",
        "list(string, string)",
        "map(text)",
        "tuple(string)",
        "object({ a = b })",
        "optional(string)",
        "object({ a = optional() })",
        "list(optional(string))",
        "[string]",
        "1",
    ],
)
def test_what_is_no_type_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(HclError, match="Terraform type") as caught:
        _type(text)
    assert caught.value.line == 2


def test_a_computed_attribute_name_is_an_error() -> None:
    with pytest.raises(HclError, match="not a literal"):
        _type("object({ (x) = string })")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("string", "string"),
        ('"string"', "string"),
        ("list", "list(any)"),
        ("list(map(bool))", "list(map(bool))"),
        ("tuple([string, any])", "tuple([string, any])"),
        (
            'object({\n  a = string # one\n  "b" = optional(list(number), [1, 2])\n})',
            "object({ a = string, b = optional(list(number)) })",
        ),
    ],
)
def test_a_type_is_written_in_one_line(text: str, said: str) -> None:
    assert str(_type(text)) == said
