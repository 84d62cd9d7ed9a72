"""Stand-ins for the published charts, so that the sandbox can deploy without fetching any."""

from __future__ import annotations

from .mirror import STAND_IN, build_mirror, published_charts, standin_names

__all__ = ["STAND_IN", "build_mirror", "published_charts", "standin_names"]
