from __future__ import annotations

from pathlib import Path

import pytest

from mlstacks_dagster.catalog.unit_file import load_units
from mlstacks_dagster.errors import CatalogError

GOOD = """name: bucket
title: Bucket
description: A bucket.
provider: aws
engine: terraform
component: {type: artifact_store, flavor: s3}
requires:
  - capability: network
    bind: {vpc: vpc_id}
config:
  size: {variable: size}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "unit.yaml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        load_units(write(folder, text))
    return str(caught.value)


def test_a_unit_is_read_and_knows_its_folder(tmp_path: Path) -> None:
    (unit,) = load_units(write(tmp_path, GOOD))
    assert (unit.name, unit.path) == ("bucket", tmp_path)
    assert unit.requires[0].bind == {"vpc": "vpc_id"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title:", "tilte:", "unit.yaml:2: unknown key tilte (did you mean title?)"),
        ("    bind:", "    bin:", "unit.yaml:9: unknown key requires.0.bin (did you mean bind?)"),
        ("{variable: size}", "{varable: size}", "unit.yaml:11: unknown key config.size.varable"),
        ("title: Bucket\n", "", "the key title is missing"),
        ("provider: aws", "provider: azure", "unit.yaml:4: provider should be 'aws'"),
        ("name: bucket", "name: Bucket", "unit.yaml:1: name"),
        ("engine: terraform", "path: /tmp\nengine: terraform", "unit.yaml:5: unknown key path"),
        ("engine: terraform", "engine: [", "broken YAML"),
    ],
)
def test_a_broken_unit_is_refused_at_file_and_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert words in refusal(tmp_path, GOOD.replace(old, new, 1))


def test_every_finding_is_reported_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, GOOD.replace("title", "tilte").replace("aws", "azure"))
    assert all(word in text for word in ("tilte", "azure"))


def test_an_empty_file_points_at_the_recipe(tmp_path: Path) -> None:
    assert "docs/adding-a-flavor.md" in refusal(tmp_path, "")
