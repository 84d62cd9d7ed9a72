"""Writes stack and component files for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.load import load_stack
from mlstacks_dagster.spec.models import Stack

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


class _Absent:
    def __repr__(self) -> str:
        return "absent"  # the same in each worker, since test names are made of it


ABSENT = _Absent()


def settings(**changes: Any) -> Settings:
    return Settings(home=Path("/nowhere"), stacks_dir=Path("/nowhere"), **changes)


def component(**changes: Any) -> dict[str, Any]:
    """Return a valid S3 component; ``ABSENT`` removes a key."""
    return _changed(
        {
            "spec_version": 1,
            "spec_type": "component",
            "component_type": "artifact_store",
            "component_flavor": "s3",
            "name": "store",
            "provider": "aws",
        },
        changes,
    )


def stack(**changes: Any) -> dict[str, Any]:
    """Return a valid stack without components; ``ABSENT`` removes a key."""
    return _changed(
        {"spec_version": 1, "spec_type": "stack", "name": "demo", "provider": "aws"}, changes
    )


def triple(provider: str, kind: str, flavor: str, **changes: Any) -> dict[str, Any]:
    """Return a valid component of that triple, named after its type."""
    if provider == "gcp":
        changes.setdefault("metadata", {"config": {"project_id": "my-project"}})
    return component(
        provider=provider, component_type=kind, component_flavor=flavor, name=kind, **changes
    )


def _changed(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value is not ABSENT}


class Folder:
    """A folder of spec files; ``load`` loads its ``stack.yaml`` at the fixed time NOW."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | Mapping[str, Any]) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def fill(self, stack_file: Mapping[str, Any], *components: Mapping[str, Any] | str) -> Path:
        """Write ``stack.yaml`` that lists ``components`` as ``c0.yaml``, ``c1.yaml`` ..."""
        names = [f"c{i}.yaml" for i in range(len(components))]
        for name, content in zip(names, components, strict=True):
            self.write(name, content)
        listed = {"components": names} if components else {}
        return self.write("stack.yaml", {**stack_file, **listed})

    def load(self, **options: Any) -> Stack:
        options.setdefault("now", lambda: NOW)
        options.setdefault("settings", settings())
        return load_stack(self.path / "stack.yaml", options.pop("settings"), **options)

    def problems(self, **options: Any) -> tuple[Problem, ...]:
        """Return the problems; fail when the stack loads."""
        with pytest.raises(SpecError) as caught:
            self.load(**options)
        return caught.value.problems

    def problem(self, **options: Any) -> Problem:
        """Return the only problem."""
        found = self.problems(**options)
        assert len(found) == 1, "\n".join(map(str, found))
        return found[0]
