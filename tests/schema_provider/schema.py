"""The schemas of the provider, and how Terraform wants to be told them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.hcl import Block
from tests.schema_provider.protocol import message

__all__ = ["ADDRESS", "ProviderSchema", "load_schema"]

ADDRESS = "hashicorp/aws"
FILE = Path(__file__).parents[1] / "data" / "aws_provider_schema.json"

_META = {"count", "depends_on", "for_each", "lifecycle", "provider", "provisioner", "connection"}
_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}


@dataclass(frozen=True)
class ProviderSchema:
    """What ``scripts/provider_schema.py`` wrote.

    A block is ``{"attributes": {name: {"type", "required", "optional", "computed"}}, "blocks":
    {name: {"nesting", "min", "max", "block"}}}``; types are cty's, flags that are false are left
    out.
    """

    package: str
    version: str
    provider: dict[str, Any]
    resources: dict[str, dict[str, Any]]
    data_sources: dict[str, dict[str, Any]]

    def taggable(self, resource_type: str) -> bool:
        """Tell whether resources of the type can have tags."""
        return "tags" in self.resources[resource_type].get("attributes", {})

    def strange_names(self, block: Block) -> list[str]:
        """Return the arguments and blocks of a resource that its type doesn't have.

        Terraform itself doesn't look at them, at the top level, when an override file has the
        resource too (hashicorp/terraform#23860).
        """
        known = self.resources[block.labels[0]]
        settable = {
            name
            for name, attribute in known.get("attributes", {}).items()
            if attribute.get("required") or attribute.get("optional")
        }
        settable |= known.get("blocks", {}).keys() | _META
        used = {*block.attributes}
        used |= {b.labels[0] if b.type == "dynamic" else b.type for b in block.blocks}
        return sorted(used - settable)


def load_schema(path: Path = FILE) -> ProviderSchema:
    """Read the file."""
    content = json.loads(path.read_text())
    return ProviderSchema(
        content["package"],
        content["provider_version"],
        content["provider"],
        content["resources"],
        content["data_sources"],
    )


def get_schema_response(schema: ProviderSchema) -> Any:
    """Return the answer to Terraform's first question."""
    named = message("NamedSchema")
    return message("GetSchemaResponse")(
        provider=_schema(schema.provider),
        resource_schemas=[named(key=k, value=_schema(b)) for k, b in schema.resources.items()],
        data_source_schemas=[
            named(key=k, value=_schema(b)) for k, b in schema.data_sources.items()
        ],
    )


def _schema(block: dict[str, Any]) -> Any:
    return message("Schema")(block=_block(block))


def _block(block: dict[str, Any]) -> Any:
    attribute, nested = message("Attribute"), message("NestedBlock")
    return message("Block")(
        attributes=[
            attribute(
                name=name,
                type=json.dumps(a["type"]).encode(),
                required=a.get("required", False),
                optional=a.get("optional", False),
                computed=a.get("computed", False),
            )
            for name, a in block.get("attributes", {}).items()
        ],
        block_types=[
            nested(
                type_name=name,
                block=_block(b["block"]),
                nesting=_NESTING[b["nesting"]],
                min_items=b.get("min", 0),
                max_items=b.get("max", 0),
            )
            for name, b in block.get("blocks", {}).items()
        ],
    )
