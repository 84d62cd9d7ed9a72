from __future__ import annotations

import os
from pathlib import Path

from mlstacks_dagster.catalog.module_cache import keep, kept


def test_what_is_kept_is_found_again_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "cache"
    assert kept(folder, "a") is None
    keep(folder, "a", b"first")
    keep(folder, "a", b"second")
    assert kept(folder, "a") == b"second"
    assert [path.name for path in folder.iterdir()] == ["a"]
    modes = [path.stat().st_mode & 0o777 for path in (folder / "a", folder, folder.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    keep(file / "cache", "a", b"content")
    assert kept(file / "cache", "a") is None


def test_a_name_that_is_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    keep(tmp_path, "a", b"content")
    assert kept(tmp_path, "a") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_oldest_files_make_room(tmp_path: Path) -> None:
    for age, name in enumerate("cab"):
        keep(tmp_path, name, b"")
        os.utime(tmp_path / name, ns=(age, age))
    keep(tmp_path, "d", b"", limit=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "d"]
