"""Which inputs, outputs and providers a Terraform module has, read from its ``*.tf`` files.

Override files and files in Terraform's JSON syntax are not read. Results are remembered until a
file changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlstacks_dagster.catalog.hcl import Block, HclError, Token, literal, read_blocks
from mlstacks_dagster.catalog.typecheck import type_from_tokens
from mlstacks_dagster.errors import CatalogError, Problem

__all__ = ["ModuleOutput", "Variable", "module_outputs", "module_providers", "module_variables"]


@dataclass(frozen=True)
class Variable:
    """An input variable; ``type`` is a Terraform type, ``any`` where none is given.

    ``default`` is None when there is none or when it isn't a literal.
    """

    name: str
    type: str = "any"
    has_default: bool = False
    default: Any = None
    sensitive: bool = False
    nullable: bool = True
    description: str = ""
    file: Path | None = None
    line: int = 1


@dataclass(frozen=True)
class ModuleOutput:
    """An output of a module."""

    name: str
    sensitive: bool = False
    description: str = ""


@dataclass
class _Module:
    variables: dict[str, Variable] = field(default_factory=dict)
    outputs: dict[str, ModuleOutput] = field(default_factory=dict)
    providers: set[str] = field(default_factory=set)


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
    module = _Module()
    for path, _, _ in stamps:
        try:
            for block in read_blocks(path.read_text(encoding="utf-8")):
                _add(module, block, path)
        except HclError as error:
            raise CatalogError(str(Problem(str(error), path, error.line))) from None
        except (OSError, UnicodeDecodeError) as error:
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
    default = block.attributes.get("default")
    return Variable(
        name=name,
        type=str(type_from_tokens(kind)) if kind else "any",
        has_default=default is not None,
        default=_literal_or_none(default),
        sensitive=_flag(block, "sensitive", False),
        nullable=_flag(block, "nullable", True),
        description=_description(block),
        file=path,
        line=block.line,
    )


def _literal_or_none(tokens: tuple[Token, ...] | None) -> Any:
    if tokens is None:
        return None
    try:
        return literal(tokens)
    except HclError:
        return None


def _flag(block: Block, name: str, default: bool) -> bool:
    value = _literal_or_none(block.attributes.get(name))
    return value if isinstance(value, bool) else default


def _description(block: Block) -> str:
    value = _literal_or_none(block.attributes.get("description"))
    return " ".join(value.split()) if isinstance(value, str) else ""
