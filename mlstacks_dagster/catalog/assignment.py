"""Values that the user gives to variables, and the modules' own rules for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlstacks_dagster.catalog.conditions import CantSayError, holds, variables_in
from mlstacks_dagster.catalog.selection import Selection
from mlstacks_dagster.catalog.typecheck import converted
from mlstacks_dagster.catalog.variables import Variable, module_variables
from mlstacks_dagster.errors import Problem
from mlstacks_dagster.spec.fields import describe
from mlstacks_dagster.spec.models import Component

__all__ = ["Assignment", "broken_validations"]


@dataclass(frozen=True)
class Assignment:
    """A value of a unit's input variable and the component and key that it comes from."""

    value: Any
    component: Component
    key: str

    @property
    def where(self) -> str:
        """File and line of the value."""
        source = self.component.source
        return f"{source.file}:{source.line('metadata', 'config', self.key)}"

    def problem(self, message: str, remedy: str = "") -> Problem:
        """Return a problem located at the value."""
        return self.component.source.problem(message, "metadata", "config", self.key, remedy=remedy)


def broken_validations(
    selection: Selection, assigned: Mapping[str, Mapping[str, Assignment]]
) -> list[Problem]:
    """Return what Terraform would refuse of the values, by the ``validation`` blocks.

    ``assigned`` has each unit's values, whose types are right. A value that several units
    refuse is one problem; what needs a value that is known at the deploy only is left out.
    """
    found: dict[tuple[object, ...], Problem] = {}
    for name, given in assigned.items():
        unit = selection.units[name]
        if not given or unit.engine != "terraform":
            continue
        bound = {b.variable for edge in selection.into(name) for b in edge.bindings}
        for problem in _broken(module_variables(unit.path), given, bound):
            found.setdefault((problem.file, problem.line), problem)
    return list(found.values())


def _broken(
    variables: Mapping[str, Variable], given: Mapping[str, Assignment], bound: set[str]
) -> Iterator[Problem]:
    values = _known_values(variables, given, bound)
    for name, variable in variables.items():
        for validation in variable.validations:
            condition = validation.condition
            concerned = [] if condition is None else sorted(variables_in(condition) & given.keys())
            if condition is None or not concerned:
                continue
            try:
                if holds(condition, values):
                    continue
            except CantSayError:
                continue
            where = given[name if name in given else concerned[0]]
            hidden = variable.sensitive or isinstance(where.value, list | dict)
            shown = "this value" if hidden else describe(where.value)
            yield where.problem(f"{where.key} can't be {shown}", validation.message)


def _known_values(
    variables: Mapping[str, Variable], given: Mapping[str, Assignment], bound: set[str]
) -> dict[str, Any]:
    """Return the values that are known before the deploy: the user's, and defaults."""
    values = {}
    for name, variable in variables.items():
        if name in bound:
            continue
        if name in given:
            values[name] = converted(given[name].value, variable.type)
        elif variable.has_default:
            values[name] = converted(variable.default, variable.type)
    return values
