"""The page of charts says what each unit installs, and from where."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlstacks_dagster.catalog.chart_docs import LICENSE_ANNOTATION, charts_page
from mlstacks_dagster.catalog.discovery import Catalog, own_roots, read_catalog
from mlstacks_dagster.catalog.models import ChartReference, HelmRelease, UnitDefinition
from mlstacks_dagster.errors import CatalogError

PUBLISHED = ChartReference(
    name="redis",
    repository="oci://registry.example.com/charts",
    version="1.2.3",
    app_version="7.4.0",
    license="BSD-3-Clause",
)


def _unit(path: Path, chart: ChartReference | str, name: str = "cache") -> UnitDefinition:
    return UnitDefinition(
        name=name,
        title="Cache",
        description="A cache.",
        provider="aws",
        engine="helm",
        helm=HelmRelease(chart=chart, release="cache", namespace="cache"),
        path=path,
    )


def _rows(*units: UnitDefinition) -> list[str]:
    page = charts_page(Catalog(units))
    return [line for line in page.splitlines() if line.startswith("| `")]


def test_a_published_chart_has_its_pin_and_its_registry(tmp_path: Path) -> None:
    assert _rows(_unit(tmp_path, PUBLISHED)) == [
        "| `redis` | 1.2.3 | 7.4.0 | BSD-3-Clause | `cache` | `oci://registry.example.com/charts` |"
    ]


def test_a_digest_is_shown(tmp_path: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    [row] = _rows(_unit(tmp_path, PUBLISHED.model_copy(update={"digest": digest})))
    assert digest in row


def test_units_of_one_chart_share_a_line(tmp_path: Path) -> None:
    [row] = _rows(_unit(tmp_path, PUBLISHED), _unit(tmp_path, PUBLISHED, name="another"))
    assert "`another`, `cache`" in row


def test_an_own_chart_is_read_from_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    about = {
        "apiVersion": "v2",
        "name": "cache",
        "version": "0.1.0",
        "appVersion": "7.4.0",
        "annotations": {LICENSE_ANNOTATION: "MIT"},
    }
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    assert _rows(_unit(folder, ".")) == [
        "| `cache` | 0.1.0 | 7.4.0 | MIT | `cache` | `charts/cache` |"
    ]


def test_a_licence_that_nobody_wrote_down_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("{name: cache, version: 0.1.0}\n")
    [row] = _rows(_unit(tmp_path, "."))
    assert "| not said |" in row


def test_a_chart_without_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"Chart\.yaml"):
        charts_page(Catalog((_unit(tmp_path, "."),)))


def test_a_chart_file_without_a_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: cache\n")
    with pytest.raises(CatalogError, match="a name and a version"):
        charts_page(Catalog((_unit(tmp_path, "."),)))


def test_every_chart_of_ours_is_on_the_page() -> None:
    catalog = read_catalog(own_roots())
    page = charts_page(catalog)
    for unit in catalog.units:
        if unit.helm is not None:
            assert f"`{unit.name}`" in page
