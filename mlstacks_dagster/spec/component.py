"""Reading one component file."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from mlstacks_dagster.spec.fields import Fields, describe
from mlstacks_dagster.spec.header import check_header, check_region, read_provider
from mlstacks_dagster.spec.matrix import COMPONENT_TYPES, KnownFlavors, flavors_of
from mlstacks_dagster.spec.metadata import read_environment, read_tags
from mlstacks_dagster.spec.models import Component, Provider
from mlstacks_dagster.spec.rules import RULES

__all__ = ["read_component"]

_KEYS = (
    "spec_version",
    "spec_type",
    "name",
    "provider",
    "component_type",
    "component_flavor",
    "metadata",
)
_METADATA_KEYS = ("config", "environment_variables", "tags", "region")


def read_component(
    fields: Fields, provider: Provider | None, known: KnownFlavors, extra_regions: Collection[str]
) -> Component | None:
    """Return the component that ``fields`` describe, or None when it can't be one.

    ``provider`` is the stack's. Problems go to the findings of ``fields``.
    """
    if not check_header(fields, "component"):
        return None
    fields.refuse_unknown(_KEYS)
    name = fields.name()
    own = _provider(fields, provider)
    kind, flavor = _triple(fields, own, known)
    metadata = fields.child("metadata")
    metadata.refuse_unknown(_METADATA_KEYS)
    config = metadata.child("config")
    region = _region(metadata, config, own, extra_regions)
    if own == "gcp":
        _project(config)
    return Component(
        name=name,
        provider=cast("Provider", own),
        type=kind,
        flavor=flavor,
        source=fields.source,
        config={key: value for key, value in config.data.items() if key != "region"},
        environment=read_environment(metadata),
        tags=read_tags(metadata, "tags", own),
        region=region,
    )


def _provider(fields: Fields, stack_provider: Provider | None) -> str:
    """Return the component's provider; the stack's, or an empty text, when it isn't one."""
    given = read_provider(fields, required=stack_provider or "aws")
    if given is not None and stack_provider is not None and given != stack_provider:
        fields.error(
            f"the component is for {given}, its stack for {stack_provider}",
            "provider",
            remedy="a stack has one provider: change one of them",
        )
    return given or stack_provider or ""


def _triple(fields: Fields, provider: str, known: KnownFlavors) -> tuple[str, str]:
    types = {*COMPONENT_TYPES, *(kind for _, kind, _ in known)}
    kind = fields.choice("component_type", types, required="artifact_store") or ""
    flavor = fields.text("component_flavor", required="s3") or ""
    if not (provider and kind and flavor) or (provider, kind, flavor) in known:
        return kind, flavor
    allowed = flavors_of(provider, kind, known)
    if not allowed:
        usable = sorted({k for p, k, _ in known if p == provider})
        fields.error(
            f"{provider} has no {kind}",
            "component_type",
            remedy=f"{provider} has: {', '.join(usable)}",
        )
        return kind, flavor
    elsewhere = sorted({p for p, k, f in known if k == kind and f == flavor})
    also = f"; {flavor} is for {', '.join(elsewhere)}" if elsewhere else ""
    fields.error(
        f"there is no such flavor: {provider} {kind} {describe(flavor)}",
        "component_flavor",
        remedy=f"{provider} {kind}: {', '.join(allowed)}{also}",
    )
    return kind, flavor


def _region(
    metadata: Fields, config: Fields, provider: str, extra_regions: Collection[str]
) -> str | None:
    """Return the region that ``metadata`` or its ``config`` names."""
    named = metadata.text("region")
    in_config = config.text("region")
    if named and in_config and named != in_config:
        config.error(
            f"config.region {in_config!r} contradicts metadata.region {named!r}",
            "region",
            remedy="keep one of them",
        )
    if named:
        check_region(metadata, provider, named, extra=extra_regions)
    elif in_config:
        check_region(config, provider, in_config, extra=extra_regions)
    return named or in_config


def _project(config: Fields) -> None:
    if config.data.get("project_id") is None:
        return
    broken = RULES["gcp_project_id"](config.data["project_id"])
    if broken:
        config.error("project_id can't be used", "project_id", remedy=broken)
