"""All of AWS's types, from the modules of their families."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping

from mlstacks_dagster.sweep.aws.look import Handler
from mlstacks_dagster.sweep.inventory.handlers import Kind

__all__ = ["HANDLERS", "KINDS"]

_FAMILIES = (
    "balancers",
    "buckets",
    "clusters",
    "databases",
    "dns",
    "ec2_compute",
    "ec2_groups",
    "ec2_network",
    "ec2_vpc",
    "events",
    "file_systems",
    "identity",
    "logs",
    "registries",
    "sagemaker",
    "secrets",
)


def _handlers() -> Iterator[Handler]:
    package = __name__.rpartition(".")[0]
    for family in _FAMILIES:
        if importlib.util.find_spec(f"{package}.{family}") is not None:
            yield from importlib.import_module(f"{package}.{family}").HANDLERS


HANDLERS: Mapping[str, Handler] = {handler.kind.type: handler for handler in _handlers()}
"""How each type is listed, read and deleted, by its name."""

KINDS: Mapping[str, Kind] = {name: handler.kind for name, handler in HANDLERS.items()}
"""What is known of each type, by its name."""
