"""Which AWS account credentials belong to."""

from __future__ import annotations

from mlstacks_dagster.sweep.aws_session import aws_calls
from mlstacks_dagster.sweep.contracts import FindContext

__all__ = ["account_of_credentials"]


def account_of_credentials(context: FindContext) -> str:
    """Return the id of the account, as STS says it; that needs no permission.

    Raises :class:`~mlstacks_dagster.errors.MlstacksError` when AWS doesn't say, for one because
    there are no credentials.
    """
    with aws_calls("asking whose credentials these are", context.region):
        return str(context.client("sts").get_caller_identity()["Account"])
