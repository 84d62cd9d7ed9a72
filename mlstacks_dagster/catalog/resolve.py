"""Turn a stack into a plan: units, their inputs, their edges, in launch order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlstacks_dagster.catalog.config import assign_config, zenml_version
from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.catalog.selection import Selection, select
from mlstacks_dagster.catalog.unit_inputs import SECRET
from mlstacks_dagster.errors import Problem, SpecError
from mlstacks_dagster.spec.environment import chooses_account
from mlstacks_dagster.spec.models import Provider, Stack

__all__ = ["DEFAULT_REGIONS", "resolve"]

DEFAULT_REGIONS: dict[Provider, str] = {
    "aws": "us-east-1",
    "gcp": "us-central1",
    "k3d": "local",
}
"""The region of a stack that names none; a warning says so, except on k3d, which has none."""


def resolve(stack: Stack, catalog: Catalog) -> Plan:
    """Return the plan of ``stack``.

    Base units get the stack's tags and region and nobody's environment variables: these are
    meant for the component that names them. Raises :class:`SpecError` with every problem of
    the stack at file and line, and :class:`CatalogError` when units need each other in a circle.
    """
    problems: list[Problem] = []
    warnings = [str(warning) for warning in stack.warnings]
    selection = select(stack, catalog, problems)
    values = assign_config(stack, catalog, selection, problems)
    version = zenml_version(stack, problems)
    if problems:
        raise SpecError(sorted(problems, key=lambda p: (str(p.file), p.line or 0, p.message)))
    region = _stack_region(stack, warnings)
    units = tuple(
        _planned(name, stack, selection, values[name], region) for name in selection.order()
    )
    warnings += _cluster_elsewhere(stack, region)
    warnings += _crossings(units)
    warnings += _other_accounts(stack, units)
    return Plan(
        stack=stack.name,
        provider=stack.provider,
        region=region,
        units=units,
        options=stack.options,
        zenml_version=version,
        source=stack.source.file,
        warnings=tuple(warnings),
    )


def _stack_region(stack: Stack, warnings: list[str]) -> str:
    """Return ``default_region``, else that of the cluster or of all components, else a default."""
    if stack.region:
        return stack.region
    named = {component.region for component in stack.components if component.region}
    if stack.options.cluster is not None and stack.options.cluster.region:
        return stack.options.cluster.region
    if len(named) == 1:
        return named.pop()
    region = DEFAULT_REGIONS[stack.provider]
    if stack.provider != "k3d":
        warnings.append(
            str(
                stack.source.problem(
                    f"the stack names no region; {region} is used",
                    remedy=f"add default_region: {region}",
                )
            )
        )
    return region


def _cluster_elsewhere(stack: Stack, region: str) -> list[str]:
    there = stack.options.cluster.region if stack.options.cluster else None
    if there in (None, region):
        return []
    text = f"the cluster is in {there}, the stack in {region}: traffic between them costs money"
    remedy = f"write default_region: {there}, if nothing else is meant"
    return [str(stack.source.problem(text, "cluster", remedy=remedy))]


def _planned(
    name: str, stack: Stack, selection: Selection, values: dict[str, Any], region: str
) -> PlannedUnit:
    component = selection.owners.get(name)
    edges = selection.into(name)
    secrets = {n.removeprefix(SECRET): v for n, v in values.items() if n.startswith(SECRET)}
    return PlannedUnit(
        definition=selection.units[name],
        component_name=component.name if component else None,
        region=(component.region if component else None) or region,
        variables={
            **selection.given.get(name, {}),
            **{n: v for n, v in values.items() if not n.startswith(SECRET)},
        },
        secrets=secrets,
        tags={**stack.tags, **(component.tags if component else {})},
        environment=dict(component.environment) if component else {},
        bindings=tuple(binding for edge in edges for binding in edge.bindings),
        depends_on=tuple(sorted({edge.provider for edge in edges})),
        source=component.source.file if component else None,
    )


def _crossings(units: tuple[PlannedUnit, ...]) -> list[str]:
    regions = {unit.name: unit.region for unit in units}
    found = {
        (unit.name, binding.unit)
        for unit in units
        for binding in unit.bindings
        if regions[binding.unit] != unit.region
    }
    return [
        f"{user} in {regions[user]} uses {provider} in {regions[provider]}:"
        " calls and data between two regions are slow and cost money, and some services refuse"
        " them (give both the same region)"
        for user, provider in sorted(found)
    ]


def _other_accounts(stack: Stack, units: tuple[PlannedUnit, ...]) -> list[str]:
    """Return a warning for each component that may end up in another account than the rest."""

    def access(environment: Mapping[str, str]) -> dict[str, str]:
        return {n: v for n, v in environment.items() if chooses_account(n)}

    found = []
    for component in stack.components:
        own = access(component.environment)
        rest = sorted(unit.name for unit in units if access(unit.environment) != own)
        if own and rest:
            problem = component.source.problem(
                f"component {component.name} has credentials of its own ({', '.join(own)}), while"
                f" {', '.join(rest)} {'has' if len(rest) == 1 else 'have'} others: if they are"
                " another account's, the stack is split over two",
                *("metadata", "environment_variables", next(iter(own))),
                remedy="set them where you start mlstacks-dagster, for the whole stack, or give the"
                " component a stack of its own",
            )
            found.append(str(problem))
    return found
