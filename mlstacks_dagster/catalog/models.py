"""What a ``unit.yaml`` says, and what a resolved stack (a plan) looks like.

Both are data: frozen pydantic models that survive a trip through JSON, since Dagster's code
location pins plans and the ledger keeps them for stacks whose file is gone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlstacks_dagster.spec.models import StackOptions

__all__ = [
    "Binding",
    "ChartReference",
    "ComponentKind",
    "ConfigKey",
    "Drained",
    "EmptyBefore",
    "Export",
    "HelmRelease",
    "Plan",
    "PlannedUnit",
    "Provision",
    "Requirement",
    "SecretKey",
    "Teardown",
    "UnitDefinition",
    "UnitSecret",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComponentKind(_Model):
    """The component type and flavor that a unit deploys, in mlstacks' words."""

    type: str
    flavor: str


class Requirement(_Model):
    """A capability that a unit uses.

    ``bind`` maps our input variable to a key of the capability. ``providers`` are those on
    which it counts, of a unit that exists on several; without it, on all. ``when`` is a config
    key of the unit: the requirement counts only for a user who gives it a value other than
    null, false or an empty text.
    """

    capability: str
    bind: dict[str, str] = Field(default_factory=dict)
    providers: tuple[Literal["aws", "gcp", "k3d"], ...] = ()
    when: str | None = None


class Provision(_Model):
    """A capability that a unit provides; ``outputs`` maps its keys to our output names."""

    capability: str
    outputs: dict[str, str] = Field(default_factory=dict)


class ConfigKey(_Model):
    """A key of ``metadata.config``.

    ``variable`` is what it sets: an input variable of the module; for Helm the path of a chart
    value (``a.b``; a dot inside a key is written ``\\.``), ``$namespace`` or
    ``$secret.<name>.<key>``. ``rule`` names a check of ``spec.rules`` that knows what the cloud
    would refuse. With ``password``, the value is a URL: its password goes to that key of a Secret
    (``$secret.<name>.<key>``), and the variable gets the URL without it.
    """

    variable: str
    rule: str | None = None
    password: str | None = None
    description: str = ""


class Export(_Model):
    """What the ZenML stack file says of this component.

    In ``configuration``, ``{name}`` is replaced by the unit's output of that name.
    """

    flavor: str
    configuration: dict[str, str] = Field(default_factory=dict)


class ChartReference(_Model):
    """A published chart, pinned.

    ``repository`` is ``oci://registry/folder`` or the URL of a chart repository; ``digest`` the
    SHA-256 of the archive (``sha256:...``) where it is known.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    repository: str = Field(pattern=r"^(oci|https)://[^\s@]+$")
    version: str = Field(pattern=r"^v?\d+\.\d+\.\d+[A-Za-z0-9.+-]*$")
    app_version: str
    license: str
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")


class SecretKey(_Model):
    """One key of a Secret: ``value``, or a random text of ``generate`` characters.

    What the user gives (``$secret.<name>.<key>``) replaces either; it has ``min_length``
    characters, matches the whole of ``pattern`` and is none of ``refuse``, and ``message`` is
    the pattern in words. ``optional`` keys without a value are left out.
    """

    generate: int | None = Field(default=None, ge=16, le=128)
    value: str | None = None
    optional: bool = False
    min_length: int = Field(default=1, ge=1, le=128)
    pattern: str | None = None
    refuse: tuple[str, ...] = ()
    message: str = ""

    def why_not(self, value: object) -> str | None:
        """Return why ``value`` can't be the key's, in words that don't hold it, or None."""
        if not isinstance(value, str) or not value:
            return "must be text: put it in quotes"
        if len(value) < self.min_length:
            return f"must have {self.min_length} characters or more"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return self.message
        return "everybody knows this one: choose another" if value in self.refuse else None


class UnitSecret(_Model):
    """A Kubernetes Secret that is made before the release; charts get its name only."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    keys: dict[str, SecretKey]


class HelmRelease(_Model):
    """How a unit becomes a Helm release.

    ``chart`` is a published chart, or the folder of a chart of our own, relative to the unit's.
    ``fill`` maps chart values to what the program knows: ``name``, ``stack``, ``install``,
    ``region``, ``tags``, ``tags_csv``, ``marks``, ``namespace``, ``release``. ``outputs`` are
    texts in which ``{namespace}``, ``{release}``, ``{stack}``, ``{region}``,
    ``{kubernetes_context}``, ``{load_balancer}`` (of the Service ``load_balancer``),
    ``{value:<path>}`` and ``{secret:<name>/<key>}`` are filled in; one with a secret is
    sensitive. Of a list of texts the first counts that can be filled in. ``crd_groups`` are API
    groups whose definitions the release owns: such releases take turns on a cluster.
    ``exposes`` names the Services of type LoadBalancer and the Ingresses that may be reached
    from outside, with the path that must not answer without credentials where it isn't ``/``
    (``name:/path``).
    """

    chart: ChartReference | str = "."
    release: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,52}$")
    namespace: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    timeout_seconds: int = Field(default=600, ge=30, le=3600)
    fill: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[UnitSecret, ...] = ()
    outputs: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    load_balancer: str | None = None
    crd_groups: tuple[str, ...] = ()
    exposes: tuple[str, ...] = ()

    def output_texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of an output, in the order in which they are tried."""
        texts = self.outputs[name]
        return (texts,) if isinstance(texts, str) else texts


class EmptyBefore(_Model):
    """Something to empty before it can be destroyed; ``output`` holds its name."""

    resource: Literal["s3_bucket", "ecr_repository"]
    output: str


Drained = Literal["load_balancers", "volumes"]


class Teardown(_Model):
    """What destroying the unit needs beyond the engine's own destroy.

    ``drain`` names what the cluster must let go of in the cloud first: a cluster and its
    controllers say it.
    """

    empty: tuple[EmptyBefore, ...] = ()
    drain: tuple[Drained, ...] = ()


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
    helm: HelmRelease | None = None
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
    module declares them, for Helm by value path; ``environment`` reaches the unit's process;
    ``secrets`` are values that the user gives for keys of Secrets, by ``<name>.<key>``.
    """

    definition: UnitDefinition
    component_name: str | None = None
    region: str
    variables: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
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
