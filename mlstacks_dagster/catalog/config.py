"""Give the user's ``metadata.config`` values to the units whose keys they are.

A component's own units come first, then the base units of the plan (cluster, network).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlstacks_dagster.catalog.assignment import Assignment, broken_validations
from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import ConfigKey, UnitDefinition
from mlstacks_dagster.catalog.selection import Selection
from mlstacks_dagster.catalog.unit_inputs import UnitInput, unit_input
from mlstacks_dagster.catalog.variables import module_variables
from mlstacks_dagster.errors import Problem
from mlstacks_dagster.spec.matrix import COMMON_CONFIG_KEYS
from mlstacks_dagster.spec.models import Stack
from mlstacks_dagster.spec.rules import RULES, split_password
from mlstacks_dagster.spec.suggest import nearest

__all__ = ["assign_config", "common_keys", "zenml_version"]

_PROJECT = "project_id"
_ZENML_VERSION = "zenml-version"
_NOT_SPLIT = "must be a URL with a user and a password, in which @ is written %40"


@dataclass(frozen=True)
class _Refusal:
    """What is wrong with a value; ``ruled`` when it is said in the words of a rule."""

    problem: Problem
    ruled: bool = False


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
                targets = _targets(given, own, catalog, selection, problems)
                refusals = [_assign(unit, given, assigned[unit.name]) for unit in targets]
                _report(refusals, problems)
    if not problems:
        problems += broken_validations(selection, assigned)
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
    unit: UnitDefinition, given: Assignment, assigned: dict[str, Assignment]
) -> _Refusal | None:
    setting = unit.config[given.key]
    parts = _parts(given, setting)
    if not parts:
        return _Refusal(given.problem(f"{given.key}: {_NOT_SPLIT}", setting.description))
    for name, part in parts:
        taken = unit_input(unit, name)
        if taken is None:
            return None  # discovery has refused such a unit
        hidden = taken.sensitive or setting.password is not None
        before = assigned.setdefault(name, part)
        if before is not part and before.value != part.value:
            return _Refusal(_conflict(unit.name, part, before, show=not hidden))
        refusal = _refusal(part.value, taken, setting, hidden=hidden)
        if refusal is not None:
            why, ruled = refusal
            return _Refusal(given.problem(f"{given.key}: {why}", setting.description), ruled)
    return None


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


def _refusal(
    value: object, taken: UnitInput, setting: ConfigKey, *, hidden: bool
) -> tuple[str, bool] | None:
    """Return why a value can't be, and whether it is a rule that says so.

    A rule's words win over those of a chart's schema, which shows its pattern.
    """
    if value is None:
        return "has no value", False
    why = taken.why_not(value)
    rule = setting.rule if taken.name == setting.variable else None
    if rule is not None and (why is None or taken.schema is not None):
        words = RULES[rule].check(value)
        if words is not None:
            return words, True
    if why is None:
        return None
    return f"must be of type {taken.type}" if hidden and not taken.discreet else why, False


def _report(refusals: Sequence[_Refusal | None], problems: list[Problem]) -> None:
    """Add one problem for a value that several units take: the first that is in a rule's words."""
    found = sorted((r for r in refusals if r is not None), key=lambda r: not r.ruled)
    problems.extend(refusal.problem for refusal in found[:1])


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
