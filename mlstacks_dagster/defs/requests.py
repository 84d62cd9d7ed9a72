"""What the command line asks of a launch; made before Dagster is imported.

Dagster takes seconds to import, in which the server for step processes can import it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlstacks_dagster.engines.wiring import Target
from mlstacks_dagster.lifecycle.models import StackEntry

__all__ = ["LaunchRequest"]


@dataclass(frozen=True)
class LaunchRequest:
    """What to run on one stack.

    ``units`` None means all. ``target`` matters for a stack that isn't deployed yet; None means
    what the settings say. A destroy counts as confirmed: the caller has asked.
    """

    kind: Literal["deploy", "destroy", "drift"]
    entry: StackEntry
    units: tuple[str, ...] | None = None
    target: Target | None = None
    replan: bool = False
    reason: str = "manual"
