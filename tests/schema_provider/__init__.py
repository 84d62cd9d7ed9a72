"""A test double of AWS's current Terraform provider: the real schemas, and nothing behind them.

Terraform judges our modules by the schemas of ``tests/data/aws_provider_schema.json``: names,
types, what is required, how often a block may come. What only the cloud can tell is made up.
Nothing here emulates AWS: there is no state, no name is taken, no value is refused. Of the
provider's own behaviour only what our checks rest on is done: ``default_tags`` go into
``tags_all``, and policy documents are rendered.
"""

from __future__ import annotations

from tests.schema_provider.schema import ProviderSchema, load_schema
from tests.schema_provider.starting import serving

__all__ = ["ProviderSchema", "load_schema", "serving"]
