"""The code location that workspace.yaml names."""

import dagster as dg

from mlstacks_dagster.defs.component import StackFolder


@dg.definitions
def defs() -> dg.Definitions:
    """Return the assets of all stacks."""
    return dg.build_defs_for_component(StackFolder())
