"""The code location and job that a run of the command line belongs to, for the UI's links."""

from __future__ import annotations

import sys

from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from mlstacks_dagster.defs import names

__all__ = ["MODULE", "remote_job_origin"]

MODULE = "mlstacks_dagster.definitions"
_REPOSITORY = "__repository__"


def remote_job_origin(job: str) -> RemoteJobOrigin:
    """Return where the UI finds ``job``."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        loadable_target_origin=target, location_name=names.LOCATION
    )
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job)
