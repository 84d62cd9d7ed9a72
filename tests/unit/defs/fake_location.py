"""A code location over the fake lifecycle, for runs in real processes."""

import dagster as dg

from mlstacks_dagster.defs.component import StackFolder


@dg.definitions
def defs() -> dg.Definitions:
    return dg.build_defs_for_component(StackFolder(lifecycle="fake_lifecycle"))
