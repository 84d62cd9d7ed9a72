"""The exception tree: one base, stable exit codes, messages with what, where and what to do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from mlstacks_dagster import errors
from mlstacks_dagster.errors import (
    CommandError,
    InputError,
    MlstacksError,
    Problem,
    RefusedError,
    SpecError,
    TransientCommandError,
)

EVERY = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, MlstacksError)
]


def test_all_names_of_the_module_are_exported_and_sorted() -> None:
    defined = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if value.__module__ == errors.__name__
    }
    assert set(errors.__all__) == defined
    assert errors.__all__ == sorted(errors.__all__)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            parents[depth:] = [match[2]]
            drawn[match[2]] = parents[depth - 1] if depth else "Exception"
    assert drawn == {c.__name__: c.__bases__[0].__name__ for c in EVERY}


@pytest.mark.parametrize("error", EVERY, ids=lambda e: e.__name__)
def test_exit_codes_are_one_two_or_three(error: type[MlstacksError]) -> None:
    if issubclass(error, InputError):
        assert error.exit_code == 2
    elif issubclass(error, RefusedError):
        assert error.exit_code == 3
    else:
        assert error.exit_code == 1
    assert error.__doc__


def test_a_message_shows_its_remedy_on_a_line_of_its_own() -> None:
    assert str(MlstacksError("it broke")) == "it broke"
    error = MlstacksError("it broke", remedy="mend it")
    assert str(error) == "it broke\n  -> mend it"
    assert (error.message, error.remedy) == ("it broke", "mend it")


def test_a_command_error_keeps_the_return_code() -> None:
    error = TransientCommandError("throttled", returncode=1, remedy="wait")
    assert isinstance(error, CommandError)
    assert error.returncode == 1
    assert CommandError("x").returncode is None


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("bad"), "bad"),
        (Problem("bad", remedy="mend"), "bad (mend)"),
        (Problem("bad", Path("a.yaml")), "a.yaml:1: bad"),
        (Problem("bad", Path("a.yaml"), 7, "mend"), "a.yaml:7: bad (mend)"),
    ],
)
def test_a_problem_reads_as_editors_want_it(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_spec_error_lists_every_problem() -> None:
    error = SpecError([Problem("a", Path("x.yaml"), 1), Problem("b", Path("y.yaml"), 2)])
    assert str(error) == "x.yaml:1: a\ny.yaml:2: b"
    assert [p.message for p in error.problems] == ["a", "b"]
    assert error.exit_code == 2
