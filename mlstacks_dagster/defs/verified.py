"""The last cleanup asset of a stack: materialized only once nothing is left of it."""

from typing import Any

import dagster as dg

from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.cleanup import Teardown, is_confirmed
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors
from mlstacks_dagster.lifecycle.models import StackEntry, VerifyOutcome

__all__ = ["row_table", "verified_asset", "verify_metadata"]

_COLUMNS = ("account", "type", "id", "region", "what", "why_ours", "used_by", "age")


def verified_asset(entry: StackEntry, site: Site) -> dg.AssetsDefinition:
    """Return the asset that looks whether anything of a destroyed stack is left.

    What is left and proven to be the stack's is deleted; data is kept and listed.
    """
    stack = entry.name
    key = names.cleanup_key(stack, names.VERIFIED)
    units = entry.plan.units if entry.plan else ()
    spec = dg.AssetSpec(
        key=key,
        deps=[names.cleanup_key(stack, unit.name) for unit in units],
        group_name=names.cleanup_group(stack),
        description=f"Looks twice, in all types and regions, for what is left of stack `{stack}`, "
        "and deletes what is proven to be its own. Fails, with the list, while anything is left "
        "or could not be listed. Needs the same confirmation as the other cleanup assets.",
        kinds={"sweep", *{u.definition.provider for u in units}},
        tags={"mlstacks/unit": names.VERIFIED},
        skippable=True,
    )

    @dg.multi_asset(
        specs=[spec],
        name=names.op_name(names.TEARDOWN_JOB, stack, names.VERIFIED),
        pool=names.pool(stack),
    )
    def verify(context: dg.AssetExecutionContext, teardown: Teardown):  # type: ignore[no-untyped-def]  # dagster infers it
        if not is_confirmed(context, teardown, stack):
            return
        with dagster_errors(context, site):
            reporter = StepReporter(context, site)
            outcome = site.backend.verify_stack(stack, entry.stack_id, site.settings, reporter)
        yield dg.MaterializeResult(asset_key=key, metadata=verify_metadata(outcome))

    return verify


def verify_metadata(outcome: VerifyOutcome) -> dict[str, Any]:
    """Return what the UI shows of a verified teardown."""
    reports = outcome.reports
    metadata: dict[str, Any] = {
        "action": outcome.action,
        "sweeps": sum(report.sweeps for report in reports),
        "seconds": round(sum(report.seconds for report in reports), 1),
        "deleted": row_table([(r.account, row) for r in reports for row in r.deleted]),
        "kept_data": row_table([(r.account, row) for r in reports for row in r.kept]),
        "looked_at": "; ".join(f"{r.account}: {', '.join(r.regions)}" for r in reports),
    }
    if outcome.stack_id:
        metadata["stack_id"] = outcome.stack_id
    if outcome.note:
        metadata["note"] = outcome.note
    return metadata


def row_table(rows: list[tuple[str, Any]]) -> dg.TableMetadataValue:
    """Return an account's name and a report's row each as a table for the UI."""
    records = [
        dg.TableRecord(data={"account": account, **{c: str(getattr(row, c)) for c in _COLUMNS[1:]}})
        for account, row in rows
    ]
    columns = [dg.TableColumn(name=name) for name in _COLUMNS]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))
