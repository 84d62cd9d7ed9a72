"""What a session works with: an engine, cloud clients, clocks. Tests give others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlstacks_dagster.engines.exposure import Probe, ask
from mlstacks_dagster.engines.helm import HelmEngine
from mlstacks_dagster.engines.helm_tools import find_helm
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.terraform import (
    OutputValue,
    PlanResult,
    StateResource,
    TerraformEngine,
)
from mlstacks_dagster.engines.tf_events import OnEvent
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.aws_session import aws_client
from mlstacks_dagster.sweep.contracts import ClientFactory

__all__ = ["Engine", "Tools", "helm_engine", "terraform_engine"]

_STATE_LOCK_SECONDS = 60


class Engine(Protocol):
    """What the lifecycle asks of an engine; :class:`TerraformEngine` says what each does."""

    @property
    def seconds(self) -> float:
        """What the engine's processes took, in seconds."""

    @property
    def tool_name(self) -> str:
        """The tool and its version, for people."""

    def stage(self, request: UnitRequest, on_event: OnEvent = ...) -> Workspace:
        """Stage a private copy of the module."""

    def init(self, workspace: Workspace, on_event: OnEvent = ...) -> bool:
        """Make the staged module ready."""

    def plan(
        self,
        workspace: Workspace,
        *,
        destroy: bool = ...,
        imports: Mapping[str, str] | None = ...,
        only_imports: bool = ...,
        on_event: OnEvent = ...,
    ) -> PlanResult:
        """Make and save a plan."""

    def drift(self, workspace: Workspace, on_event: OnEvent = ...) -> PlanResult:
        """Tell how the cloud differs from what was applied."""

    def apply(self, workspace: Workspace, plan: PlanResult, on_event: OnEvent = ...) -> object:
        """Apply a saved plan."""

    def outputs(self, workspace: Workspace) -> dict[str, OutputValue]:
        """Return the outputs in the state."""

    def resources(self, workspace: Workspace) -> Sequence[StateResource]:
        """Return the managed resources in the state."""


def terraform_engine(settings: Settings) -> Engine:
    """Return the Terraform engine, with its tool found; raises :class:`ToolNotFoundError`.

    For somebody else's state lock it waits a minute, or ``MLSTACKS_LOCK_TIMEOUT`` if that is less.
    """
    patience = int(min(_STATE_LOCK_SECONDS, settings.lock_timeout))
    return TerraformEngine(
        find_terraform(settings), ProcessRunner(), settings, lock_timeout=patience
    )


def helm_engine(settings: Settings) -> HelmEngine:
    """Return the Helm engine, with its tool found; raises :class:`ToolNotFoundError`."""
    return HelmEngine(find_helm(settings), ProcessRunner(), settings)


@dataclass(frozen=True)
class Tools:
    """What sessions are made with.

    ``engine`` makes an engine when one is needed, ``helm`` Helm's; ``kube`` makes a client from
    a kubeconfig, its context and an environment; ``client`` makes the finders' and emptiers'
    clients; ``probe`` asks an endpoint; ``clock`` counts seconds from anywhere, ``sleep`` waits
    some.
    """

    engine: Callable[[Settings], Engine] = terraform_engine
    helm: Callable[[Settings], HelmEngine] = helm_engine
    kube: Callable[[Path, str, Mapping[str, str]], KubeClient] = KubeClient
    client: ClientFactory = aws_client
    probe: Probe = ask
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
