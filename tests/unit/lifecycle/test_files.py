"""Private files: 0600 whatever the umask, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlstacks_dagster.lifecycle.files import write_private


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
