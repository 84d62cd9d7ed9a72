"""What a Helm unit is given: its namespace, its chart's values, the texts of its outputs."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.chart_values import chart_folder, chart_values
from mlstacks_dagster.catalog.models import HelmRelease, PlannedUnit
from mlstacks_dagster.catalog.unit_inputs import NAMESPACE
from mlstacks_dagster.catalog.value_path import ABSENT, get_value, set_value
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.inputs import module_digest, name_prefix, tags_and_marks
from mlstacks_dagster.sweep.marks import IDENTITY

__all__ = [
    "chart_digest",
    "known_texts",
    "namespace_of",
    "outputs",
    "record_labels",
    "release_of",
    "release_values",
    "values_hash",
]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def release_of(unit: PlannedUnit) -> HelmRelease:
    """Return how the unit becomes a release; discovery has made sure that it says so."""
    if unit.definition.helm is None:
        raise ValueError(f"{unit.name} is no Helm unit")
    return unit.definition.helm


def namespace_of(unit: PlannedUnit) -> str:
    """Return the namespace of the unit's release: the user's or the unit's."""
    return str(unit.variables.get(NAMESPACE) or release_of(unit).namespace)


def release_values(
    unit: PlannedUnit,
    stack: StackRecord,
    install: str,
    output_of: Callable[[str, str], Any],
) -> dict[str, Any]:
    """Return the values that the release is given.

    A published chart gets those of our ``values.yaml`` too; a chart of our own has them.
    ``output_of(unit, output)`` gives another unit's output, None when it isn't deployed.
    """
    release = release_of(unit)
    published = not isinstance(release.chart, str)
    defaults = chart_values(unit.definition).defaults if published else {}
    values: dict[str, Any] = copy.deepcopy(dict(defaults))
    known = _fills(unit, stack, install)
    for path, what in release.fill.items():
        set_value(values, path, known[what])
    for path, value in unit.variables.items():
        if path != NAMESPACE:
            set_value(values, path, value)
    for binding in unit.bindings:
        value = output_of(binding.unit, binding.output)
        if value is not None:
            set_value(values, binding.variable, value)
    return values


def known_texts(unit: PlannedUnit, stack: StackRecord) -> dict[str, str]:
    """Return the words that outputs and values may use."""
    return {
        "name": name_prefix(stack.stack_id),
        "namespace": namespace_of(unit),
        "region": unit.region,
        "release": release_of(unit).release,
        "stack": stack.name,
    }


def record_labels(marks: Mapping[str, str]) -> dict[str, str]:
    """Return the labels for Helm's record of a release: whose it is, for as long as it lives.

    A label's value begins and ends with a letter or a number.
    """
    return {key: marks[key].strip("_-") for key in IDENTITY}


def outputs(
    unit: PlannedUnit, values: Mapping[str, Any], texts: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the outputs' texts, and apart from them those that need a secret.

    ``texts`` has :func:`known_texts` and ``load_balancer`` where it is known. In a text that needs
    a secret everything else is filled in; ``{secret:name/key}`` stays. A value that isn't there
    leaves nothing of its text.
    """
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    defaults = chart_values(unit.definition).defaults
    release = release_of(unit)
    for name in release.outputs:
        filled = [_fill(text, values, defaults, texts) for text in release.output_texts(name)]
        first = next((text for text in filled if text), "")
        (secret if "{secret:" in first else plain)[name] = first
    return plain, secret


def chart_digest(unit: PlannedUnit) -> str:
    """Return a hash over the unit's folder and its chart's, if that is another one."""
    folders = dict.fromkeys((unit.definition.path, chart_folder(unit.definition)))
    return hashlib.sha256(" ".join(module_digest(Path(f)) for f in folders).encode()).hexdigest()


def values_hash(digest: str, unit: PlannedUnit, values: Mapping[str, Any], place: object) -> str:
    """Return a hash over everything that decides what a deploy of the unit would do.

    ``place`` tells the cluster from others.
    """
    parts = {
        "chart": digest,
        "environment": dict(unit.environment),
        "namespace": namespace_of(unit),
        "place": place,
        "secrets": dict(unit.secrets),
        "values": values,
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _fills(unit: PlannedUnit, stack: StackRecord, install: str) -> dict[str, Any]:
    tags, marks = tags_and_marks(unit, stack, install)
    return {
        **known_texts(unit, stack),
        "install": install,
        "marks": marks,
        "tags": tags,
        "tags_csv": ",".join(f"{key}={value}" for key, value in sorted(tags.items())),
    }


def _fill(
    text: str, values: Mapping[str, Any], defaults: Mapping[str, Any], texts: Mapping[str, str]
) -> str:
    missing = False

    def one(match: re.Match[str]) -> str:
        nonlocal missing
        kind, _, rest = match[1].partition(":")
        if kind == "secret":
            return match[0]
        found = texts.get(kind, "")
        if kind == "value":
            given = get_value(values, rest)
            given = get_value(defaults, rest) if given is ABSENT else given
            found = "" if given in (ABSENT, None) else str(given)
        missing = missing or not found
        return found

    filled = _PLACEHOLDER.sub(one, text)
    return "" if missing else filled
