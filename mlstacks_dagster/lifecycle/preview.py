"""What a deploy would do to each unit, as far as the ledger and the files can tell.

No cloud is asked and nothing is started: the hash of a unit's inputs is compared with the one
that was last applied, as the deploy itself does first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.engines.wiring import load_wiring
from mlstacks_dagster.errors import MlstacksError, SandboxError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.api import open_session
from mlstacks_dagster.lifecycle.due import end_of
from mlstacks_dagster.lifecycle.models import Progress, UnitJob
from mlstacks_dagster.settings import Settings

__all__ = ["Action", "preview"]

Action = Literal["create", "change", "perhaps", "unchanged"]
"""``perhaps``: its own inputs are the same, but it takes outputs of a unit that will be worked on.

``change``: the deploy plans the unit; whether anything of it changes is Terraform's or Helm's to
say.
"""


def preview(plan: Plan, ledger: Ledger, settings: Settings) -> dict[str, Action]:
    """Return what a deploy of ``plan`` would do, by unit."""
    stack = ledger.live_stack(plan.stack)
    if stack is None or _is_gone(stack, settings):
        return {unit.name: "create" for unit in plan.units}
    options = plan.options
    stack = replace(
        stack,
        region=plan.region,
        expires_at=end_of(options, stack.created_at),
        protect=options.protect,
    )
    found: dict[str, Action] = {}
    for unit in plan.units:  # in an order in which they can be deployed
        found[unit.name] = _action(unit, plan, stack, ledger, settings)
        sources = {found.get(name, "unchanged") for name in _sources(unit)}
        if found[unit.name] == "unchanged" and sources != {"unchanged"} and sources:
            found[unit.name] = "perhaps"
    return found


def _is_gone(stack: StackRecord, settings: Settings) -> bool:
    """Tell whether the stack lived in a sandbox that doesn't run any more."""
    try:
        wiring = load_wiring(stack.target, settings.sandbox_dir)
    except SandboxError:
        return True
    return stack.target == "sandbox" and stack.sandbox_id != wiring.instance_id


def _sources(unit: PlannedUnit) -> set[str]:
    return {binding.unit for binding in unit.bindings}


def _action(
    unit: PlannedUnit, plan: Plan, stack: StackRecord, ledger: Ledger, settings: Settings
) -> Action:
    record = ledger.unit(stack.stack_id, unit.name)
    if record is None or record.status == "destroyed":
        return "create"
    if record.status != "applied" or record.drifted:
        return "change"
    job = UnitJob(plan=plan, unit=unit.name, run_id="", target=stack.target)
    session = open_session(job, stack, settings, ledger, _Silent())
    try:
        same = record.input_hash == session.input_hash and session.is_known()
    except MlstacksError:  # such as a cluster that isn't there: the deploy can't skip it either
        return "change"
    return "unchanged" if same else "change"


class _Silent:
    """A reporter of nothing."""

    def line(self, text: str) -> None:
        """Take a line."""

    def milestone(self, text: str) -> None:
        """Take a milestone."""

    def progress(self, progress: Progress) -> None:
        """Take a standing."""
