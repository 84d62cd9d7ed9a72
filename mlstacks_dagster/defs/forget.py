"""Make Dagster forget what is gone without a teardown run."""

from __future__ import annotations

import dagster as dg

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.instance import open_instance
from mlstacks_dagster.settings import Settings

__all__ = ["forget"]


def forget(plan: Plan, settings: Settings, reason: str) -> None:
    """Wipe the materializations of a stack's units and note ``reason`` on each of them."""
    with open_instance(settings) as instance:
        for unit in plan.units:
            key = names.deploy_key(plan.stack, unit.name)
            if instance.get_latest_materialization_event(key) is None:
                continue
            instance.wipe_assets([key])
            instance.report_runless_asset_event(
                dg.AssetObservation(asset_key=key, description=reason)
            )
