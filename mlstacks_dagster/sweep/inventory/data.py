"""Whether an item holds users' data, and what its stack says becomes of that. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from mlstacks_dagster.sweep.inventory.claims import Context, claim_of
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.inventory.verdict import Knowledge
from mlstacks_dagster.sweep.marks import DATA

__all__ = ["RETAINED", "data_classes", "is_data"]

RETAINED = frozenset({"retain", "snapshot"})
"""The values that say to keep it, whatever a policy says."""


def is_data(item: Item, kinds: Mapping[str, Kind]) -> bool:
    """Tell whether an item holds users' data; a type that isn't known does."""
    kind = kinds.get(item.ref.type)
    return kind is None or kind.data or (item.tags or {}).get(DATA) in RETAINED


def data_classes(item: Item, stack_id: str, knowledge: Knowledge, context: Context) -> set[str]:
    """Return what an item of a stack says of its data, or else what all that contains it says.

    A container that wasn't seen, or isn't provably the same stack's, adds an empty text.
    """
    if own := (item.tags or {}).get(DATA):
        return {own}
    said = set()
    for ref in item.inside:
        word, container = "", context.items.get(ref)
        if container is not None:
            claim = claim_of(container, knowledge, context)
            if claim.whose == "ours" and claim.stack_id == stack_id:
                word = (container.tags or {}).get(DATA, "")
        said.add(word)
    return said
