"""The provider mirror: complete or absent, whoever builds it and however often."""

from __future__ import annotations

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlstacks_dagster.errors import SandboxError
from mlstacks_dagster.sandbox.mirror import build_mirror, bundled_provider, remove_leftovers

PACKAGE = Path("hashicorp/aws/3.39.0/linux_amd64/terraform-provider-aws_v3.39.0_x5")


def program(mirror: Path, registry: str = "registry.terraform.io") -> Path:
    return mirror / registry / PACKAGE


def test_the_provider_lies_unpacked_and_executable(tmp_path: Path, archive: Path) -> None:
    mirror = tmp_path / "sandbox" / "mirror"
    assert build_mirror(mirror, archive) == mirror
    assert program(mirror).read_text().startswith("#!")
    assert program(mirror).stat().st_mode & 0o777 == 0o755


def test_opentofu_finds_the_same_provider_under_its_own_registry(
    tmp_path: Path, archive: Path
) -> None:
    build_mirror(tmp_path / "mirror", archive)
    assert program(tmp_path / "mirror", "registry.opentofu.org").samefile(
        program(tmp_path / "mirror")
    )


def test_the_mirror_still_works_after_the_home_was_moved(tmp_path: Path, archive: Path) -> None:
    build_mirror(tmp_path / "old" / "mirror", archive)
    (tmp_path / "old").rename(tmp_path / "new")
    assert program(tmp_path / "new" / "mirror", "registry.opentofu.org").is_file()


def test_building_again_keeps_what_is_there(tmp_path: Path, archive: Path) -> None:
    build_mirror(tmp_path / "mirror", archive)
    before = program(tmp_path / "mirror").stat().st_ino
    build_mirror(tmp_path / "mirror", archive)
    assert program(tmp_path / "mirror").stat().st_ino == before


def test_builds_at_the_same_time_leave_one_complete_mirror(tmp_path: Path, archive: Path) -> None:
    barrier = threading.Barrier(6)

    def build(_: int) -> Path | None:
        barrier.wait()
        return build_mirror(tmp_path / "mirror", archive)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(build, range(6))) == {tmp_path / "mirror"}
    assert program(tmp_path / "mirror").is_file()
    assert not list(tmp_path.glob(".mirror-*"))


@pytest.mark.parametrize("content", ["not a zip", ""])
def test_a_broken_archive_is_an_error_that_leaves_nothing(tmp_path: Path, content: str) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_text(content)
    with pytest.raises(SandboxError, match="could not be unpacked"):
        build_mirror(tmp_path / "mirror", broken)
    assert not program(tmp_path / "mirror").exists()
    assert not list(tmp_path.glob(".mirror-*"))


def test_an_archive_without_the_program_is_an_error(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("README", "nothing here")
    with pytest.raises(SandboxError, match="could not be unpacked"):
        build_mirror(tmp_path / "mirror", other)


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".mirror-abc" / "linux_amd64").mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("system", "machine"),
    [("Darwin", "arm64"), ("Darwin", "x86_64"), ("Linux", "aarch64"), ("Windows", "AMD64")],
)
def test_other_platforms_take_the_current_provider(system: str, machine: str) -> None:
    assert bundled_provider(system, machine) is None


def test_the_wheels_zip_is_found_where_it_is_installed() -> None:
    found = bundled_provider("Linux", "x86_64")
    assert found is not None
    assert zipfile.ZipFile(found).namelist() == [PACKAGE.name]
