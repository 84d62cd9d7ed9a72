"""Which inputs, outputs and providers a Terraform module has, read from its ``*.tf`` files.

Override files and files in Terraform's JSON syntax are not read. What was read is remembered
until a file changes: in this process, and in ``MLSTACKS_HOME`` for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlstacks_dagster.catalog.conditions import Node, read_condition
from mlstacks_dagster.catalog.hcl import Block, HclError, literal, read_blocks
from mlstacks_dagster.catalog.module_cache import keep, kept
from mlstacks_dagster.catalog.typecheck import TypeNode, read_type
from mlstacks_dagster.errors import CatalogError, Problem
from mlstacks_dagster.settings import Settings

__all__ = [
    "ModuleOutput",
    "Validation",
    "Variable",
    "module_outputs",
    "module_providers",
    "module_variables",
]

_FORMAT = 2  # add one whenever this program would read something else in the same files
_ANY = TypeNode("any")


@dataclass(frozen=True)
class Validation:
    """A rule of a variable. ``condition`` is None when only Terraform can evaluate it."""

    message: str
    condition: Node | None = None


@dataclass(frozen=True)
class Variable:
    """An input variable; ``type`` is ``any`` where none is given.

    ``default`` is None when there is none or when it isn't a literal.
    """

    name: str
    type: TypeNode = _ANY
    has_default: bool = False
    default: Any = None
    sensitive: bool = False
    nullable: bool = True
    description: str = ""
    validations: tuple[Validation, ...] = ()
    file: Path | None = None
    line: int = 1


@dataclass(frozen=True)
class ModuleOutput:
    """An output of a module."""

    name: str
    sensitive: bool = False
    description: str = ""


class _Module(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants", extra="forbid")

    variables: dict[str, Variable] = {}
    outputs: dict[str, ModuleOutput] = {}
    providers: set[str] = set()


def module_variables(folder: Path) -> Mapping[str, Variable]:
    """Return the input variables of the module in ``folder``, by name.

    A folder without ``*.tf`` files has none. Raises :class:`CatalogError` with file and line
    when a file can't be read.
    """
    return MappingProxyType(_module(folder).variables)


def module_outputs(folder: Path) -> Mapping[str, ModuleOutput]:
    """Return the outputs of the module in ``folder``, by name; raises :class:`CatalogError`."""
    return MappingProxyType(_module(folder).outputs)


def module_providers(folder: Path) -> frozenset[str]:
    """Return the local names in ``required_providers``; raises :class:`CatalogError`."""
    return frozenset(_module(folder).providers)


def _module(folder: Path) -> _Module:
    try:
        files = sorted(path for path in folder.glob("*.tf") if not _overrides(path))
        stamps = tuple((path, *_stamp(path)) for path in files)
    except OSError as error:
        raise CatalogError(f"can't read the module in {folder}: {error.strerror}") from None
    return _read_module(stamps)


def _overrides(path: Path) -> bool:
    return path.stem == "override" or path.stem.endswith("_override")


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=512)
def _read_module(stamps: tuple[tuple[Path, int, int], ...]) -> _Module:
    contents: dict[Path, bytes] = {}
    for path, _, _ in stamps:
        try:
            contents[path] = path.read_bytes()
        except OSError as error:
            raise CatalogError(str(Problem(f"can't read the file: {error}", path))) from None
    return _kept_or_parsed(contents) if contents else _Module()


def _kept_or_parsed(contents: Mapping[Path, bytes]) -> _Module:
    folder, name = Settings.load().module_cache, _cache_name(contents)
    try:
        return _Module.model_validate_json(kept(folder, name) or b"")
    except ValueError:  # not there, or broken
        module = _parse(contents)
    keep(folder, name, module.model_dump_json().encode())
    return module


def _cache_name(contents: Mapping[Path, bytes]) -> str:
    digest = sha256(f"{_FORMAT} {_parser_version()}".encode())
    for path, content in contents.items():
        digest.update(f"\0{path}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{digest.hexdigest()}.json"


@cache
def _parser_version() -> str:
    return version("python-hcl2")


def _parse(contents: Mapping[Path, bytes]) -> _Module:
    module = _Module()
    for path, content in contents.items():
        try:
            for block in read_blocks(content.decode()):
                _add(module, block, path)
        except HclError as error:
            raise CatalogError(str(Problem(str(error), path, error.line))) from None
        except UnicodeDecodeError as error:
            raise CatalogError(str(Problem(f"can't read the file: {error}", path))) from None
    return module


def _add(module: _Module, block: Block, path: Path) -> None:
    if block.type == "terraform":
        module.providers.update(_provider_names(block))
    elif block.type in ("variable", "output"):
        if len(block.labels) != 1:
            raise HclError(f"a {block.type} block has one name", block.line)
        name = block.labels[0]
        if block.type == "variable":
            module.variables[name] = _variable(name, block, path)
        else:
            module.outputs[name] = ModuleOutput(
                name, _flag(block, "sensitive", False), _description(block)
            )


def _provider_names(block: Block) -> Iterator[str]:
    for inner in block.blocks:
        if inner.type == "required_providers":
            yield from inner.attributes


def _variable(name: str, block: Block, path: Path) -> Variable:
    kind = block.attributes.get("type")
    return Variable(
        name=name,
        type=_ANY if kind is None else read_type(kind),
        has_default="default" in block.attributes,
        default=_literal_or_none(block, "default"),
        sensitive=_flag(block, "sensitive", False),
        nullable=_flag(block, "nullable", True),
        description=_description(block),
        validations=tuple(_validation(b) for b in block.blocks if b.type == "validation"),
        file=path,
        line=block.line,
    )


def _validation(block: Block) -> Validation:
    message = _literal_or_none(block, "error_message")
    text = message if isinstance(message, str) else ""
    try:
        return Validation(text, read_condition(block.attributes["condition"]))
    except (HclError, KeyError):
        return Validation(text)


def _literal_or_none(block: Block, name: str) -> Any:
    expression = block.attributes.get(name)
    try:
        return None if expression is None else literal(expression)
    except HclError:
        return None


def _flag(block: Block, name: str, default: bool) -> bool:
    value = _literal_or_none(block, name)
    return value if isinstance(value, bool) else default


def _description(block: Block) -> str:
    value = _literal_or_none(block, "description")
    return " ".join(value.split()) if isinstance(value, str) else ""
