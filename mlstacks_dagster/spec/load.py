"""Reading a stack file and its component files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.fields import Fields, Findings
from mlstacks_dagster.spec.header import check_header, check_region, read_provider
from mlstacks_dagster.spec.listing import ComponentReader
from mlstacks_dagster.spec.matrix import MATRIX, KnownFlavors
from mlstacks_dagster.spec.metadata import read_tags
from mlstacks_dagster.spec.models import Provider, Stack
from mlstacks_dagster.spec.options import OPTION_KEYS, read_options
from mlstacks_dagster.spec.together import check_together, with_project
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["load_stack"]

_KEYS = (
    "spec_version",
    "spec_type",
    "name",
    "provider",
    "default_region",
    "default_tags",
    "deployment_method",
    "components",
    *OPTION_KEYS,
)


def load_stack(
    path: Path,
    settings: Settings,
    *,
    known: KnownFlavors | None = None,
    now: Callable[[], float] | None = time.time,
) -> Stack:
    """Return the stack in the file at ``path`` with its components.

    ``known`` adds triples (provider, component type, flavor) to those of mlstacks: what the
    catalog has. ``now`` returns Unix time in seconds; pass None where a stack is loaded to be
    destroyed, so that an ``expires_at`` that has passed is no error. A component's path is
    looked up in the stack file's folder, then, with a warning, in the current directory.

    Raises :class:`SpecError` with every problem of all files at once.
    """
    data, source = load_yaml(path)
    findings = Findings()
    fields = Fields(data, source, findings)
    if not check_header(fields, "stack"):
        findings.raise_errors()
    fields.refuse_unknown(_KEYS)
    name = fields.name()
    provider = read_provider(fields, required="aws")
    region = fields.text("default_region")
    if region and provider:
        check_region(fields, provider, region, "default_region", extra=settings.extra_regions)
    tags = read_tags(fields, "default_tags", provider or "")
    fields.choice("deployment_method", ("kubernetes",))
    options = read_options(fields, now, settings.extra_regions)
    triples = MATRIX.union(known or ())
    reader = ComponentReader(fields, provider, triples, settings.extra_regions)
    stack = Stack(
        name=name,
        provider=cast("Provider", provider),
        source=source,
        region=region,
        tags=tags,
        components=with_project(provider, reader.read(), findings),
        options=options,
    )
    check_together(stack, findings)
    findings.raise_errors()
    return replace(stack, warnings=findings.sorted_warnings())
