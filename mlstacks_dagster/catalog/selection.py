"""Which units a stack needs, and what each of them gets from which other.

Edges come from capabilities only. A hard ``requires`` brings a base unit in; an ``after`` edge
exists only when a provider is there anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.existing import ExistingCluster
from mlstacks_dagster.catalog.graph import find_cycle, topological_order
from mlstacks_dagster.catalog.helm_contract import CLUSTER
from mlstacks_dagster.catalog.models import Binding, Requirement, UnitDefinition
from mlstacks_dagster.errors import CatalogError, Problem
from mlstacks_dagster.spec.matrix import MATRIX
from mlstacks_dagster.spec.models import Component, Source, Stack
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["Edge", "Selection", "hard_closure", "select"]


@dataclass(frozen=True)
class Edge:
    """``consumer`` comes after ``provider``; ``hard`` when it can't be without it."""

    provider: str
    consumer: str
    capability: str
    hard: bool
    bindings: tuple[Binding, ...] = ()

    def __str__(self) -> str:
        word = "requires" if self.hard else "comes after"
        return (
            f"{self.provider} -> {self.consumer}"
            f" ({self.consumer} {word} {self.capability} provided by {self.provider})"
        )


@dataclass
class Selection:
    """The units of a stack, by name.

    ``owners`` has the component of each unit that belongs to one; ``causes`` the first
    component that brought a unit in; ``given`` values of inputs, by unit, that a cluster that
    exists tells.
    """

    units: dict[str, UnitDefinition] = field(default_factory=dict)
    owners: dict[str, Component] = field(default_factory=dict)
    causes: dict[str, Component] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    given: dict[str, dict[str, str]] = field(default_factory=dict)

    def base_units(self) -> tuple[UnitDefinition, ...]:
        """Return the units that belong to no component."""
        return tuple(u for name, u in sorted(self.units.items()) if name not in self.owners)

    def owned_by(self, component: Component) -> tuple[UnitDefinition, ...]:
        """Return the units of a component."""
        return tuple(self.units[name] for name, c in self.owners.items() if c is component)

    def into(self, unit: str) -> tuple[Edge, ...]:
        """Return the edges that lead to a unit, by the name of their provider."""
        return tuple(sorted((e for e in self.edges if e.consumer == unit), key=_edge_key))

    def order(self) -> tuple[str, ...]:
        """Return the units in launch order; raises :class:`CatalogError` for a cycle."""
        before = {name: {e.provider for e in self.into(name)} for name in self.units}
        cycle = find_cycle(before)
        if not cycle:
            return topological_order(before)
        steps = zip(cycle, (*cycle[1:], cycle[0]), strict=True)
        lines = [str(next(e for e in self.into(b) if e.provider == a)) for a, b in steps]
        raise CatalogError(
            "units need each other in a circle:\n  " + "\n  ".join(lines),
            remedy="remove one of these edges from its unit.yaml",
        )


def select(stack: Stack, catalog: Catalog, problems: list[Problem]) -> Selection:
    """Return the units that ``stack`` needs; what is wrong is added to ``problems``."""
    selector = _Selector(stack, catalog, problems)
    selector.add_components()
    selector.add_requirements()
    problems.extend(selector.existing.problems())
    return selector.selection


def _edge_key(edge: Edge) -> tuple[str, str]:
    return edge.provider, edge.capability


