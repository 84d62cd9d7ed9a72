"""Read the blocks and the literal values of Terraform files, with python-hcl2.

python-hcl2 is loaded when the first file is read: that takes a quarter of a second, and a few
seconds where its grammar isn't compiled yet.
"""

from __future__ import annotations

import fcntl
import re
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from lark import Token, Tree

    Expression: TypeAlias = Tree[Token]

__all__ = ["Block", "HclError", "literal", "object_items", "parts", "read_blocks", "term", "word"]

_BLANK = "new_line_or_comment"
_WORDS = frozenset({"identifier", "keyword", "literal_value", "int_lit"})
_CONSTANTS = {"true": True, "false": False, "null": None}
_TEMPLATE = re.compile(r"[$%]\{")
_TEMPLATE_ESCAPE = re.compile(r"^([$%])\1(?=\{)")


class HclError(ValueError):
    """The text isn't HCL, or isn't what it should be; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class Block:
    """A block: ``attributes`` maps each name to the syntax tree of its expression."""

    type: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, Expression] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


def read_blocks(text: str) -> list[Block]:
    """Return the top-level blocks of a Terraform file; raises :class:`HclError`."""
    (body,) = parts(_parse(text))
    return _filled(Block("", (), 1), body).blocks


def literal(expression: Expression) -> Any:
    """Return the value of a literal: text, number, bool, null, list or mapping.

    Raises :class:`HclError` when it is something that only Terraform can evaluate.
    """
    inner = term(expression)
    read = _LITERALS.get(inner.data)
    if read is None:
        raise _no_literal(inner)
    return read(inner)


def term(expression: Expression) -> Expression:
    """Return an expression without the parentheses around it."""
    while expression.data == "expr_term":
        (expression,) = parts(expression)
    return expression


def parts(tree: Expression) -> list[Expression]:
    """Return the trees directly below ``tree``, in order, without symbols and comments."""
    found = (child for child in tree.children if getattr(child, "data", _BLANK) != _BLANK)
    return [cast("Expression", child) for child in found]


def word(tree: Expression) -> str:
    """Return a bare or quoted word; raises :class:`HclError` for anything else."""
    if tree.data in _WORDS:
        return str(tree.children[0])
    if tree.data == "string":
        return _string(tree)
    raise _no_literal(tree)


def object_items(tree: Expression) -> list[tuple[str, Expression]]:
    """Return keys and values of an ``object``; raises :class:`HclError` for a computed key."""
    pairs = [parts(element) for element in parts(tree)]
    return [(_key(key), value) for key, value in pairs]


def _parse(text: str) -> Expression:
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - slow to load

    try:
        return cast("Expression", _parser()(text))
    except UnexpectedInput as error:
        found = str(getattr(error, "token", "") or getattr(error, "char", "")).strip()
        what = f"unexpected {found[:20]!r}" if found else "unexpected end"
        line = max(1, min(error.line, len(text.splitlines())))
        raise HclError(f"not in Terraform's language: {what}", line) from None


@cache
def _parser() -> Callable[[str], object]:
    """Return python-hcl2's parser with its grammar loaded.

    The first use ever compiles the grammar into a file in python-hcl2's own folder (or, where
    that can't be written, into memory each time). Processes take turns, since the file isn't
    written in one step.
    """
    import hcl2  # noqa: PLC0415 - slow to load

    with ExitStack() as turn:
        with suppress(OSError):
            shared = turn.enter_context(Path(hcl2.__file__).open("rb"))
            fcntl.flock(shared, fcntl.LOCK_EX)
        hcl2.parses_to_tree("")
    return cast("Callable[[str], object]", hcl2.parses_to_tree)


def _filled(block: Block, body: Expression) -> Block:
    for tree in parts(body):
        if tree.data == "attribute":
            name, expression = parts(tree)
            block.attributes[word(name)] = expression
        else:
            *head, inner = parts(tree)
            kind, *labels = map(word, head)
            block.blocks.append(_filled(Block(kind, tuple(labels), tree.meta.line), inner))
    return block


def _no_literal(tree: Expression) -> HclError:
    return HclError("not a literal", tree.meta.line)


def _key(tree: Expression) -> str:
    (inner,) = parts(tree)
    if inner.data == "expr_term" and len(inner.children) == 1:  # no parentheses
        (inner,) = parts(inner)
    return word(inner)


def _string(tree: Expression) -> str:
    from hcl2.utils import process_escape_sequences  # noqa: PLC0415 - slow to load

    text = ""
    for part in parts(tree):
        (piece,) = part.children
        if not isinstance(piece, str):
            raise _no_literal(tree)
        text += process_escape_sequences(_TEMPLATE_ESCAPE.sub(r"\1", piece))
    return text


def _heredoc(tree: Expression) -> str:
    mark, *lines, _ = str(tree.children[0]).rstrip("\n").split("\n")
    text = "".join(f"{line}\n" for line in lines)
    if _TEMPLATE.search(text):
        raise _no_literal(tree)
    return textwrap.dedent(text) if mark.startswith("<<-") else text


def _negative(tree: Expression) -> Any:
    (inner,) = map(term, parts(tree))
    if str(tree.children[0]) != "-" or inner.data not in ("int_lit", "float_lit"):
        raise _no_literal(tree)
    return -literal(inner)


_LITERALS: dict[str, Callable[[Expression], Any]] = {
    "int_lit": lambda tree: int(word(tree)),
    "float_lit": lambda tree: float(str(tree.children[0])),
    "literal_value": lambda tree: _CONSTANTS[word(tree)],
    "unary_op": _negative,
    "string": _string,
    "heredoc_template": _heredoc,
    "heredoc_template_trim": _heredoc,
    "tuple": lambda tree: [literal(item) for item in parts(tree)],
    "object": lambda tree: {key: literal(value) for key, value in object_items(tree)},
}
