"""What the ledger returns: frozen values, detached from the database.

All times are whole Unix seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import ValidationError

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.spec.models import StateLocation

__all__ = [
    "Installation",
    "Kind",
    "OnFailure",
    "Operation",
    "Outcome",
    "PlannedItem",
    "ResourceItem",
    "ResourceRecord",
    "StackRecord",
    "StackStatus",
    "Target",
    "UnitRecord",
    "UnitStatus",
]

Target = Literal["cloud", "sandbox"]
StackStatus = Literal["live", "destroyed"]
UnitStatus = Literal["intended", "applying", "applied", "failed", "destroying", "destroyed"]
Kind = Literal["deploy", "destroy", "drift"]
Outcome = Literal["ok", "failed", "interrupted", "abandoned"]
OnFailure = Literal["keep", "destroy"]

_OTHER_VERSION = "use the version of mlstacks-dagster that deployed it, or deploy it again"


@dataclass(frozen=True)
class Installation:
    """One control plane: the value of the mark ``mlstacks-install``."""

    install_id: str
    created_at: int


@dataclass(frozen=True)
class StackRecord:
    """A stack that was deployed at least once; a tombstone when ``status`` is ``destroyed``.

    ``generation`` counts deploy runs. ``close_reason`` says why a stack was closed without a
    destroy. ``plan_json`` is the plan as stored; :attr:`plan` parses it.
    """

    stack_id: str
    name: str
    provider: str
    region: str
    target: Target
    sandbox_id: str | None
    status: StackStatus
    generation: int
    created_at: int
    destroyed_at: int | None
    expires_at: int | None
    protect: bool
    on_failure: OnFailure
    state: StateLocation
    source: str | None
    close_reason: str | None
    plan_json: Mapping[str, Any] = field(repr=False)

    @property
    def live(self) -> bool:
        """Whether the stack is not destroyed."""
        return self.status == "live"

    @property
    def keeps_data(self) -> bool:
        """Whether a teardown must not delete data, as last deployed; a word unknown here says so.

        Plans of other versions count as well: they are read as the JSON that they are.
        """
        options = self.plan_json.get("options")
        said = options.get("data") if isinstance(options, Mapping) else None
        return said not in (None, "delete")

    @cached_property
    def plan(self) -> Plan:
        """The plan of the last deploy; raises :class:`LedgerError` if it can't be read."""
        try:
            return Plan.model_validate(self.plan_json)
        except ValidationError as error:
            raise LedgerError(
                f"the recorded plan of stack {self.name} ({self.stack_id}) "
                f"was written by another version: {error.error_count()} problems",
                remedy=_OTHER_VERSION,
            ) from error


@dataclass(frozen=True)
class UnitRecord:
    """What is known of one unit of a stack.

    ``input_hash``, ``module_digest`` and ``applied_at`` belong to the last successful deploy;
    ``outputs`` holds the non-sensitive ones only. ``account`` is the cloud account that it was
    deployed to, None where that isn't known. ``planned_json`` is the unit's part of the
    plan at its last deploy, kept even when the stack file doesn't name the unit any more.
    """

    stack_id: str
    unit: str
    engine: str
    status: UnitStatus
    input_hash: str | None
    module_digest: str | None
    run_id: str | None
    created_at: int
    applied_at: int | None
    destroyed_at: int | None
    drifted: bool
    resource_count: int
    outputs: Mapping[str, Any]
    account: str | None = None
    planned_json: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def exists(self) -> bool:
        """Whether something of the unit may exist in the cloud."""
        return self.status != "destroyed"

    @cached_property
    def planned(self) -> PlannedUnit | None:
        """The unit as last deployed, None if never; raises :class:`LedgerError`."""
        if self.planned_json is None:
            return None
        try:
            return PlannedUnit.model_validate(self.planned_json)
        except ValidationError as error:
            raise LedgerError(
                f"the recorded plan of unit {self.unit} ({self.stack_id}) "
                f"was written by another version: {error.error_count()} problems",
                remedy=_OTHER_VERSION,
            ) from error


@dataclass(frozen=True)
class PlannedItem:
    """A resource that an operation set out to create.

    ``absent_before``: we had looked, and nothing of that name existed. ``began_at``: when that
    was first recorded (of one that was never absent: when it was first planned).
    """

    address: str
    type: str
    absent_before: bool
    began_at: int | None = None


@dataclass(frozen=True)
class Operation:
    """One attempt to deploy, destroy or compare a unit; open while ``outcome`` is None.

    ``previous`` is set by ``Ledger.begin`` only: the deploy or destroy before this one,
    already marked ``abandoned`` if it had been left open.
    """

    id: int
    stack_id: str
    unit: str
    kind: Kind
    run_id: str
    input_hash: str | None
    started_at: int
    finished_at: int | None
    outcome: Outcome | None
    summary: Mapping[str, Any]
    error: str | None
    planned: tuple[PlannedItem, ...]
    previous: Operation | None = None

    @property
    def clean(self) -> bool:
        """Whether it ended well."""
        return self.outcome == "ok"


@dataclass(frozen=True)
class ResourceItem:
    """A resource that exists after an operation, as the engine read it."""

    address: str
    type: str
    resource_id: str = ""
    arn: str | None = None


@dataclass(frozen=True)
class ResourceRecord:
    """A resource that a unit created; ``gone_at`` is set once it no longer exists."""

    stack_id: str
    unit: str
    address: str
    type: str
    resource_id: str
    arn: str | None
    created_at: int
    gone_at: int | None