class _Selector:
    def __init__(self, stack: Stack, catalog: Catalog, problems: list[Problem]) -> None:
        self.stack = stack
        self.catalog = catalog
        self.problems = problems
        self.selection = Selection()
        self.existing = ExistingCluster(stack, catalog)

    def add_components(self) -> None:
        for component in self.stack.components:
            units = self.catalog.by_component(self.stack.provider, component.type, component.flavor)
            if not units:
                self.problems.append(_not_in_catalog(component, self.catalog))
            for unit in units:
                first = self.selection.owners.get(unit.name)
                if first is not None:
                    self.problems.append(_twice(component, first))
                    break
                self.selection.owners[unit.name] = component
                self._add(unit, component)

    def add_requirements(self) -> None:
        waiting = sorted(self.selection.units)
        while waiting:
            unit = self.selection.units[waiting.pop(0)]
            for requirement in unit.requires:
                provider = self._hard_provider(unit, requirement)
                if provider is None:
                    continue
                if provider.name not in self.selection.units:
                    self._add(provider, self.selection.causes[unit.name])
                    waiting.append(provider.name)
                self._connect(provider, unit, requirement, hard=True)
        for unit in sorted(self.selection.units.values(), key=lambda u: u.name):
            for requirement in unit.after:
                self._order_after(unit, requirement)

    def _add(self, unit: UnitDefinition, cause: Component) -> None:
        """Add the unit with those of its requirements that count in this stack."""
        counting = tuple(r for r in unit.requires if self._counts(unit, r))
        self.selection.units[unit.name] = unit.model_copy(update={"requires": counting})
        self.selection.causes[unit.name] = cause

    def _counts(self, unit: UnitDefinition, requirement: Requirement) -> bool:
        if requirement.when is None:
            return True
        owner = self.selection.owners.get(unit.name)
        return any(
            component.config.get(requirement.when) not in (None, False, "")
            for component in ((owner,) if owner else self.stack.components)
        )

    def _tell(self, unit: UnitDefinition, requirement: Requirement, *, hard: bool) -> None:
        told = self.existing.values(unit, requirement, hard=hard)
        self.selection.given.setdefault(unit.name, {}).update(told)

    def _providers(self, unit: UnitDefinition, capability: str) -> tuple[UnitDefinition, ...]:
        found = self.catalog.providers_of(capability, self.stack.provider)
        return tuple(other for other in found if other.name != unit.name)

    def _present(self, units: Sequence[UnitDefinition]) -> tuple[UnitDefinition, ...]:
        return tuple(unit for unit in units if unit.name in self.selection.units)

    def _hard_provider(
        self, unit: UnitDefinition, requirement: Requirement
    ) -> UnitDefinition | None:
        if self.existing.provides(requirement.capability):
            self._tell(unit, requirement, hard=True)
            return None
        candidates = self._providers(unit, requirement.capability)
        present = self._present(candidates)
        choice = present or tuple(other for other in candidates if other.component is None)
        if len(choice) == 1:
            return choice[0] if self.existing.welcomes(choice[0], requirement) else None
        if choice:
            self._ambiguous(unit, requirement, choice)
        else:
            self._missing(unit, requirement, candidates)
        return None

    def _order_after(self, unit: UnitDefinition, requirement: Requirement) -> None:
        if self.existing.provides(requirement.capability):
            self._tell(unit, requirement, hard=False)
            return
        present = self._present(self._providers(unit, requirement.capability))
        if requirement.bind and len(present) > 1:
            self._ambiguous(unit, requirement, present)
            return
        for provider in present:
            self._connect(provider, unit, requirement, hard=False)

    def _connect(
        self,
        provider: UnitDefinition,
        unit: UnitDefinition,
        requirement: Requirement,
        *,
        hard: bool,
    ) -> None:
        outputs = _outputs(provider, requirement.capability)
        bindings = tuple(
            Binding(variable=variable, unit=provider.name, output=outputs[key])
            for variable, key in requirement.bind.items()
        )
        self.selection.edges.append(
            Edge(provider.name, unit.name, requirement.capability, hard, bindings)
        )

    def _ambiguous(
        self, unit: UnitDefinition, requirement: Requirement, choice: Sequence[UnitDefinition]
    ) -> None:
        names = " and ".join(other.name for other in choice)
        self._problem(
            unit,
            f"{unit.name} needs one `{requirement.capability}`, but {names} provide it",
            "remove one of them from the stack or from the catalog",
        )

    def _missing(
        self, unit: UnitDefinition, requirement: Requirement, candidates: Sequence[UnitDefinition]
    ) -> None:
        kinds = [f"{u.component.type} {u.component.flavor}" for u in candidates if u.component]
        provider = self.stack.provider
        capability = requirement.capability
        if kinds:
            text = f"{unit.name} requires `{capability}`, which this stack lacks"
            remedy = f"add a component that provides it: {' or '.join(kinds)}"
        else:
            text = f"{unit.name} requires `{capability}`; nothing on {provider} provides it"
            remedy = "add a catalog root that has such a unit to MLSTACKS_CATALOG_PATH"
            if capability == CLUSTER:
                remedy = "name one: `cluster: {kubeconfig: ~/.kube/config, context: my-cluster}`"
        self._problem(unit, text, remedy)

    def _problem(self, unit: UnitDefinition, text: str, remedy: str) -> None:
        source: Source = self.selection.causes[unit.name].source
        self.problems.append(source.problem(text, "component_flavor", remedy=remedy))


def _outputs(provider: UnitDefinition, capability: str) -> dict[str, str]:
    return next(p.outputs for p in provider.provides if p.capability == capability)


def _not_in_catalog(component: Component, catalog: Catalog) -> Problem:
    provider, kind, flavor = component.provider, component.type, component.flavor
    what = f"{kind} {flavor} on {provider}"
    kinds = catalog.kinds(provider)
    flavors = [f for k, f in kinds if k == kind]
    if (provider, kind, flavor) in MATRIX:
        listed = ", ".join(f"{k} {f}" for k, f in kinds) or "nothing yet"
        return component.source.problem(
            f"{what} is known to mlstacks, not in the catalog yet",
            "component_flavor",
            remedy=f"remove it; the catalog has for {provider}: {listed}",
        )
    key = "component_flavor" if flavors else "component_type"
    remedy = did_you_mean(flavor, flavors) or did_you_mean(kind, {k for k, _ in kinds})
    return component.source.problem(f"there is no {what}", key, remedy=remedy)


def _twice(component: Component, first: Component) -> Problem:
    return component.source.problem(
        f"a second {component.type} {component.flavor}; the first is in {first.source.file}",
        "component_flavor",
        remedy="a stack has one component of a kind: remove one, or make a second stack",
    )


def hard_closure(catalog: Catalog, unit: UnitDefinition) -> Iterator[UnitDefinition]:
    """Yield the base units that ``unit`` always brings in, nearest first, each once."""
    seen = {unit.name}
    waiting = [unit]
    while waiting:
        for requirement in waiting.pop(0).requires:
            if requirement.when is not None:
                continue
            for other in catalog.providers_of(requirement.capability, unit.provider):
                if other.component is None and other.name not in seen:
                    seen.add(other.name)
                    waiting.append(other)
                    yield other
