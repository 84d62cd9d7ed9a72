"""What must hold for a Helm unit; :mod:`contract` asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlstacks_dagster.catalog.chart_values import chart_folder, chart_values
from mlstacks_dagster.catalog.models import HelmRelease, SecretKey, UnitDefinition
from mlstacks_dagster.catalog.unit_inputs import NAMESPACE, unit_input

__all__ = ["CLUSTER", "FILLS", "check_release", "helm_inputs"]

CLUSTER = "kubernetes_cluster"
"""The capability that every Helm unit requires."""

FILLS = frozenset(
    {
        "install",
        "marks",
        "name",
        "namespace",
        "region",
        "release",
        "stack",
        "tags",
        "tags_csv",
    }
)
"""What the program can fill into chart values."""

_WORDS = frozenset(
    {"kubernetes_context", "load_balancer", "name", "namespace", "region", "release", "stack"}
)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

_Finding = tuple[tuple[str | int, ...], str, str]


def helm_inputs(unit: UnitDefinition) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each input that a Helm unit sets, with the place in ``unit.yaml`` that sets it."""
    for section, requirements in (("requires", unit.requires), ("after", unit.after)):
        for index, requirement in enumerate(requirements):
            for name in requirement.bind:
                yield (section, index, "bind", name), name
    for key, setting in unit.config.items():
        yield ("config", key, "variable"), setting.variable
        if setting.password is not None:
            yield ("config", key, "password"), setting.password
    for name in unit.helm.fill if unit.helm else ():
        yield ("helm", "fill", name), name


def check_release(unit: UnitDefinition) -> Iterator[_Finding]:
    """Yield what is wrong with the Helm side of a unit.

    Raises :class:`~mlstacks_dagster.errors.CatalogError` when its schema can't be read.
    """
    if unit.helm is None:
        yield ("engine",), "a helm unit says how in helm:", "see docs/adding-a-flavor.md"
        return
    if CLUSTER not in {requirement.capability for requirement in unit.requires}:
        yield ("requires",), f"a helm unit requires {CLUSTER}", f"add capability: {CLUSTER}"
    own = isinstance(unit.helm.chart, str)
    if own and not (chart_folder(unit) / "Chart.yaml").is_file():
        yield ("helm", "chart"), "there is no Chart.yaml in the chart's folder", "correct the path"
        return
    yield from _check_inputs(unit)
    yield from _check_secrets(unit.helm)
    for value, what in unit.helm.fill.items():
        if what not in FILLS:
            known = ", ".join(sorted(FILLS))
            yield ("helm", "fill", value), f"the program can't fill in {what}", f"known: {known}"
    for name in unit.helm.outputs:
        for placeholder in _PLACEHOLDER.findall(" ".join(unit.helm.output_texts(name))):
            if why := _not_known(unit, unit.helm, placeholder):
                yield ("helm", "outputs", name), f"{{{placeholder}}}: {why}", ""


def _check_inputs(unit: UnitDefinition) -> Iterator[_Finding]:
    setters: dict[str, str] = {}
    for where, name in helm_inputs(unit):
        here = ".".join(str(part) for part in where)
        if setters.setdefault(name, here) != here:
            yield where, f"{setters[name]} sets {name} too", "keep one of the two"
        if unit_input(unit, name) is None:
            yield where, f"the chart has no value {name}", "add it to values.schema.json"
        elif name.startswith("$") and where[0] != "config":
            yield where, f"only config sets {name}", "bind a chart value"


def _check_secrets(release: HelmRelease) -> Iterator[_Finding]:
    for index, secret in enumerate(release.secrets):
        for key, how in secret.keys.items():
            where = ("helm", "secrets", index, "keys", key)
            for text in _wrong_rules(how):
                yield where, text, "correct the key's rules"


def _wrong_rules(how: SecretKey) -> Iterator[str]:
    if how.pattern is not None:
        try:
            re.compile(how.pattern)
        except re.error as error:
            yield f"its pattern is no regular expression: {error}"
            return
        if not how.message:
            yield "it has a pattern and no message that says it in words"
    if how.value is not None and (why := how.why_not(how.value)):
        yield f"its own value breaks its rule: {why}"
    if how.generate is not None and how.generate < how.min_length:
        yield f"{how.generate} generated characters are less than min_length"


def _not_known(unit: UnitDefinition, release: HelmRelease, placeholder: str) -> str | None:
    kind, _, rest = placeholder.partition(":")
    if kind == "value" and rest:
        known = rest != NAMESPACE and chart_values(unit).at(rest) is not None
        return None if known else "the chart has no such value"
    if kind == "secret" and rest:
        name, _, key = rest.partition("/")
        secret = next((s for s in release.secrets if s.name == name), None)
        return None if secret and key in secret.keys else "there is no such key of a secret"
    if placeholder == "load_balancer" and release.load_balancer is None:
        return "helm.load_balancer doesn't name a Service"
    return None if placeholder in _WORDS else f"known: {', '.join(sorted(_WORDS))}"
