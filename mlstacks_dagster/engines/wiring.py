"""How a unit's tools reach the cloud: the real one, or an emulator.

A wiring is data. The cloud's is empty; the sandbox writes its own to a file, and everything
between (staging, boto3 clients) only reads it, so no other room needs to know the sandbox.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlstacks_dagster.errors import SandboxError

__all__ = ["CLOUD", "ProviderOverride", "Wiring", "load_wiring"]

Target = Literal["cloud", "sandbox"]


class ProviderOverride(BaseModel):
    """What staging changes in a module that uses one provider.

    ``override`` is the content of an override file (Terraform's JSON syntax); ``exclude_files``
    are files of the module that the staged copy leaves out.
    """

    model_config = ConfigDict(frozen=True)

    override: dict[str, Any] = Field(default_factory=dict)
    exclude_files: tuple[str, ...] = ()


class Wiring(BaseModel):
    """Where a unit's tools find the cloud.

    ``instance_id`` tells one run of an emulator from the next; None for the cloud.
    ``environment`` is added to the tool's environment and used for our own SDK clients;
    ``endpoint_url`` is set for an emulator only; ``provider_mirror`` is a filesystem mirror
    that Terraform installs from, without asking a registry; ``chart_mirror`` is a folder of
    charts that is used unless the settings name one; ``backend_s3`` is merged into the S3
    backend's settings.
    """

    model_config = ConfigDict(frozen=True)

    target: Target = "cloud"
    instance_id: str | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    endpoint_url: str | None = None
    providers: dict[str, ProviderOverride] = Field(default_factory=dict)
    provider_mirror: Path | None = None
    chart_mirror: Path | None = None
    backend_s3: dict[str, Any] = Field(default_factory=dict)


CLOUD = Wiring()


def load_wiring(target: Target, sandbox_dir: Path) -> Wiring:
    """Return the wiring of ``target``; the sandbox's is read from ``sandbox_dir/wiring.json``.

    Raises :class:`SandboxError` when the sandbox was never started.
    """
    if target == "cloud":
        return CLOUD
    path = sandbox_dir / "wiring.json"
    try:
        return Wiring.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise SandboxError(
            "the sandbox is not running", remedy="start it: mlstacks-dagster sandbox start"
        ) from None
