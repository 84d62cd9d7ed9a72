"""YAML files as plain data, with the line of every key.

Only what a spec can hold is built: mappings with text keys, lists, text, numbers, booleans,
null and timestamps. Nothing is ever evaluated. A file is refused when it is larger than
1 MiB, nested more than 50 deep, or holds more than 50,000 values once its aliases are
expanded, so that a few lines of nested aliases can't fill the memory.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import Reader, ReaderError

from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.spec.models import Source

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "load_yaml"]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_VALUES = 50_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # CSafeLoader needs libyaml

_TAG = "tag:yaml.org,2002:"
_MAPPING = f"{_TAG}map"
_SEQUENCE = f"{_TAG}seq"
_TEXT = f"{_TAG}str"
_MERGE = f"{_TAG}merge"
_SCALARS = frozenset(f"{_TAG}{t}" for t in ("str", "int", "float", "bool", "null", "timestamp"))

_Path = tuple[str | int, ...]


def load_yaml(path: Path) -> tuple[dict[str, Any], Source]:
    """Read the mapping in ``path``; the :class:`Source` knows the line of each of its keys.

    Raises :class:`SpecError` with the file, the line and the remedy when the file can't be
    read, isn't UTF-8, isn't YAML, is empty, holds something else than one mapping, repeats
    a key or is too large.
    """
    try:
        path = path.absolute()
    except OSError:
        raise _error(
            path, None, "the current folder has been removed", "give an absolute path"
        ) from None
    text = _read(path)
    root = _compose(path, text)
    if root is None:
        raise _error(path, 1, "the file is empty", "begin with: spec_version: 1")
    if not isinstance(root, MappingNode):
        kind = "list" if isinstance(root, SequenceNode) else "single value"
        raise _error(
            path, _line(root), f"the file holds a {kind}, not `key: value` lines",
            "begin with: spec_version: 1",
        )  # fmt: skip
    builder = _Builder(path)
    data = builder.build(root, ())
    return data, Source(path, builder.lines)


def _error(path: Path, line: int | None, message: str, remedy: str) -> SpecError:
    return SpecError([Problem(message, path, line, remedy)])


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise _error(path, None, f"this is {kind}", "name a YAML file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _error(path, None, "there is no such file", "check the path") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _error(path, None, f"can't read the file: {reason}", "check its rights") from None
    except ValueError:
        raise _error(path, None, "the path holds a NUL character", "check the path") from None
    if len(raw) > MAX_BYTES:
        raise _error(path, None, f"the file is larger than {MAX_BYTES} bytes", "split it")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _error(path, line, "the file isn't UTF-8 text", "save it as UTF-8") from None


def _compose(path: Path, text: str) -> Node | None:
    try:
        _check_depth(path, text)
        node: Node | None = yaml.compose(text, Loader=_Loader)
    except ReaderError:
        found = Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else None
        raise _error(
            path, line, "the file holds a control character", "remove the character"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(
            path,
            min(mark.line, text.rstrip().count("\n")) + 1 if mark else None,
            f"broken YAML: {error.problem or error.context}",
            "check indentation, quotes and colons at and above this line",
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise _error(path, None, f"broken YAML: {error}", "check the file's syntax") from None
    return node


def _check_depth(path: Path, text: str) -> None:
    """Refuse deep nesting before :func:`yaml.compose`, which calls itself for each level."""
    if sum(map(text.count, "[{-?:")) <= MAX_DEPTH:
        return  # each level takes at least one of these characters
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                line = mark.line + 1 if mark else None
                raise _error(path, line, f"nested more than {MAX_DEPTH} deep", "flatten the file")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Turns nodes into data; ``lines`` collects the line of each key and item."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._constructor = SafeConstructor()
        self._values = 0
        self._open: set[int] = set()
        self.lines: dict[_Path, int] = {}

    def build(self, node: Node, at: _Path) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._error(
                node, f"more than {MAX_VALUES} values once aliases are expanded", "use fewer"
            )
        self.lines.setdefault(at, _line(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an alias contains itself", "write the value out")
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, at)
            if node.tag != _SEQUENCE:
                raise self._tag_error(node)
            return [self.build(item, (*at, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, at: _Path) -> dict[str, Any]:
        if node.tag != _MAPPING:
            raise self._tag_error(node)
        own: dict[str, int] = {}
        data: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key = self._key(key_node)
            if key in own:
                raise self._error(
                    key_node, f"the key {key} is here twice; first on line {own[key]}",
                    "keep one of the two",
                )  # fmt: skip
            own[key] = _line(key_node)
            self.lines[*at, key] = own[key]
            data[key] = self.build(value_node, (*at, key))
        for value_node in merged:
            self._merge(value_node, at, data)
        return data

    def _merge(self, node: Node, at: _Path, data: dict[str, Any]) -> None:
        """Add what ``<<`` names; the mapping's own keys, then the earlier ones, win."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                raise self._error(node, "<< takes a mapping or a list of them", "name an anchor")
            extra = _Builder(self._path)
            extra._values, extra._open = self._values, self._open
            values = extra.build(source, at)
            self._values = extra._values
            for place, line in extra.lines.items():
                if len(place) > len(at) and place[len(at)] not in data:
                    self.lines[place] = line
            for key, value in values.items():
                data.setdefault(key, value)

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise self._error(node, "a key must be text", "put the key in quotes")
        key = self._scalar(node)
        if not isinstance(key, str):
            raise self._error(
                node, f"YAML reads the key {node.value} as {_reading(key)}, not as text",
                f'put it in quotes: "{node.value}"',
            )  # fmt: skip
        return key

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag == _TEXT:
            return node.value
        if node.tag not in _SCALARS:
            raise self._tag_error(node)
        try:
            return self._constructor.construct_object(node)
        except (ConstructorError, ValueError, OverflowError, KeyError, AttributeError):
            kind = node.tag.removeprefix(_TAG)
            raise self._error(
                node, f"{node.value[:40]} isn't a valid {kind}", "put it in quotes if it is text"
            ) from None

    def _tag_error(self, node: Node) -> SpecError:
        tag = str(node.tag).replace(_TAG, "!!")
        return self._error(node, f"the YAML tag {tag} isn't used here", "write a plain value")

    def _error(self, node: Node, message: str, remedy: str) -> SpecError:
        return _error(self._path, _line(node), message, remedy)


def _reading(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else f"{type(value).__name__} {value}"
