"""What the tests of published charts share: upstream's value keys, a deploy's values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.discovery import own_roots, read_catalog
from mlstacks_dagster.catalog.models import (
    Binding,
    ChartReference,
    HelmRelease,
    PlannedUnit,
    UnitDefinition,
)
from mlstacks_dagster.catalog.value_path import split_path
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.helm_values import release_values
from mlstacks_dagster.spec.models import StateLocation

UPSTREAM: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "data" / "upstream_values.json").read_text()
)
"""For each chart, its value keys and their types, as its own ``values.yaml`` has them.

Read from the charts' sources; kept here as far as we use them. A key that is new here is looked up
there first.
"""

SAMPLES = {
    "role_arn": "arn:aws:iam::111122223333:role/mlstacks/abc/ml-role",
    "gateway": "zenml-seldon/seldon-gateway",
    "name": "mlstacks-gp3",
}

_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "list": (list,),
    "map": (dict,),
    "number": (int, float),
    "string": (str,),
}


def published_units() -> list[UnitDefinition]:
    """Return our units that are made of published charts, one for each provider."""
    units = read_catalog(own_roots()).units
    return [u for u in units if u.helm and isinstance(u.helm.chart, ChartReference)]


def release_of(unit: UnitDefinition) -> tuple[HelmRelease, ChartReference]:
    """Return the release and the published chart of ``unit``."""
    assert unit.helm is not None
    assert isinstance(unit.helm.chart, ChartReference)
    return unit.helm, unit.helm.chart


def deployed_values(unit: UnitDefinition) -> dict[str, Any]:
    """Return the values that a deploy would give, everything bound that can be."""
    edges = (*unit.requires, *unit.after)
    bindings = tuple(
        Binding(variable=path, unit=edge.capability, output=key)
        for edge in edges
        for path, key in edge.bind.items()
    )
    planned = PlannedUnit(
        definition=unit, region="eu-north-1", tags={"team": "tests"}, bindings=bindings
    )
    stack = StackRecord(
        stack_id="s234567abcdef",
        name="stack",
        provider=unit.provider,
        region="eu-north-1",
        target="cloud",
        sandbox_id=None,
        status="live",
        generation=1,
        created_at=1_700_000_000,
        destroyed_at=None,
        expires_at=None,
        protect=False,
        on_failure="keep",
        state=StateLocation(),
        source=None,
        close_reason=None,
        plan_json={},
    )
    return release_values(
        planned, stack, "i234567abcdef", lambda _, key: SAMPLES.get(key, f"some-{key}")
    )


def leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the path of each value that is no mapping with something in it, keys by dots."""
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, dict) and value:
            yield from leaves(value, here)
        else:
            yield ".".join(here), value


def unknown_values(chart: str, values: Mapping[str, Any]) -> list[str]:
    """Return what the chart would not know of ``values``, or would want of another type."""
    keys = UPSTREAM[chart]["keys"]
    return [
        f"{path} = {value!r}" for path, value in leaves(values) if not _known(keys, path, value)
    ]


def set_paths(unit: UnitDefinition) -> Iterator[str]:
    """Yield the values that ``unit.yaml`` sets, keys by dots."""
    release, _ = release_of(unit)
    for edge in (*unit.requires, *unit.after):
        yield from (".".join(split_path(path)) for path in edge.bind)
    yield from (".".join(split_path(path)) for path in release.fill)
    for setting in unit.config.values():
        if not setting.variable.startswith("$"):
            yield ".".join(split_path(setting.variable))


def _known(keys: Mapping[str, str], path: str, value: object) -> bool:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        kind = keys.get(".".join(parts[:length]))
        if kind is None:
            continue
        if kind == "null":
            return True
        return kind == "map" if length < len(parts) else _fits(kind, value)
    # A mapping of known keys that was left empty.
    return value == {} and any(key.startswith(f"{path}.") for key in keys)


def _fits(kind: str, value: object) -> bool:
    if isinstance(value, bool) and kind != "bool":
        return False
    return isinstance(value, _KINDS[kind])
