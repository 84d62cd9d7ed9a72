"""What stack and component files have in common: version, type, provider, region."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from mlstacks_dagster.spec.fields import Fields, describe
from mlstacks_dagster.spec.matrix import PROVIDERS
from mlstacks_dagster.spec.models import Provider
from mlstacks_dagster.spec.regions import unknown_region
from mlstacks_dagster.spec.suggest import did_you_mean

__all__ = ["check_header", "check_region", "read_provider"]

_SWAPPED = {
    "component": "this is a component file: put it under `components:` of a stack",
    "stack": "this is a stack file: a component file has `spec_type: component`",
}


def check_header(fields: Fields, kind: str) -> bool:
    """Check ``spec_version`` and ``spec_type``, which must be ``kind``.

    Returns False when the file is the other kind, so that its keys make no sense here.
    """
    version = fields.data.get("spec_version")
    if version is None:
        fields.error("spec_version is missing", remedy="add `spec_version: 1`")
    elif isinstance(version, bool) or version not in (1, "1"):
        fields.error(
            f"spec_version must be 1, not {describe(version)}",
            "spec_version",
            remedy="write `spec_version: 1`",
        )
    given = fields.data.get("spec_type")
    if isinstance(given, str) and given != kind and given in _SWAPPED:
        fields.error(f"spec_type is {given!r}", "spec_type", remedy=_SWAPPED[given])
        return False
    fields.choice("spec_type", (kind,), required=kind)
    return True


def check_region(
    fields: Fields, provider: str, region: str, key: str = "region", *, extra: Collection[str]
) -> None:
    """Record an error at ``key`` when ``provider`` has no such region."""
    remedy = unknown_region(provider, region, extra)
    if remedy is not None:
        fields.error(f"{provider} has no region {region!r}", key, remedy=remedy)


def read_provider(fields: Fields, *, required: str) -> Provider | None:
    """Return the provider, or None with an error; ``required`` is the remedy's example."""
    given = fields.text("provider", required=required)
    if given is None or given in PROVIDERS:
        return cast("Provider | None", given)
    if given == "azure":
        message = "provider azure is known to mlstacks, but has no components"
        remedy = f"use {', '.join(PROVIDERS)}"
    else:
        message = f"provider {describe(given)} isn't known"
        remedy = did_you_mean(given, PROVIDERS)
    fields.error(message, "provider", remedy=remedy)
    return None
