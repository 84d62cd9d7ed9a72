from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import hcl2
import pytest
from hcl2 import SerializationOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstacks_dagster.catalog.hcl import HclError, literal, read_blocks, tokens_of
from mlstacks_dagster.settings import data_root

MODULE = """
# a comment with a "quote and a {
variable "sizes" { // another one
  type = list(object({
    name = string # the name
    min  = optional(number, 1)
  }))
  default     = [{ name = "a", min = 2 }, { "name" : "b" }]
  description = <<-EOT
    Some text with a }
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


def test_blocks_are_found_between_comments_templates_and_heredocs() -> None:
    blocks = read_blocks(MODULE)
    assert [(b.type, b.labels, b.line) for b in blocks] == [
        ("variable", ("sizes",), 3),
        ("locals", (), 20),
        ("resource", ("thing", "one"), 23),
    ]
    variable = blocks[0]
    assert literal(variable.attributes["default"]) == [{"name": "a", "min": 2}, {"name": "b"}]
    assert literal(variable.attributes["description"]) == "Some text with a }\n  and more.\n"
    assert variable.blocks[0].type == "validation"
    message = variable.blocks[0].attributes["error_message"]
    assert literal(message) == 'No "empty" names, e.g. ä ${x}.'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1.5", -1.5),
        ("2e3", 2000.0),
        ("17", 17),
        ("true", True),
        ("null", None),
        ("[]", []),
        ("[1, 2,\n 3,\n]", [1, 2, 3]),
        ("{ a = 1, b = 2 }", {"a": 1, "b": 2}),
        ("{\n a = 1\n b = [true]\n}", {"a": 1, "b": [True]}),
        (r'"a\n\"b\" \\ %%{x} 100%"', 'a\n"b" \\ %{x} 100%'),
    ],
)
def test_a_literal_has_its_value(text: str, value: object) -> None:
    assert literal(tokens_of(text)) == value


@pytest.mark.parametrize("text", ['"${var.x}"', "var.x", "1 + 1", "max(1, 2)", "[for a in b : a]"])
def test_what_only_terraform_can_evaluate_is_no_literal(text: str) -> None:
    with pytest.raises(HclError):
        literal(tokens_of(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('\nvariable "a" {\n', 2),
        ('\n\nvariable "a" { default = "x\n}', 3),
        ("variable 1 {}", 1),
        ("a = <<EOT\nx\n", 1),
        ("}\n", 1),
        ('a = "${b"', 1),
    ],
)
def test_broken_text_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(HclError) as caught:
        read_blocks(text)
    assert caught.value.line == line


@settings(deadline=None)  # a busy machine is no bug
@given(st.text(alphabet=st.sampled_from('ab ="{}[]()$%<\\\n#/*-E1.,'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(HclError):
        assert all(block.line >= 1 for block in read_blocks(text))


def _oracle(text: str) -> list[tuple[str, str, Any]]:
    options = SerializationOptions(strip_string_quotes=True, with_comments=False)
    tree = hcl2.loads(text, serialization_options=options)
    found = []
    for kind in ("variable", "output"):
        for block in tree.get(kind, []):
            for name, body in block.items():
                found.append((kind, name, body.get("description"), set(body)))
    return sorted(
        (k, n, d, sorted(keys - {"__is_block__", "validation", "precondition"}))
        for k, n, d, keys in found
    )


@pytest.mark.parametrize(
    "text",
    [pytest.param(MODULE, id="here")]
    + [
        pytest.param(path.read_text(), id=str(path.relative_to(data_root())))
        for path in sorted((data_root() / "terraform").glob("*/*/*.tf"))
        if ".terraform" not in Path(path).parts
    ],
)
def test_our_reader_and_python_hcl2_agree(text: str) -> None:
    ours = []
    for block in read_blocks(text):
        if block.type in ("variable", "output"):
            description = block.attributes.get("description")
            said = literal(description) if description else None
            ours.append((block.type, block.labels[0], said, sorted(block.attributes)))
    oracle = _oracle(text)
    strip = [(k, n, None if d and "<<" in str(d) else d, a) for k, n, d, a in oracle]
    heredocs = {(k, n) for k, n, d, _ in oracle if d and "<<" in str(d)}
    assert sorted((k, n, None if (k, n) in heredocs else d, a) for k, n, d, a in ours) == strip
