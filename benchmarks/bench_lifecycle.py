"""A lifecycle whose units take no time, for ``steps.py``: what is left is what a step costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan, PlannedUnit, UnitDefinition
from mlstacks_dagster.lifecycle.models import DeployOutcome, StackEntry


def chain(length: int) -> StackEntry:
    """Return a stack of units that come one after the other."""
    units = tuple(
        PlannedUnit(
            definition=UnitDefinition(
                name=f"unit{number}",
                title=f"Unit {number}",
                description="For the benchmark.",
                provider="aws",
                engine="terraform",
                path=Path("nowhere"),
            ),
            region="eu-north-1",
            depends_on=(f"unit{number - 1}",) if number else (),
        )
        for number in range(length)
    )
    plan = Plan(stack="bench", provider="aws", region="eu-north-1", units=units)
    return StackEntry(name="bench", plan=plan)


def deploy_unit(job: Any, _settings: Any, _report: Any) -> DeployOutcome:
    """Deploy nothing."""
    return DeployOutcome(stack_id="s1", target=job.target, action="applied")
