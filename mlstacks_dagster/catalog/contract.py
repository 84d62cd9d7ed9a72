"""What must hold for every unit, wherever it comes from.

Discovery refuses a catalog that breaks a rule; the contract tests name the rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mlstacks_dagster.catalog.helm_contract import check_release
from mlstacks_dagster.catalog.models import Requirement, UnitDefinition
from mlstacks_dagster.catalog.unit_file import UNIT_FILE, unit_source
from mlstacks_dagster.catalog.unit_inputs import secret_input
from mlstacks_dagster.catalog.variables import Variable, module_outputs, module_variables
from mlstacks_dagster.errors import Problem
from mlstacks_dagster.spec.matrix import COMMON_CONFIG_KEYS
from mlstacks_dagster.spec.rules import RULES
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["COMMON_VARIABLES", "check_catalog", "check_unit", "placeholders"]

COMMON_VARIABLES = ("install", "name", "region", "tags")
"""Variables that every module has; ``lifecycle`` fills them."""

_FILLED = frozenset({*COMMON_VARIABLES, "delete_data", "project_id"})
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

_Finding = tuple[tuple[str | int, ...], str, str]


def check_unit(unit: UnitDefinition) -> tuple[Problem, ...]:
    """Return what is wrong with one unit, in itself.

    Raises :class:`~mlstacks_dagster.errors.CatalogError` when its module can't be read.
    """
    findings = list(_check_file(unit))
    if unit.engine == "terraform":
        variables = module_variables(unit.path)
        findings += _check_inputs(unit, variables.values())
        findings += _check_outputs(unit, tuple(module_outputs(unit.path)), "module")
    else:
        findings += check_release(unit)
        findings += _check_outputs(unit, tuple(unit.helm.outputs if unit.helm else ()), "release")
    if not findings:
        return ()
    source = unit_source(unit)
    return tuple(source.problem(text, *where, remedy=remedy) for where, text, remedy in findings)


def check_catalog(units: Sequence[UnitDefinition]) -> tuple[Problem, ...]:
    """Return what is wrong between units.

    Two units of one name on a provider; a bound capability key that a provider of the
    capability doesn't give.
    """
    problems: list[Problem] = []
    seen: dict[tuple[str, str], UnitDefinition] = {}
    for unit in units:
        first = seen.setdefault((unit.provider, unit.name), unit)
        if first is not unit:
            problems.append(
                unit_source(unit).problem(
                    f"{unit.provider} has two units named {unit.name};"
                    f" the other one is {first.path / UNIT_FILE}",
                    "name",
                    remedy="rename one of the two, folder and name",
                )
            )
        problems += _unprovided_keys(unit, units)
    return tuple(problems)


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names in braces in an export's text."""
    return tuple(_PLACEHOLDER.findall(template))


def _check_file(unit: UnitDefinition) -> Iterator[_Finding]:
    if unit.path.name != unit.name:
        yield ("name",), f"the folder is {unit.path.name}, the unit {unit.name}", "name them alike"
    if unit.helm and unit.engine != "helm":
        yield ("helm",), "only a unit with engine: helm has this", "remove helm:"
    if unit.export and not unit.component:
        yield ("export",), "only a component has an export", "add component: or remove export:"
    yield from _check_when(unit)
    for key, setting in unit.config.items():
        if setting.password and (unit.helm is None or secret_input(setting.password) is None):
            text = f"{setting.password} is no key of a Secret"
            yield ("config", key, "password"), text, "write $secret.<name>.<key>, for a Helm unit"
        if key in COMMON_CONFIG_KEYS:
            yield ("config", key), f"every flavor takes {key} already", "remove the key"
        if setting.rule is not None and setting.rule not in RULES:
            yield (
                ("config", key, "rule"),
                f"there is no rule {setting.rule}",
                did_you_mean(setting.rule, RULES),
            )


