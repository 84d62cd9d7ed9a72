"""What a step works with: the lifecycle that does the work, and the settings.

The lifecycle is reached through :class:`Backend`, so that tests run whole Dagster runs, in real
step processes, with a lifecycle of their own. A step process finds it by name.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from mlstacks_dagster.errors import SettingError
from mlstacks_dagster.lifecycle.models import (
    DeployOutcome,
    DestroyOutcome,
    DriftOutcome,
    Reporter,
    StackSnapshot,
    UnitJob,
    VerifyOutcome,
)
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan

__all__ = ["LIFECYCLE", "Backend", "Site"]

LIFECYCLE = "mlstacks_dagster.lifecycle.api"


class Backend(Protocol):
    """The lifecycle's functions; a module that has them is one."""

    def deploy_unit(self, job: UnitJob, settings: Settings, report: Reporter) -> DeployOutcome:
        """Deploy a unit."""

    def destroy_unit(self, job: UnitJob, settings: Settings, report: Reporter) -> DestroyOutcome:
        """Destroy a unit."""

    def drift_unit(
        self, job: UnitJob, settings: Settings, report: Reporter, *, compare: bool = True
    ) -> DriftOutcome:
        """Compare a unit with the cloud; look at a release's health and exposure."""

    def verify_stack(
        self, stack: str, stack_id: str | None, settings: Settings, report: Reporter
    ) -> VerifyOutcome:
        """Prove that nothing is left of a destroyed stack."""

    def sweep_account(self, account: str, settings: Settings, report: Reporter) -> SweepPlan:
        """List an account and record the plan."""

    def delete_sweep(
        self, account: str, plan: str, alias: str, by: str, settings: Settings, report: Reporter
    ) -> DeleteReport:
        """Delete what an approved plan names."""

    def read_stacks(self, settings: Settings) -> StackSnapshot:
        """Return every stack."""


@dataclass(frozen=True)
class Site:
    """Settings, and the lifecycle as ``module`` or ``module:attribute``.

    ``retry_seconds`` is the wait before the first retry; each further one is twice as long.
    """

    settings: Settings
    lifecycle: str = LIFECYCLE
    retry_seconds: float = 5.0

    @classmethod
    def load(cls, lifecycle: str = LIFECYCLE) -> Site:
        """Return the site that the environment describes."""
        return cls(Settings.load(), lifecycle)

    @property
    def backend(self) -> Backend:
        """The lifecycle, imported on first use; raises SettingError when it isn't there."""
        module, _, attribute = self.lifecycle.partition(":")
        try:
            found: object = importlib.import_module(module)
            if attribute:
                found = getattr(found, attribute)
        except (ImportError, AttributeError) as error:
            raise SettingError(f"no lifecycle at {self.lifecycle}: {error}") from error
        return cast("Backend", found)
