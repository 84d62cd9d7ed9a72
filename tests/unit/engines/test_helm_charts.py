"""Charts from a mirror or through the cache, with their version and checksum looked at."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from mlstacks_dagster.catalog.models import ChartReference
from mlstacks_dagster.engines.helm_argv import ChartSource
from mlstacks_dagster.engines.helm_charts import (
    cached_chart,
    chart_metadata,
    check_digest,
    has_crds,
    resolve_chart,
)
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.settings import Settings


def pack(path: Path, name="web", version="1.2.3", **files: str) -> Path:
    content = {"Chart.yaml": f"name: {name}\nversion: {version}\n", **files}
    with tarfile.open(path, "w:gz") as archive:
        for file, text in content.items():
            info = tarfile.TarInfo(f"{name}/{file}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def unpack(folder: Path, name="web", version="1.2.3") -> Path:
    folder.mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"name: {name}\nversion: {version}\n")
    return folder


def reference(**more) -> ChartReference:
    given = {
        "name": "web",
        "repository": "oci://registry.example.org/charts",
        "version": "1.2.3",
        "app_version": "9",
        "license": "Apache-2.0",
    }
    return ChartReference(**{**given, **more})


def settings(tmp_path: Path, mirror: Path | None) -> Settings:
    return Settings(home=tmp_path, stacks_dir=tmp_path, chart_mirror=mirror)


@pytest.mark.parametrize("place", ["oci://registry.example.org/charts", "https://c.example/x/"])
def test_without_a_mirror_a_chart_is_a_url(tmp_path, place):
    found = resolve_chart(reference(repository=place), settings(tmp_path, None))
    assert found == f"{place.rstrip('/')}/web"


def test_a_packed_chart_of_the_mirror_comes_first(tmp_path):
    packed = pack(tmp_path / "web-1.2.3.tgz")
    unpack(tmp_path / "web")
    assert resolve_chart(reference(), settings(tmp_path, tmp_path)) == packed


def test_an_unpacked_chart_must_have_that_version(tmp_path):
    folder = unpack(tmp_path / "web")
    assert resolve_chart(reference(), settings(tmp_path, tmp_path)) == folder
    with pytest.raises(InputError, match=r"web is web 1\.2\.3") as caught:
        resolve_chart(reference(version="1.2.4"), settings(tmp_path, tmp_path))
    assert "registry.example.org" in caught.value.remedy


def test_a_v_before_the_version_makes_no_difference(tmp_path):
    folder = unpack(tmp_path / "web", version="v1.2.3")
    assert resolve_chart(reference(), settings(tmp_path, tmp_path)) == folder


def test_a_chart_that_the_mirror_lacks_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"neither web-1\.2\.3\.tgz nor web/"):
        resolve_chart(reference(), settings(tmp_path, tmp_path))


def test_another_chart_under_its_name_is_an_error(tmp_path):
    pack(tmp_path / "web-1.2.3.tgz", name="other")
    with pytest.raises(InputError, match="is other"):
        resolve_chart(reference(), settings(tmp_path, tmp_path))


def test_an_archive_with_another_checksum_is_an_error(tmp_path):
    packed = pack(tmp_path / "web-1.2.3.tgz")
    right = f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}"
    assert resolve_chart(reference(digest=right), settings(tmp_path, tmp_path)) == packed
    with pytest.raises(InputError, match="checksum"):
        resolve_chart(reference(digest=f"sha256:{'0' * 64}"), settings(tmp_path, tmp_path))


@pytest.mark.parametrize("content", [b"", b"x", None])
def test_what_is_no_chart_is_an_error(tmp_path, content):
    path = tmp_path / "web-1.2.3.tgz"
    if content is None:
        with tarfile.open(path, "w:gz"):
            pass
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is not a chart"):
        chart_metadata(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is not a chart"):
        chart_metadata(tmp_path / "folder")


def test_a_published_chart_is_fetched_once(tmp_path):
    source = ChartSource("oci://registry.example.org/charts/web", "1.2.3")
    pulls = []

    def pull(folder: Path) -> None:
        pulls.append(folder)
        pack(folder / "web-1.2.3.tgz")

    first = cached_chart(source, None, tmp_path, pull)
    assert cached_chart(source, None, tmp_path, pull) == first
    assert len(pulls) == 1
    assert chart_metadata(first)["name"] == "web"
    assert list(tmp_path.rglob("*.tgz")) == [first]


def test_charts_of_the_same_name_from_two_places_are_told_apart(tmp_path):
    def pull(folder: Path) -> None:
        pack(folder / "web-1.2.3.tgz")

    one = cached_chart(ChartSource("oci://a.example/web", "1.2.3"), None, tmp_path, pull)
    two = cached_chart(ChartSource("oci://b.example/web", "1.2.3"), None, tmp_path, pull)
    assert one != two


def test_a_fetched_chart_with_another_checksum_never_enters_the_cache(tmp_path):
    source = ChartSource("oci://a.example/web", "1.2.3")

    def pull(folder: Path) -> None:
        (folder / "web-1.2.3.tgz").write_bytes(b"evil")

    with pytest.raises(InputError, match="checksum"):
        cached_chart(source, f"sha256:{'0' * 64}", tmp_path, pull)
    assert list(tmp_path.rglob("*.tgz")) == []


def test_a_cached_chart_that_was_changed_is_refused(tmp_path):
    source = ChartSource("oci://a.example/web", "1.2.3")
    packed = pack(tmp_path / "web.tgz")
    digest = f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}"
    kept = cached_chart(source, digest, tmp_path / "cache", lambda f: packed.rename(f / "w.tgz"))
    kept.write_bytes(b"changed")
    with pytest.raises(InputError, match="checksum"):
        cached_chart(source, digest, tmp_path / "cache", lambda _: None)


def test_a_pull_that_brings_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nothing was fetched"):
        cached_chart(ChartSource("oci://a.example/web", "1.2.3"), None, tmp_path, lambda _: None)


def test_definitions_are_found_in_folders_and_archives(tmp_path):
    folder = unpack(tmp_path / "plain")
    assert not has_crds(folder)
    (folder / "crds").mkdir()
    assert has_crds(folder)
    assert not has_crds(pack(tmp_path / "a.tgz"))
    assert has_crds(pack(tmp_path / "b.tgz", **{"crds/x.yaml": "a"}))
    inner = unpack(tmp_path / "outer")
    (inner / "charts").mkdir()
    pack(inner / "charts" / "c.tgz", **{"crds/x.yaml": "a"})
    assert has_crds(inner)


def test_folders_have_no_checksum(tmp_path):
    check_digest(unpack(tmp_path / "web"), f"sha256:{'0' * 64}")
    check_digest(pack(tmp_path / "web.tgz"), None)
