"""What goes into a unit's deploy, destroy and drift check, and what comes out.

Nothing here holds a secret: sensitive outputs are counted, never carried.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.engines.wiring import Target
from mlstacks_dagster.sweep.inventory.verify import TeardownReport

__all__ = [
    "DeployOutcome",
    "DestroyOutcome",
    "DriftOutcome",
    "Endpoint",
    "Progress",
    "Reporter",
    "ResourceRow",
    "StackEntry",
    "StackSnapshot",
    "UnitJob",
    "VerifyOutcome",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Progress(_Model):
    """Where a unit stands.

    ``phase`` is what happens now; ``done`` of ``total`` count resources, both 0 when unknown.
    ``state`` tells whether the unit is at work or how it ended.
    """

    unit: str
    phase: str
    done: int = 0
    total: int = 0
    state: Literal["working", "done", "unchanged", "failed"] = "working"
    seconds: float = 0.0


class Reporter(Protocol):
    """Receives what happens while a unit is worked on; every text is already redacted."""

    def line(self, text: str) -> None:
        """Take a line of a tool's output."""

    def milestone(self, text: str) -> None:
        """Take an event worth a log entry: a plan summary, a resource made, an error."""

    def progress(self, progress: Progress) -> None:
        """Take the latest standing of a unit."""


class UnitJob(_Model):
    """One unit to work on, as part of a run.

    ``replan`` plans the unit even when its inputs are the ones last applied.
    ``target`` applies to a stack that is not deployed yet; a deployed one stays where it is.
    """

    plan: Plan
    unit: str
    run_id: str
    replan: bool = False
    target: Target = "cloud"


class ResourceRow(_Model):
    """A resource in a unit's state."""

    address: str
    type: str
    id: str


class DeployOutcome(_Model):
    """What deploying a unit did.

    ``outputs`` leaves out the sensitive ones, whose names are in ``sensitive``; ``release``
    tells of a Helm release (revision, chart, versions, namespace);
    ``seconds`` is the whole, ``tool_seconds`` the time of the tool's own processes.
    """

    stack_id: str
    target: Target
    action: Literal["applied", "unchanged"]
    add: int = 0
    change: int = 0
    destroy: int = 0
    recovered: tuple[str, ...] = ()
    outputs: dict[str, Any] = Field(default_factory=dict)
    sensitive: tuple[str, ...] = ()
    resources: tuple[ResourceRow, ...] = ()
    release: dict[str, str] = Field(default_factory=dict)
    seconds: float = 0.0
    tool_seconds: float = 0.0
    tool: str = ""
    state: str = ""


class DestroyOutcome(_Model):
    """What destroying a unit did; ``resources`` are those that are gone now."""

    stack_id: str | None
    target: Target
    action: Literal["destroyed", "never_deployed"]
    destroyed: int = 0
    resources: tuple[ResourceRow, ...] = ()
    stack_closed: bool = False
    seconds: float = 0.0
    tool_seconds: float = 0.0


class Endpoint(_Model):
    """A way into the cluster: what it answered, and ``wrong``: what is wrong with that.

    ``url`` is the object's name when it has no URL (yet). ``unknown``: nobody could be asked;
    ``emulated``: nobody was, since nothing is there.
    """

    url: str
    answer: str
    wrong: str = ""
    state: Literal["answered", "unknown", "emulated"] = "answered"


class DriftOutcome(_Model):
    """Whether the cloud still is what was applied; ``changes`` are ``action address`` lines.

    ``not_compared``: it is there, and nobody asked for a comparison.
    Of a release, ``problems`` say what isn't healthy, and ``endpoints`` what can be reached.
    """

    status: Literal["in_sync", "drifted", "not_deployed", "not_compared"]
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    seconds: float = 0.0


class VerifyOutcome(_Model):
    """What verifying a stack's teardown found, with a report for each of its accounts.

    ``never_deployed``: there is no destroyed stack of that name. ``note`` says why there is no
    report. The reports are those of a teardown that is complete: anything else is an error.
    """

    action: Literal["verified", "never_deployed"]
    stack_id: str = ""
    reports: tuple[TeardownReport, ...] = ()
    note: str = ""


class StackEntry(_Model):
    """A stack as the code location sees it.

    From a file, from the ledger, or both. ``plan`` is None when the file is broken and nothing
    is deployed; ``problems`` say why. ``retired`` are the deployed units that the file no
    longer asks for; they stay part of ``plan``.
    """

    name: str
    plan: Plan | None = None
    problems: tuple[str, ...] = ()
    file: str | None = None
    stack_id: str | None = None
    target: Target | None = None
    retired: tuple[str, ...] = ()


class StackSnapshot(_Model):
    """All stacks at one moment; Dagster pins it, so that a run doesn't change under its feet.

    ``accounts`` are those to sweep, as :func:`~mlstacks_dagster.lifecycle.clouds.parse_account`
    reads them.
    """

    stacks: tuple[StackEntry, ...] = ()
    accounts: tuple[str, ...] = ()
