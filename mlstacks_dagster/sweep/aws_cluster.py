"""What AWS says of an EKS cluster."""

from __future__ import annotations

from mlstacks_dagster.sweep.aws_session import aws_calls, client_error, error_code
from mlstacks_dagster.sweep.contracts import FindContext

__all__ = ["cluster_runs"]


def cluster_runs(name: str, context: FindContext) -> bool:
    """Tell whether the cluster is there and isn't being deleted.

    Raises :class:`~mlstacks_dagster.errors.MlstacksError` when AWS doesn't say.
    """
    with aws_calls(f"looking for the cluster {name}", context.region):
        try:
            found = context.client("eks").describe_cluster(name=name)
        except client_error() as error:
            if error_code(error) == "ResourceNotFoundException":
                return False
            raise
    return bool(found["cluster"].get("status") != "DELETING")
