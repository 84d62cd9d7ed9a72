"""Private files and folders: for their owner whatever the umask, whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.files import disk_errors, private_folder, write_private


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_only_the_owner_can_read_it(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "new" / "secret"
    write_private(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


def test_a_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("new", "0o600")


def test_a_reader_keeps_the_whole_old_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old" * 1000)
    with path.open() as reader:
        write_private(path, "new")
        assert reader.read() == "old" * 1000
    assert path.read_text() == "new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "x" * 100_000 + "\udc80")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    path = tmp_path / "secret"
    path.symlink_to(target)
    write_private(path, "ours")
    assert (target.read_text(), path.is_symlink()) == ("theirs", False)


def test_a_failed_replacement_leaves_no_rest(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(taken, b"x")
    assert list(tmp_path.iterdir()) == [taken]


def test_a_program_can_be_run_by_its_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "tool", b"#!/bin/sh\n", executable=True)
    assert _mode(tmp_path / "tool") == 0o700


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            for _ in range(30):
                write_private(tmp_path / "f", letter * 10_000)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set((tmp_path / "f").read_text())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_and_its_new_parents_are_private(tmp_path: Path, umask: int) -> None:
    private_folder(tmp_path / "a" / "b")
    write_private(tmp_path / "c" / "d" / "file", "")
    assert {_mode(tmp_path / name) for name in ("a", "a/b", "c", "c/d")} == {0o700}


def test_an_existing_folder_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    private_folder(tmp_path / "a")
    assert _mode(tmp_path / "a") == 0o700


def test_a_missing_permission_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(MlstacksError, match="here/f"), disk_errors(tmp_path, "trying"):
        raise PermissionError(13, "Permission denied", "here/f")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
