"""An emulated Kubernetes API: what Helm, kubectl and the Python client need. No pod ever runs."""

from __future__ import annotations

from .context import Options
from .emulator import KubeEmulator
from .faults import Fault

__all__ = ["Fault", "KubeEmulator", "Options"]
