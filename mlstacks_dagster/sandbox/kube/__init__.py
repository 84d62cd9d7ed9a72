"""An emulated Kubernetes API: what Helm, kubectl and the Python client need. No pod ever runs.

``with KubeEmulator() as kube: kube.kubeconfig(path)`` is a cluster for a test. The names are
loaded when they are first asked for: the sandbox's server starts without any of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import Options
    from .emulator import KubeEmulator
    from .faults import Fault

__all__ = ["Fault", "KubeEmulator", "Options"]

_HOMES = {"Fault": "faults", "KubeEmulator": "emulator", "Options": "context"}


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
