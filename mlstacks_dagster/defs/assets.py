"""A unit as a Dagster asset: materializing it deploys it."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.defs import names
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.defs.steps import StepReporter, dagster_errors, resource_table, unit_job
from mlstacks_dagster.lifecycle.models import DeployOutcome, StackEntry

# What Dagster takes for an address; it refuses to load anything else as one.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")

# Code references are beta in Dagster; its warning would meet users on every start.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=__name__)

__all__ = ["code_references", "deploy_asset", "kinds", "owners"]


def deploy_asset(entry: StackEntry, unit: PlannedUnit, site: Site) -> dg.AssetsDefinition:
    """Return the asset that deploys ``unit`` of the stack ``entry``."""
    stack = entry.name
    cleanup = names.cleanup_key(stack, unit.name)
    spec = dg.AssetSpec(
        key=names.deploy_key(stack, unit.name),
        deps=[names.deploy_key(stack, other) for other in unit.depends_on],
        group_name=names.group(stack),
        description=_description(entry, unit, site),
        kinds=kinds(unit),
        owners=owners(unit),
        tags=_tags(entry, unit),
        metadata=code_references(entry, unit),
    )

    @dg.multi_asset(
        specs=[spec],
        name=names.op_name(names.DEPLOY_JOB, stack, unit.name),
        pool=names.pool(stack),
    )
    def deploy(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with dagster_errors(context, site):
            job = unit_job(context, entry, unit.name, site)
            outcome = site.backend.deploy_unit(job, site.settings, StepReporter(context, site))
        if context.instance.get_latest_materialization_event(cleanup) is not None:
            context.instance.wipe_assets([cleanup])
        return dg.MaterializeResult(asset_key=spec.key, metadata=_metadata(outcome))

    return deploy


def kinds(unit: PlannedUnit) -> set[str]:
    """Return the asset's kinds: the engine and the cloud."""
    return {unit.definition.engine, unit.definition.provider}


def owners(unit: PlannedUnit) -> list[str]:
    """Return the asset's owners, as the unit's tags ``owner`` and ``team`` name them.

    An e-mail address stays as it is; Dagster takes any other name for a team.
    """
    tags = {key.lower(): value.strip() for key, value in unit.tags.items()}
    named = dict.fromkeys(tags[key] for key in ("owner", "team") if tags.get(key))
    return [name if _EMAIL.fullmatch(name) else f"team:{name}" for name in named]


def code_references(entry: StackEntry, unit: PlannedUnit) -> dict[str, Any]:
    """Return metadata that links to the stack or component file and to the module."""
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = []
    for label, path in (
        ("component file" if unit.source else "stack file", unit.source or entry.file),
        ("module", _module_file(unit.definition.path)),
    ):
        if path:
            references.append(
                dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=label)
            )
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}


def _module_file(folder: Path) -> Path:
    main = folder / "main.tf"
    return main if main.is_file() else folder / "unit.yaml"


def _tags(entry: StackEntry, unit: PlannedUnit) -> dict[str, str]:
    tags = {"mlstacks/unit": unit.name, "mlstacks/region": unit.region}
    if unit.definition.component:
        tags["mlstacks/component"] = unit.definition.component.type
    if entry.target:
        tags["mlstacks/target"] = entry.target
    return tags


def _description(entry: StackEntry, unit: PlannedUnit, site: Site) -> str:
    definition = unit.definition
    parts = [f"**{definition.title}**", definition.description.strip()]
    target = entry.target or ("sandbox" if site.settings.sandbox else "cloud")
    if target == "sandbox":
        parts.append("**emulated**: this stack runs in the sandbox, not in a cloud account")
    if unit.name in entry.retired:
        parts.append(
            "**retired**: the stack file no longer asks for it; destroy it to be rid of it"
        )
    said = [f"stack `{entry.name}`", f"region `{unit.region}`"]
    if unit.component_name and definition.component:
        kind = definition.component
        said.append(f"component `{unit.component_name}` ({kind.type}, {kind.flavor})")
    parts.append(", ".join(said))
    if definition.cost_note:
        parts.append(f"Cost: {definition.cost_note}")
    return "\n\n".join(parts)


def _link_or_text(value: str) -> dg.MetadataValue[Any]:
    is_link = value.startswith(("http://", "https://"))
    return dg.MetadataValue.url(value) if is_link else dg.MetadataValue.text(value)


def _metadata(outcome: DeployOutcome) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {
        "action": outcome.action,
        "plan": f"{outcome.add} to add, {outcome.change} to change, {outcome.destroy} to destroy",
        "outputs": dg.MetadataValue.json(dict(outcome.outputs)),
        "resources": resource_table(outcome.resources),
        "resource_count": len(outcome.resources),
        "seconds": outcome.seconds,
        "tool_seconds": outcome.tool_seconds,
        "tool": outcome.tool,
        "state": outcome.state,
        "target": outcome.target,
        "stack_id": outcome.stack_id,
    }
    for name, value in outcome.release.items():
        metadata[f"release/{name}"] = _link_or_text(value)
    if outcome.sensitive:
        metadata["sensitive_outputs"] = ", ".join(outcome.sensitive)
    if outcome.recovered:
        metadata["recovered"] = ", ".join(outcome.recovered)
    return metadata
