"""The component files that a stack file lists."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

from mlstacks_dagster.errors import SpecError
from mlstacks_dagster.settings import current_folder
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
            self._unread(error, item, index)
            return None
        fields = Fields(data, source, self._stack.findings)
        return read_component(fields, self._provider, self._known, self._extra_regions)

    def _unread(self, error: SpecError, item: str, index: int) -> None:
        """Record why a file can't be read; what has no line in it is shown where it is named."""
        for problem in error.problems:
            if problem.line is not None:
                self._stack.findings.errors.append(problem)
            else:
                self._refuse(item, index, problem.message, problem.remedy)

    def _refuse(self, item: str, index: int, why: str, remedy: str) -> None:
        message = f"component file {describe(item)}: {why}"
        self._stack.error(message, "components", index, remedy=remedy)

    def _find(self, item: str, index: int) -> Path | None:
        folder = self._stack.source.file.parent
        here = current_folder()
        try:
            beside = folder / item
            if _exists(beside):
                return beside
            if here is not None and _exists(here / item):
                self._stack.warn(
                    f"component {item} was found in the current directory, not beside the stack",
                    "components",
                    index,
                    remedy=f"move it to {folder}",
                )
                return here / item
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._refuse(item, index, f"can't be looked up: {why}", "name a file that you may read")
            return None
        also = "" if here is None else f" and in the current directory {here}"
        self._stack.error(
            f"there is no component file {describe(item)}",
            "components",
            index,
            remedy=f"looked in {folder}{also}",
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


def _exists(path: Path) -> bool:
    """Tell whether there is such a path; raises OSError when that can't be seen."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL character
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    return True