def _check_when(unit: UnitDefinition) -> Iterator[_Finding]:
    for index, requirement in enumerate(unit.requires):
        if requirement.when is not None and requirement.when not in unit.config:
            text = f"the unit has no config key {requirement.when}"
            yield ("requires", index, "when"), text, did_you_mean(requirement.when, unit.config)
    for index, requirement in enumerate(unit.after):
        if requirement.when is not None:
            yield ("after", index, "when"), "only requires has this", "remove when:"


def _check_inputs(unit: UnitDefinition, variables: Iterable[Variable]) -> Iterator[_Finding]:
    by_name = {variable.name: variable for variable in variables}
    for name in COMMON_VARIABLES:
        if name not in by_name:
            yield (), f"the module has no variable {name}", "every module declares it"
    setters: dict[str, str] = {}
    defaults = {variable.name for variable in by_name.values() if variable.has_default}
    bound = {v for _, r, v in _binds("requires", unit.requires) if r.when is None}
    for where, name in _set_variables(unit):
        here = ".".join(str(part) for part in where)
        if setters.setdefault(name, here) != here:
            yield where, f"{setters[name]} sets the variable {name} too", "keep one of the two"
        if name not in by_name:
            yield where, f"the module has no variable {name}", did_you_mean(name, by_name)
        elif name in _FILLED:
            yield where, f"the variable {name} is filled by the program", "set another one"
        elif where[0] in ("after", "requires") and name not in bound | defaults:
            edge = "an `after` edge" if where[0] == "after" else "a requirement with `when`"
            yield where, f"the variable {name} has no default", f"{edge} may be absent"
    for variable in by_name.values():
        if not variable.has_default and variable.name not in _FILLED | bound:
            yield (
                (),
                f"nothing is sure to set the variable {variable.name}, which has no default",
                "give it a default or bind it in requires",
            )


def _set_variables(unit: UnitDefinition) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for section, requirements in (("requires", unit.requires), ("after", unit.after)):
        for index, _, name in _binds(section, requirements):
            yield (section, index, "bind", name), name
    for key, setting in unit.config.items():
        yield ("config", key, "variable"), setting.variable


def _binds(
    section: str, requirements: Sequence[Requirement]
) -> Iterator[tuple[int, Requirement, str]]:
    for index, requirement in enumerate(requirements):
        for name in requirement.bind:
            yield index, requirement, name


def _check_outputs(unit: UnitDefinition, outputs: Sequence[str], what: str) -> Iterator[_Finding]:
    for where, name in _used_outputs(unit):
        if name not in outputs:
            yield where, f"the {what} has no output {name}", did_you_mean(name, outputs)


def _used_outputs(unit: UnitDefinition) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, provision in enumerate(unit.provides):
        for key, output in provision.outputs.items():
            yield ("provides", index, "outputs", key), output
    for key, template in (unit.export.configuration if unit.export else {}).items():
        for name in placeholders(template):
            yield ("export", "configuration", key), name
    for index, item in enumerate(unit.teardown.empty):
        yield ("teardown", "empty", index, "output"), item.output


def _unprovided_keys(unit: UnitDefinition, units: Sequence[UnitDefinition]) -> Iterator[Problem]:
    for section, requirements in (("requires", unit.requires), ("after", unit.after)):
        for index, requirement, variable in _binds(section, requirements):
            key = requirement.bind[variable]
            for other, outputs in _given(requirement.capability, unit, units):
                if key not in outputs:
                    yield unit_source(unit).problem(
                        f"{other.name} provides {requirement.capability} without {key}",
                        *(section, index, "bind", variable),
                        remedy=did_you_mean(key, outputs) or f"add {key} to its outputs",
                    )


def _given(
    capability: str, unit: UnitDefinition, units: Sequence[UnitDefinition]
) -> Iterator[tuple[UnitDefinition, dict[str, str]]]:
    for other in units:
        if other is not unit and other.provider == unit.provider:
            for provision in other.provides:
                if provision.capability == capability:
                    yield other, provision.outputs
