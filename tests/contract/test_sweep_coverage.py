"""The page that lists what sweeps know."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstacks_dagster.cli.main import main
from mlstacks_dagster.sweep.aws.registry import KINDS as AWS
from mlstacks_dagster.sweep.docs import COVERAGE_PAGE, coverage_markdown, coverage_page
from mlstacks_dagster.sweep.gcp.catalog import KINDS as GCP
from mlstacks_dagster.sweep.inventory.handlers import Kind

ROOT = Path(__file__).parents[2]
each_kind = pytest.mark.parametrize(
    ("kind", "known"),
    [
        pytest.param(kind, set(kinds), id=f"{provider}-{name}")
        for provider, kinds in (("aws", AWS), ("gcp", GCP))
        for name, kind in kinds.items()
    ],
)


def test_the_page_is_fresh() -> None:
    found = (ROOT / COVERAGE_PAGE).read_text()
    assert found == coverage_page(), "run: mlstacks-dagster catalog --write ."


def test_the_command_that_writes_the_catalog_writes_the_page(tmp_path: Path) -> None:
    main(["catalog", "--write", str(tmp_path)])
    assert (tmp_path / COVERAGE_PAGE).read_text() == coverage_page()


@each_kind
def test_a_kind_says_what_it_is_and_by_what_it_is_proven(kind: Kind, known: set[str]) -> None:
    assert kind.title
    assert all(proof.strip() for proof in kind.proofs)
    assert kind.proofs, "without a proof nothing of it could ever be deleted"
    assert set(kind.held_by) <= known


def test_a_row_says_whether_it_is_deleted_and_whether_it_holds_data() -> None:
    page = coverage_markdown(
        {
            "aws": [
                Kind("b:late", "later | last", 20, data=True, proofs=("T1 x", "T4 y")),
                Kind("a:soon", "sooner", 10, deletable=False, proofs=("T2 z",)),
            ]
        }
    )
    assert page.splitlines()[-2:] == [
        "| `a:soon` | sooner | T2 z | awaited |  |",
        "| `b:late` | later \\| last | T1 x; T4 y | deleted | data |",
    ]
    assert "## AWS: 2 types" in page
