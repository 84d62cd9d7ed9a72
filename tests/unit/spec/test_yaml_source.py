"""YAML with lines: what is read, what is refused, and that nothing hurts."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.spec.yaml_source import MAX_BYTES, MAX_DEPTH, load_yaml


def problem_of(path: Path, content: str | bytes) -> Problem:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError) as caught:
        load_yaml(path)
    (problem,) = caught.value.problems
    assert problem.file == path
    assert problem.remedy
    return problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def test_every_key_and_item_has_its_line(path: Path) -> None:
    path.write_text("# one\na: 1\nb:\n  c:\n    - x\n    - y: {z: 2,\n         w: 3}\n")
    data, source = load_yaml(path)
    assert data == {"a": 1, "b": {"c": ["x", {"y": {"z": 2, "w": 3}}]}}
    assert source.line("a") == 2
    assert source.line("b", "c") == 4
    assert source.line("b", "c", 0) == 5
    assert source.line("b", "c", 1, "y", "z") == 6
    assert source.line("b", "c", 1, "y", "w") == 7
    assert source.line("b", "c", 1, "y", "unknown") == 6, "the nearest known parent"
    assert source.line("unknown") == 2


def test_scalars_are_those_of_safe_yaml(path: Path) -> None:
    text = "a: 1\nb: 1.5\nc: yes\nd: ~\ne: '5'\nf: 2027-01-01T00:00:00Z\ng: |\n  x\n  y\n"
    path.write_text(text)
    data, _ = load_yaml(path)
    assert data == yaml.safe_load(text)
    assert data["f"] == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_byte_order_mark_and_other_languages_are_fine(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    assert load_yaml(path)[0] == {"a": "é"}


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "---\n...\n"])
def test_an_empty_file(path: Path, content: str) -> None:
    problem = problem_of(path, content)
    assert "empty" in problem.message or "single value" in problem.message


@pytest.mark.parametrize(("content", "kind"), [("- a\n- b\n", "list"), ("hello\n", "single value")])
def test_a_file_that_is_no_mapping(path: Path, content: str, kind: str) -> None:
    assert f"holds a {kind}" in problem_of(path, content).message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: 1\nb: [1,\n", 2),
        ("a: [1", 1),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\nb: 'x\n", 2),
        ("a: b: c\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: *nothing\n", 1),
        ("a: 1\nb: \x01\n", 2),
    ],
)
def test_broken_yaml_names_the_line(path: Path, content: str, line: int) -> None:
    problem = problem_of(path, content)
    assert problem.line == line
    assert "YAML" in problem.message or "control character" in problem.message


def test_a_key_twice_is_an_error_at_any_level(path: Path) -> None:
    problem = problem_of(path, "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert problem.message == "the key c is here twice; first on line 3"
    assert problem.line == 5
    assert problem_of(path, "a: 1\n'a': 2\n").line == 2


@pytest.mark.parametrize("key", ["yes", "1", "1.5", "null", "2027-01-01"])
def test_a_key_that_yaml_does_not_read_as_text_is_an_error(path: Path, key: str) -> None:
    problem = problem_of(path, f"a:\n  {key}: x\n")
    assert f"the key {key}" in problem.message
    assert f'"{key}"' in problem.remedy
    assert problem.line == 2


def test_a_key_that_is_a_collection_is_an_error(path: Path) -> None:
    assert "a key must be text" in problem_of(path, "? [a]\n: b\n").message


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "!!python/name:os.system",
        "!!set {x}",
        "!!binary aGk=",
        "!!omap [a: 1]",
        "!mine x",
        "!mine [x]",
        "!mine {x: y}",
        "=",
    ],
)
def test_nothing_but_plain_values_is_built(
    path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    assert "YAML tag" in problem_of(path, f"ok: 1\na: {value}\n").message
    assert not (path.parent / "pwned").exists()


@pytest.mark.parametrize("value", ["2027-13-45", "0x_", "!!int foo", "!!bool foo", "9" * 5000])
def test_a_scalar_that_can_not_be_read_is_an_error(path: Path, value: str) -> None:
    problem = problem_of(path, f"ok: 1\na: {value}\n")
    assert "isn't a valid" in problem.message
    assert problem.line == 2
    assert len(problem.message) < 100


def test_anchors_and_merges_are_read_with_the_lines_where_they_are_written(path: Path) -> None:
    path.write_text("base: &b\n  x: 1\n  y: {z: 2}\nuse:\n  <<: *b\n  x: 3\nagain: *b\n")
    data, source = load_yaml(path)
    assert data["use"] == {"x": 3, "y": {"z": 2}}
    assert data["again"] == data["base"]
    assert source.line("use", "x") == 6
    assert source.line("use", "y", "z") == 3


def test_the_first_of_several_merged_mappings_wins_as_in_safe_yaml(path: Path) -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: [*a, *b]\n"
    path.write_text(text)
    assert load_yaml(path)[0] == yaml.safe_load(text)


def test_a_merge_of_something_else_is_an_error(path: Path) -> None:
    assert "<< takes a mapping" in problem_of(path, "a: {<<: x}\n").message


def test_nested_aliases_can_not_fill_the_memory(path: Path) -> None:
    lists = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    assert "once aliases are expanded" in problem_of(path, lists).message
    merges = "a0: &a0 {k: x}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
    )
    assert "once aliases are expanded" in problem_of(path, merges).message


@pytest.mark.parametrize("content", ["a: &x [*x]\n", "a: &x {b: *x}\n", "a: &x {<<: *x}\n"])
def test_an_alias_inside_itself_is_an_error(path: Path, content: str) -> None:
    assert "contains itself" in problem_of(path, content).message


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "a: {b: ["])
def test_deep_nesting_is_refused_and_does_not_crash(path: Path, opening: str) -> None:
    problem = problem_of(path, opening * 100_000)
    assert "deep" in problem.message or "YAML" in problem.message


def test_nesting_up_to_the_limit_is_fine(path: Path) -> None:
    path.write_text("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    load_yaml(path)
    problem_of(path, "a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_a_file_up_to_the_size_limit_is_fine(path: Path) -> None:
    content = "a: 1\n#"
    path.write_text(content + "x" * (MAX_BYTES - len(content)))
    load_yaml(path)
    assert "larger than" in problem_of(path, content + "x" * MAX_BYTES).message


def test_a_file_that_is_not_utf8(path: Path) -> None:
    problem = problem_of(path, b"a: 1\nb: \xe9\n")
    assert problem.message == "the file isn't UTF-8 text"
    assert problem.line == 2


def test_a_missing_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("no", "no such file"), (".", "a folder"), ("pipe", "regular file")):
        with pytest.raises(SpecError, match=says):
            load_yaml(tmp_path / name)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SpecError, match="can't read the file"):
        load_yaml(tmp_path / "loop")
    with pytest.raises(SpecError, match="can't read the file"):
        load_yaml(tmp_path / ("x" * 300))


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text(min_size=1, max_size=8), _values, min_size=1, max_size=5))
@settings(max_examples=60)
def test_what_yaml_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "back.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=False))
    assert load_yaml(path)[0] == data


@given(
    content=st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!?|>'\"# \n\t<~1", max_size=80)
)
@settings(max_examples=300)
def test_any_bytes_give_data_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        data, _ = load_yaml(path)
    except SpecError as error:
        (problem,) = error.problems
        assert problem.file == path
        assert problem.remedy
    else:
        assert isinstance(data, dict)
