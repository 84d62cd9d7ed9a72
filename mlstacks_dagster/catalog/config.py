"""Give the user's ``metadata.config`` values to the units whose keys they are.

A component's own units come first, then the base units of the plan (cluster, network).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import ConfigKey, UnitDefinition
from mlstacks_dagster.catalog.selection import Selection
from mlstacks_dagster.catalog.unit_inputs import UnitInput, unit_input
from mlstacks_dagster.catalog.variables import module_variables
from mlstacks_dagster.errors import Problem
from mlstacks_dagster.spec.matrix import COMMON_CONFIG_KEYS
from mlstacks_dagster.spec.models import Component, Stack
from mlstacks_dagster.spec.rules import RULES, split_password
from mlstacks_dagster.spec.suggest import nearest

__all__ = ["Assignment", "assign_config", "common_keys", "zenml_version"]

_PROJECT = "project_id"
_ZENML_VERSION = "zenml-version"
_NOT_SPLIT = "must be a URL with a user and a password, in which @ is written %40"


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


def common_keys(provider: str) -> tuple[str, ...]:
    """Return the keys that every component on ``provider`` takes."""
    return (*COMMON_CONFIG_KEYS, *((_PROJECT,) if provider == "gcp" else ()))


def zenml_version(stack: Stack, problems: list[Problem]) -> str | None:
    """Return the stack's one ``zenml-version``, None when no component names one."""
    found: Assignment | None = None
    for component in stack.components:
        if _ZENML_VERSION not in component.config:
            continue
        given = Assignment(component.config[_ZENML_VERSION], component, _ZENML_VERSION)
        if not isinstance(given.value, str):
            problems.append(given.problem(f"{given.key} must be text", "put it in quotes"))
        elif found is None:
            found = given
        elif found.value != given.value:
            problems.append(_conflict("the stack", given, found, show=True))
    return None if found is None else str(found.value)


def assign_config(
    stack: Stack, catalog: Catalog, selection: Selection, problems: list[Problem]
) -> dict[str, dict[str, Any]]:
    """Return the values of each unit's variables; what is wrong is added to ``problems``."""
    assigned: dict[str, dict[str, Assignment]] = {name: {} for name in selection.units}
    common = common_keys(stack.provider)
    for component in stack.components:
        own = selection.owned_by(component)
        if not own:
            continue  # reported already: the catalog doesn't have it
        for key, value in component.config.items():
            given = Assignment(value, component, key)
            if key not in common:
                for unit in _targets(given, own, catalog, selection, problems):
                    _assign(unit, given, assigned[unit.name], problems)
    values = {name: {v: a.value for v, a in found.items()} for name, found in assigned.items()}
    _add_project(stack, selection, values)
    return values


def _targets(
    given: Assignment,
    own: Sequence[UnitDefinition],
    catalog: Catalog,
    selection: Selection,
    problems: list[Problem],
) -> Sequence[UnitDefinition]:
    targets = [unit for unit in own if given.key in unit.config]
    if targets:
        return targets
    bases = selection.base_units()
    targets = [unit for unit in bases if given.key in unit.config]
    if len(targets) > 1:
        names = " and ".join(unit.name for unit in targets)
        problems.append(given.problem(f"{given.key} is a key of both {names}", "remove the key"))
        return ()
    if not targets:
        problems.append(_unknown(given, [*own, *bases], catalog))
    return targets


def _unknown(given: Assignment, units: Sequence[UnitDefinition], catalog: Catalog) -> Problem:
    component = given.component
    provider = component.provider
    for base in catalog.base_units(provider):
        if given.key in base.config:
            return given.problem(
                f"{given.key} is a key of {base.name}, which this stack doesn't need",
                "remove the key, or add a component that needs it",
            )
    known = sorted({key for unit in units for key in unit.config} | set(common_keys(provider)))
    near = nearest(given.key, known)
    return given.problem(
        f"unknown key {given.key} for {component.type} {component.flavor}",
        (f"did you mean {near}? " if near else "") + f"known: {', '.join(known)}",
    )


def _assign(
    unit: UnitDefinition,
    given: Assignment,
    assigned: dict[str, Assignment],
    problems: list[Problem],
) -> None:
    setting = unit.config[given.key]
    parts = _parts(given, setting)
    if not parts:
        problems.append(given.problem(f"{given.key}: {_NOT_SPLIT}", setting.description))
    for name, part in parts:
        taken = unit_input(unit, name)
        if taken is None:
            return  # discovery has refused such a unit
        hidden = taken.sensitive or setting.password is not None
        before = assigned.setdefault(name, part)
        why = _refusal(part.value, taken, setting, hidden=hidden)
        if before.value != part.value:
            problems.append(_conflict(unit.name, part, before, show=not hidden))
        elif why:
            problems.append(given.problem(f"{given.key}: {why}", setting.description))
            return


def _parts(given: Assignment, setting: ConfigKey) -> tuple[tuple[str, Assignment], ...]:
    """Return what a value sets: of a URL its password apart; nothing when it holds none."""
    if setting.password is None or given.value is None:
        return ((setting.variable, given),)
    split = split_password(given.value)
    if split is None:
        return ()
    url, password = split
    return (
        (setting.variable, replace(given, value=url)),
        (setting.password, replace(given, value=password)),
    )


def _refusal(value: object, taken: UnitInput, setting: ConfigKey, *, hidden: bool) -> str | None:
    if value is None:
        return "has no value"
    why = taken.why_not(value)
    if why is None:
        rule = setting.rule if taken.name == setting.variable else None
        return RULES[rule].check(value) if rule is not None else None
    return f"must be of type {taken.type}" if hidden and not taken.discreet else why


def _conflict(who: str, given: Assignment, before: Assignment, *, show: bool) -> Problem:
    said = f" {given.value!r} here and {before.value!r}" if show else " another value"
    return given.problem(
        f"{given.key} of {who} is{said} in {before.where}", "give it one value, in one place"
    )


def _add_project(stack: Stack, selection: Selection, values: dict[str, dict[str, Any]]) -> None:
    """Fill ``project_id`` into every gcp unit; ``spec`` has made sure that there is one."""
    projects = [c.config[_PROJECT] for c in stack.components if _PROJECT in c.config]
    for name, unit in selection.units.items() if stack.provider == "gcp" and projects else ():
        if unit.engine == "terraform" and _PROJECT in module_variables(unit.path):
            values[name][_PROJECT] = projects[0]
