"""The accounts in which no sweep may delete: a list of words kept out of their names."""

from __future__ import annotations

from collections.abc import Collection

from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.sweep.inventory.model import Scope

__all__ = ["refuse_protected_account"]


def refuse_protected_account(scope: Scope, words: Collection[str]) -> None:
    """Raise :class:`RefusedError` when the account's alias or id has one of ``words`` in it.

    So too, while there are words, for an AWS account whose alias isn't known: its number says
    nothing of what it is for.
    """
    if not words:
        return
    where = f"{scope.provider} {scope.alias or scope.account}"
    if scope.provider == "aws" and not scope.alias:
        raise RefusedError(
            f"{where} has no alias that can be read, so it may be one of MLSTACKS_SWEEP_PROTECTED",
            remedy="give the account an alias, and the role iam:ListAccountAliases",
        )
    names = f"{scope.alias} {scope.account}".lower()
    if found := [word for word in words if word.lower() in names]:
        raise RefusedError(
            f"no sweep deletes in {where}: MLSTACKS_SWEEP_PROTECTED has {found[0]!r}",
            remedy="delete by hand what is left there, or take the word out of the setting",
        )
