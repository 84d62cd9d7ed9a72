"""Read the blocks and the literal values of Terraform files.

Just enough of HCL to tell which variables, outputs and providers a module has; Terraform
itself judges the rest. python-hcl2 reads everything, but takes 0.25 s to start, 10 ms for
50 lines, and 3 s where its grammar isn't cached; this reader takes under 1 ms for 50 lines.
The tests compare the two on every module of the catalog.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "HclError", "Token", "literal", "read_blocks", "tokens_of"]

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+)"
    r"|(?P<newline>\n)"
    r"|(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)"
    r"|(?P<heredoc><<-?(?P<mark>[^\W\d][\w-]*)[ \t]*\r?\n)"
    r'|(?P<string>")'
    r"|(?P<name>[^\W\d][\w-]*)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<symbol>.)",
    re.DOTALL,
)
_STRING_PART = re.compile(r'[^"\\$%\n]+|\\.|\$\$\{|%%\{|[$%]\{|[$%]|"|\n', re.DOTALL)
_OPEN = {"{": "}", "[": "]", "(": ")"}
_CLOSE = frozenset(_OPEN.values())
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_TEMPLATE = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")


class HclError(ValueError):
    """The text isn't HCL, or isn't a literal; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Token:
    """A piece of HCL; ``kind`` is one of newline, heredoc, string, name, number, symbol."""

    kind: str
    text: str
    line: int


@dataclass
class Block:
    """A block: ``attributes`` maps each name to the tokens of its expression."""

    type: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, tuple[Token, ...]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


def read_blocks(text: str) -> list[Block]:
    """Return the top-level blocks of a Terraform file; raises :class:`HclError`."""
    reader = _Reader(tokens_of(text))
    return reader.body(Block("", (), 1), top=True).blocks


def tokens_of(text: str) -> tuple[Token, ...]:
    """Split HCL into tokens, without spaces and comments; raises :class:`HclError`."""
    tokens: list[Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # pragma: no cover - the last alternative matches anything
            raise HclError("unreadable", line)
        kind, end = str(match.lastgroup), match.end()
        if match["mark"]:
            kind, end = "heredoc", _heredoc_end(text, end, match["mark"], line)
        elif kind == "string":
            end = _string_end(text, end, line)
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, text[position:end], line))
        line += text.count("\n", position, end)
        position = end
    return tuple(tokens)


def literal(tokens: tuple[Token, ...]) -> Any:
    """Return the value of a literal: text, number, bool, null, list or mapping.

    Raises :class:`HclError` when it is something that only Terraform can evaluate.
    """
    reader = _Reader(tokens)
    value = reader.value()
    reader.skip_newlines()
    if reader.position < len(tokens):
        raise reader.error("not a literal")
    return value


def _heredoc_end(text: str, start: int, mark: str, line: int) -> int:
    match = re.compile(rf"^[ \t]*{re.escape(mark)}(?=[ \t]*\r?$)", re.MULTILINE).search(text, start)
    if match is None:
        raise HclError(f"the heredoc {mark} doesn't end", line)
    return match.end()


def _string_end(text: str, position: int, line: int) -> int:
    while match := _STRING_PART.match(text, position):
        part, position = match[0], match.end()
        if part == '"':
            return position
        if part == "\n":
            break
        if part in ("${", "%{"):
            position = _template_end(text, position, line)
    raise HclError("a string doesn't end", line)


def _template_end(text: str, position: int, line: int) -> int:
    depth = 1
    while match := _TOKEN.match(text, position):
        position = match.end()
        if match.lastgroup == "string":
            position = _string_end(text, position, line)
        elif match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return position
    raise HclError("a template doesn't end", line)


class _Reader:
    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.tokens = tokens
        self.position = 0

    def error(self, message: str) -> HclError:
        at = min(self.position, len(self.tokens) - 1)
        return HclError(message, self.tokens[at].line if self.tokens else 1)

    def peek(self) -> str:
        return self.tokens[self.position].text if self.position < len(self.tokens) else ""

    def take(self) -> Token:
        if self.position >= len(self.tokens):
            raise self.error("unexpected end")
        token = self.tokens[self.position]
        self.position += 1
        return token

    def skip_newlines(self) -> None:
        while self.peek() == "\n":
            self.position += 1

    def body(self, block: Block, *, top: bool = False) -> Block:
        while True:
            self.skip_newlines()
            if self.position >= len(self.tokens) and top:
                return block
            token = self.take()
            if token.text == "}" and not top:
                return block
            if token.kind != "name":
                raise HclError(f"unexpected {token.text[:20]!r}", token.line)
            if self.peek() == "=":
                self.position += 1
                block.attributes[token.text] = self._expression()
            else:
                block.blocks.append(self._block(token))

    def _block(self, head: Token) -> Block:
        labels: list[str] = []
        while (token := self.take()).text != "{":
            if token.kind not in ("name", "string"):
                raise HclError(f"unexpected {token.text[:20]!r}", token.line)
            labels.append(token.text.strip('"'))
        return self.body(Block(head.text, tuple(labels), head.line))

    def _expression(self) -> tuple[Token, ...]:
        start, depth = self.position, 0
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if depth == 0 and (token.text in ("\n", "}")):
                break
            if token.text in _OPEN:
                depth += 1
            elif token.text in _CLOSE:
                depth -= 1
            self.position += 1
        return self.tokens[start : self.position]

    def value(self) -> Any:
        self.skip_newlines()
        token = self.take()
        if token.text == "{":
            return self._mapping()
        if token.text == "[":
            return self._list()
        if token.text == "-" and self.peek()[:1].isdigit():
            return -self._number(self.take())
        if token.kind == "number":
            return self._number(token)
        if token.kind in ("string", "heredoc"):
            return _text(token)
        words = {"true": True, "false": False, "null": None}
        if token.text in words:
            return words[token.text]
        raise HclError("not a literal", token.line)

    @staticmethod
    def _number(token: Token) -> int | float:
        return int(token.text) if token.text.isdigit() else float(token.text)

    def _list(self) -> list[Any]:
        items: list[Any] = []
        while True:
            self.skip_newlines()
            if self.peek() == "]":
                self.position += 1
                return items
            items.append(self.value())
            self.skip_newlines()
            self._separator("]")

    def _mapping(self) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while True:
            self.skip_newlines()
            key = self.take()
            if key.text == "}":
                return items
            if key.kind not in ("name", "string", "number"):
                raise HclError("not a literal", key.line)
            name = _text(key) if key.kind == "string" else key.text
            if self.take().text not in ("=", ":"):
                raise self.error("not a literal")
            items[name] = self.value()
            if self.peek() != "\n":
                self._separator("}")

    def _separator(self, close: str) -> None:
        if self.peek() == ",":
            self.position += 1
        elif self.peek() != close:
            raise self.error("not a literal")


def _text(token: Token) -> str:
    if _TEMPLATE.search(token.text):
        raise HclError("not a literal", token.line)
    raw = token.text.replace("$${", "${").replace("%%{", "%{")
    if token.kind == "heredoc":
        return _heredoc(raw)
    return _ESCAPE.sub(_unescape, raw[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[0])


def _heredoc(raw: str) -> str:
    lines = raw.split("\n")
    content = lines[1:-1]
    if lines[0].startswith("<<-"):
        indents = [len(line) - len(line.lstrip()) for line in content if line.strip()]
        content = [line[min(indents, default=0) :] for line in content]
    return "".join(f"{line}\n" for line in content)
