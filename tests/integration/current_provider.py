"""Deploys units of the catalog as the cloud gets them, with the schema double as provider."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.discovery import Catalog
from mlstacks_dagster.catalog.models import Binding, PlannedUnit, UnitDefinition
from mlstacks_dagster.engines.environment import terraform_environment, tool_environment
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.terraform import PlannedChange, PlanResult, TerraformEngine
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.engines.wiring import CLOUD
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.lifecycle.inputs import backend, tags_and_marks, variables
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StateLocation
from tests.schema_provider import ProviderSchema

__all__ = ["CurrentProvider", "Life", "unmarked"]

INSTALL = "i234567abcdef"
STACK = StackRecord(
    stack_id="s234567abcdef",
    name="judged",
    provider="aws",
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


@dataclass(frozen=True)
class Life:
    """What became of a unit from its first plan to its end."""

    created: PlanResult
    made: frozenset[str]
    outputs: Mapping[str, Any]
    again: PlanResult
    removed: PlanResult
    left: tuple[str, ...]


class CurrentProvider:
    """Stages units for the cloud, below ``home``, and runs Terraform on them.

    ``provider`` is the environment that names the double. What a unit is bound to is deployed
    first, and its real outputs are taken.
    """

    def __init__(self, home: Path, catalog: Catalog, provider: Mapping[str, str]) -> None:
        self._settings = Settings(home=home, stacks_dir=home)
        self._catalog = catalog
        self._environment = {**tool_environment({"PATH": os.defpath}, {}, CLOUD), **provider}
        self._tool = find_terraform(self._settings)
        self.engine = TerraformEngine(self._tool, ProcessRunner(), self._settings)
        self._lives: dict[str, Life] = {}

    def life(self, unit: UnitDefinition) -> Life:
        """Return the unit's life; it is lived once."""
        if unit.name not in self._lives:
            self._lives[unit.name] = self._live(self.stage(unit))
        return self._lives[unit.name]

    def marks(self, unit: UnitDefinition) -> dict[str, str]:
        """Return the ownership marks of what the unit makes."""
        return tags_and_marks(self._planned(unit), STACK, INSTALL)[1]

    def stage(self, unit: UnitDefinition) -> Workspace:
        """Return the unit as it is staged for the cloud, initialised."""
        planned = self._planned(unit)
        workspace = self.engine.stage(
            UnitRequest(
                unit=unit.name,
                module=unit.path,
                work_dir=self._settings.home / "work" / unit.name,
                backend=backend(self._settings, STACK, planned, CLOUD),
                variables=variables(planned, STACK, INSTALL, self._output),
                wiring=CLOUD,
                environment=self._environment,
            )
        )
        self.engine.init(workspace)
        return workspace

    def validate(self, workspace: Workspace) -> tuple[bool, str]:
        """Return whether Terraform finds the staged module valid, and what it says."""
        done = subprocess.run(
            [*self._tool.argv, "validate", "-no-color"],
            cwd=workspace.module,
            env=terraform_environment(self._environment, workspace.cli_config, None),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, " ".join(f"{done.stdout}{done.stderr}".split())

    def _live(self, workspace: Workspace) -> Life:
        engine = self.engine
        created = engine.plan(workspace)
        engine.apply(workspace, created)
        made = frozenset(resource.address for resource in engine.resources(workspace))
        outputs = {name: out.value for name, out in engine.outputs(workspace).items()}
        again = engine.plan(workspace)
        removed = engine.plan(workspace, destroy=True)
        engine.apply(workspace, removed)
        left = tuple(resource.address for resource in engine.resources(workspace))
        return Life(created, made, outputs, again, removed, left)

    def _planned(self, unit: UnitDefinition) -> PlannedUnit:
        return PlannedUnit(
            definition=unit,
            region=STACK.region,
            tags={"team": "tests"},
            bindings=tuple(self._bindings(unit)),
        )

    def _bindings(self, unit: UnitDefinition) -> Iterator[Binding]:
        for edge in (*unit.requires, *unit.after):
            source = self._catalog.providers_of(edge.capability, unit.provider)[0]
            [keys] = [p.outputs for p in source.provides if p.capability == edge.capability]
            for variable, key in edge.bind.items():
                yield Binding(variable=variable, unit=source.name, output=keys[key])

    def _output(self, unit: str, output: str) -> Any:
        return self.life(self._catalog.get("aws", unit)).outputs[output]


def unmarked(
    changes: Iterable[PlannedChange], marks: Mapping[str, str], schema: ProviderSchema
) -> list[str]:
    """Return the planned resources that lack a mark.

    Looked at is what can be tagged, by its schema, and the tags that a launch template gives to
    what it makes.
    """
    return [
        change.address
        for change in changes
        if change.mode == "managed"
        and not all(marks.items() <= (tags or {}).items() for tags in _tags(change, schema))
    ]


def _tags(change: PlannedChange, schema: ProviderSchema) -> Iterator[Mapping[str, str] | None]:
    if schema.taggable(change.type):
        yield change.after.get("tags_all")
    for made in change.after.get("tag_specifications") or []:
        yield made.get("tags")
