"""Google Cloud's side of sweeps: find projects, list, read again, delete."""

from mlstacks_dagster.sweep.gcp.access import GcpAccess
from mlstacks_dagster.sweep.gcp.calls import ApiError, Caller
from mlstacks_dagster.sweep.gcp.catalog import KINDS
from mlstacks_dagster.sweep.gcp.cloud import GcpCloud
from mlstacks_dagster.sweep.gcp.projects import find_projects

__all__ = ["KINDS", "ApiError", "Caller", "GcpAccess", "GcpCloud", "find_projects"]
