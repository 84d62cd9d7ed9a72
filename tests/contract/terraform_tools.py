"""What the tests of Terraform modules share: the modules that we ship, read by python-hcl2.

python-hcl2 reads the files here, so that the catalog's own reader isn't judged by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from mlstacks_dagster.settings import data_root

MODULES = sorted(path.parent for path in (data_root() / "terraform").glob("*/*/unit.yaml"))

each_module = pytest.mark.parametrize(
    "module", [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in MODULES]
)


def plain(value: Any) -> Any:
    """Return what python-hcl2 read without the quotes that it keeps around strings."""
    if isinstance(value, dict):
        return {
            key.strip('"'): plain(inner) for key, inner in value.items() if key != "__is_block__"
        }
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


@functools.cache
def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the blocks of a file by their kind."""
    return plain(hcl2.loads(path.read_text()))


def blocks(module: Path, kind: str, files: str = "*.tf") -> Iterator[tuple[str, Any]]:
    """Yield label (``type.name`` for resources) and body of every block of that kind."""
    for path in sorted(module.glob(files)):
        for block in read(path).get(kind, []):
            for label, body in block.items():
                if kind in ("resource", "data"):
                    for name, inner in body.items():
                        yield f"{label}.{name}", inner
                else:
                    yield label, body


def resources(module: Path) -> dict[str, dict[str, Any]]:
    """Return the resources outside of override files."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(module.glob("*.tf")):
        if not path.name.endswith("_override.tf"):
            found |= dict(blocks(module, "resource", path.name))
    return found
