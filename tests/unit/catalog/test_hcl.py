from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.catalog.hcl import HclError, literal, read_blocks

MODULE = """
# a comment with a "quote and a {
variable "sizes" { // another one
  type = list(object({
    name = string # the name
    min  = optional(number, 1)
  }))
  default     = [{ name = "a", min = 2 }, { "name" : "b" }]
  description = <<-EOT
    Some "text" with a } and a \\
      and more.
  EOT
  validation {
    condition     = alltrue([for s in var.sizes : length("${s.name}}{") > 0])
    error_message = "No \\"empty\\" names, e.g. \\u00e4 $${x}."
  }
}
/* a block comment
variable "ghost" {} */
locals {
  json = jsonencode({ "a" = "b${join("}", ["c"])}" })
}
resource "thing" "one" { count = var.x ? 1 : 0 }
"""


def _value(text: str) -> object:
    (block,) = read_blocks(f"a {{\n  b = {text}\n}}\n")
    return literal(block.attributes["b"])


def test_blocks_are_found_between_comments_templates_and_heredocs() -> None:
    blocks = read_blocks(MODULE)
    assert [(b.type, b.labels, b.line) for b in blocks] == [
        ("variable", ("sizes",), 3),
        ("locals", (), 20),
        ("resource", ("thing", "one"), 23),
    ]
    variable = blocks[0]
    assert set(variable.attributes) == {"type", "default", "description"}
    assert literal(variable.attributes["default"]) == [{"name": "a", "min": 2}, {"name": "b"}]
    text = literal(variable.attributes["description"])
    assert text == 'Some "text" with a } and a \\\n  and more.\n'
    assert variable.blocks[0].type == "validation"
    message = variable.blocks[0].attributes["error_message"]
    assert literal(message) == 'No "empty" names, e.g. ä ${x}.'


def test_an_empty_file_has_no_blocks() -> None:
    assert read_blocks("") == []
    assert read_blocks("# only this") == []


def test_words_of_the_language_may_name_blocks_and_attributes() -> None:
    (block,) = read_blocks("in for {\n  if = 1\n  null = 2\n}")
    assert (block.type, block.labels, list(block.attributes)) == ("in", ("for",), ["if", "null"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1.5", -1.5),
        ("2e3", 2000.0),
        ("17", 17),
        ("-17", -17),
        ("true", True),
        ("null", None),
        ('("a")', "a"),
        ("[]", []),
        ("[1, 2,\n 3,\n]", [1, 2, 3]),
        ("{ a = 1, b = 2 }", {"a": 1, "b": 2}),
        ("{\n a = 1 # one\n b = [true]\n}", {"a": 1, "b": [True]}),
        ('{ 3 = 1, in = 2, null = 3, "a b" = 4 }', {"3": 1, "in": 2, "null": 3, "a b": 4}),
        (r'"a\n\"b\" \\ %%{x} 100%"', 'a\n"b" \\ %{x} 100%'),
        ("<<E\n  a\n b\\n\nE", "  a\n b\\n\n"),
        ("<<-E\n  a\n\n b\n  E", " a\n\nb\n"),
    ],
)
def test_a_literal_has_its_value(text: str, value: object) -> None:
    assert _value(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '"${var.x}"',
        "var.x",
        "x",
        "1 + 1",
        "max(1, 2)",
        "[for a in b : a]",
        "[1, x]",
        "{ (x) = 1 }",
        "{ a = x }",
        "<<E\n${x}\nE",
        '"%{ if x }a%{ endif }"',
    ],
)
def test_what_only_terraform_can_evaluate_is_no_literal(text: str) -> None:
    with pytest.raises(HclError, match="not a literal") as caught:
        _value(text)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\nvariable "a" {\n', 2, "unexpected end"),
        ('\n\nvariable "a" { default = "x\n}', 3, "unexpected end"),
        ("variable 1 {}", 1, "unexpected '1'"),
        ("a = <<EOT\nx\n", 1, "unexpected '<<EOT"),
        ("a = 1\n}\n", 2, "unexpected '}'"),
        ('a = "${b"', 1, "unexpected '\"'"),
    ],
)
def test_broken_text_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(HclError, match=words) as caught:
        read_blocks(text)
    assert caught.value.line == line


@given(st.text(alphabet=st.sampled_from('ab ="{}[]()$%<\\\n#/*-E1.,'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(HclError):
        for block in read_blocks(text):
            assert block.line >= 1
            for expression in block.attributes.values():
                with suppress(HclError):
                    literal(expression)
