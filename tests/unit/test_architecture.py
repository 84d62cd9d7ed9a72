"""What holds for every module; the layers are import-linter's business."""

from __future__ import annotations

import ast
from pathlib import Path

import mlstacks_dagster

PACKAGE = Path(mlstacks_dagster.__file__).parent
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(), str(path))
    for path in sorted(PACKAGE.rglob("*.py"))
    if "_data" not in path.parts
}


def _said(tree: ast.Module) -> list[str] | None:
    """Return what ``__all__`` holds; None when there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _targets(node) == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def _defined(tree: ast.Module) -> set[str]:
    """Return the functions and classes that a module defines at its top level."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def _subcommands(tree: ast.Module) -> set[str]:
    """Return the functions that only a group of commands calls: ``@command.command(...)``."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("command.command(")
    }


def _names(tree: ast.Module) -> set[str]:
    """Return every name that a module binds at its top level, imports included."""
    names = _defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            names |= set(_targets(node))
    return names


def test_there_are_modules() -> None:
    assert len(TREES) > 50


def test_every_module_says_what_it_is_for() -> None:
    first_lines = {
        name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in TREES.items()
    }
    assert [n for n, line in first_lines.items() if not line.endswith((".", "?", ":"))] == []


def test_all_is_sorted_and_names_what_is_there() -> None:
    for name, tree in TREES.items():
        said = _said(tree)
        if said is None:
            continue
        constants = [n for n in said if n.isupper()]
        classes = [n for n in said if n not in constants and n[0].isupper()]
        rest = [n for n in said if n not in constants and n not in classes]
        assert said == [*sorted(constants), *sorted(classes), *sorted(rest)], name
        assert len(set(said)) == len(said), name
        assert set(said) - _names(tree) == set(), name


def test_all_is_complete() -> None:
    """What a module with ``__all__`` defines is in it or is private."""
    lacking = {}
    for name, tree in TREES.items():
        said = _said(tree)
        public = {d for d in _defined(tree) - _subcommands(tree) if not d.startswith("_")}
        if said is not None and public - set(said):
            lacking[name] = sorted(public - set(said))
    assert lacking == {}


def test_nobody_asks_for_a_shell() -> None:
    asked = [
        f"{name}:{node.value.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "shell"
    ]
    assert asked == []


def test_only_settings_reads_the_process_environment() -> None:
    readers = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers == {"settings.py"}
