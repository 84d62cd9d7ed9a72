"""What a ``unit.yaml`` says, and what a resolved stack (a plan) looks like.

Both are data: frozen pydantic models that survive a trip through JSON, since Dagster's code
location pins plans and the ledger keeps them for stacks whose file is gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlstacks_dagster.spec.models import StackOptions

__all__ = [
    "Binding",
    "ComponentKind",
    "ConfigKey",
    "EmptyBefore",
    "Export",
    "Plan",
    "PlannedUnit",
    "Provision",
    "Requirement",
    "Teardown",
    "UnitDefinition",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComponentKind(_Model):
    """The component type and flavor that a unit deploys, in mlstacks' words."""

    type: str
    flavor: str


class Requirement(_Model):
    """A capability that a unit uses.

    ``bind`` maps our input variable to a key of the capability.
    """

    capability: str
    bind: dict[str, str] = Field(default_factory=dict)


class Provision(_Model):
    """A capability that a unit provides; ``outputs`` maps its keys to our output names."""

    capability: str
    outputs: dict[str, str] = Field(default_factory=dict)


class ConfigKey(_Model):
    """A key of ``metadata.config``.

    ``variable`` is the input variable it sets (for Helm later: the chart value's path);
    ``rule`` names a check of ``spec.rules`` that knows what the cloud would refuse.
    """

    variable: str
    rule: str | None = None
    description: str = ""


class Export(_Model):
    """What the ZenML stack file says of this component.

    In ``configuration``, ``{name}`` is replaced by the unit's output of that name.
    """

    flavor: str
    configuration: dict[str, str] = Field(default_factory=dict)


class EmptyBefore(_Model):
    """Something to empty before it can be destroyed; ``output`` holds its name."""

    resource: Literal["s3_bucket", "ecr_repository"]
    output: str


class Teardown(_Model):
    """What destroying the unit needs beyond ``terraform destroy``."""

    empty: tuple[EmptyBefore, ...] = ()


class UnitDefinition(_Model):
    """One ``unit.yaml``: the smallest thing that is deployed and destroyed alone."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    title: str
    description: str
    provider: Literal["aws", "gcp", "k3d"]
    engine: Literal["terraform", "helm"]
    component: ComponentKind | None = None
    requires: tuple[Requirement, ...] = ()
    after: tuple[Requirement, ...] = ()
    provides: tuple[Provision, ...] = ()
    config: dict[str, ConfigKey] = Field(default_factory=dict)
    export: Export | None = None
    teardown: Teardown = Teardown()
    leftovers: tuple[str, ...] = ()
    cost_note: str = ""
    path: Path = Field(description="folder of the unit; set by discovery, not in the file")


class Binding(_Model):
    """Feeds output ``output`` of unit ``unit`` into our input variable ``variable``."""

    variable: str
    unit: str
    output: str


class PlannedUnit(_Model):
    """A unit in a plan: its definition with everything the stack says about it.

    ``depends_on`` names the units that come first; ``variables`` are input values as the
    module declares them; ``environment`` reaches the unit's process.
    """

    definition: UnitDefinition
    component_name: str | None = None
    region: str
    variables: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    depends_on: tuple[str, ...] = ()
    source: Path | None = Field(default=None, description="component file, if there is one")

    @property
    def name(self) -> str:
        """The unit's name, unique within its stack."""
        return self.definition.name


class Plan(_Model):
    """A resolved stack; ``units`` are in an order in which they can be deployed.

    ``zenml_version`` is the config key ``zenml-version``, for the ZenML stack file.
    """

    stack: str
    provider: Literal["aws", "gcp", "k3d"]
    region: str
    units: tuple[PlannedUnit, ...]
    options: StackOptions = StackOptions()
    zenml_version: str | None = None
    source: Path | None = None
    warnings: tuple[str, ...] = ()

    def unit(self, name: str) -> PlannedUnit:
        """Return the unit of that name; raises KeyError."""
        for unit in self.units:
            if unit.name == name:
                return unit
        raise KeyError(name)

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the names of the units that depend directly on ``name``."""
        return tuple(u.name for u in self.units if name in u.depends_on)
