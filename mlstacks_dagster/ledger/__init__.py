"""The ledger: what we created, recorded before it is created.

:class:`Ledger` is the way in; the values that it takes and gives are re-exported here.
"""

from mlstacks_dagster.ledger.records import (
    Installation,
    Kind,
    Operation,
    Outcome,
    PlannedItem,
    ResourceItem,
    ResourceRecord,
    StackRecord,
    Target,
    UnitRecord,
)
from mlstacks_dagster.ledger.store import Ledger

__all__ = [
    "Installation",
    "Kind",
    "Ledger",
    "Operation",
    "Outcome",
    "PlannedItem",
    "ResourceItem",
    "ResourceRecord",
    "StackRecord",
    "Target",
    "UnitRecord",
]
