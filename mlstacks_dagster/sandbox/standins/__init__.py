"""Stand-ins for the published charts, so that the sandbox can deploy without fetching any."""

from __future__ import annotations

from .definitions import DEFINITIONS
from .mirror import STAND_IN, build_mirror, published_charts, standin_names

__all__ = ["DEFINITIONS", "STAND_IN", "build_mirror", "published_charts", "standin_names"]
