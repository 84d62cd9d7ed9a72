"""The component files that a stack file lists."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mlstacks_dagster.errors import SpecError
from mlstacks_dagster.spec.component import read_component
from mlstacks_dagster.spec.fields import Fields, describe
from mlstacks_dagster.spec.matrix import KnownFlavors
from mlstacks_dagster.spec.models import Component, Provider
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["ComponentReader"]


class ComponentReader:
    """Reads the files under ``components:`` of a stack."""

    def __init__(
        self,
        stack: Fields,
        provider: Provider | None,
        known: KnownFlavors,
        extra_regions: Collection[str],
    ) -> None:
        self._stack = stack
        self._provider = provider
        self._known = known
        self._extra_regions = extra_regions
        self._files: dict[Path, int] = {}

    def read(self) -> tuple[Component, ...]:
        """Return the components that could be read."""
        listed = self._stack.data.get("components")
        if listed is None:
            return ()
        if not isinstance(listed, list):
            self._stack.error(
                f"components must be a list, not {describe(listed)}",
                "components",
                remedy="write `components:` and below it lines `- file.yaml`",
            )
            return ()
        read = [self._component(item, index) for index, item in enumerate(listed)]
        return tuple(c for c in read if c is not None)

    def _component(self, item: object, index: int) -> Component | None:
        if not isinstance(item, str) or not item:
            self._stack.error(
                f"a component is the path of a file, not {describe(item)}",
                "components",
                index,
                remedy="write the component in a file of its own and name the file here",
            )
            return None
        path = self._find(item, index)
        if path is None or self._listed_twice(path, item, index):
            return None
        try:
            data, source = load_yaml(path)
        except SpecError as error:
            self._stack.findings.errors.extend(error.problems)
            return None
        fields = Fields(data, source, self._stack.findings)
        return read_component(fields, self._provider, self._known, self._extra_regions)

    def _find(self, item: str, index: int) -> Path | None:
        folder = self._stack.source.file.parent
        beside = folder / item
        if "\0" not in item:
            if beside.exists():
                return beside
            here = Path(item).absolute()
            if here.exists():
                self._stack.warn(
                    f"component {item} was found in the current directory, not beside the stack",
                    "components",
                    index,
                    remedy=f"move it to {folder}",
                )
                return here
        self._stack.error(
            f"there is no component file {describe(item)}",
            "components",
            index,
            remedy=f"looked in {folder} and in the current directory {Path.cwd()}",
        )
        return None

    def _listed_twice(self, path: Path, item: str, index: int) -> bool:
        real = path.resolve()
        first = self._files.setdefault(real, index)
        if first == index:
            return False
        line = self._stack.source.line("components", first)
        self._stack.error(
            f"component file {item} is listed twice; first on line {line}",
            "components",
            index,
            remedy="remove one of the two",
        )
        return True
