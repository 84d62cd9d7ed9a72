"""What the handlers beside EC2's share: candidates by the index, what's gone, who may be ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from mlstacks_dagster.sweep.aws.errors import Meaning, meaning
from mlstacks_dagster.sweep.aws.look import Look
from mlstacks_dagster.sweep.aws.names import tag_map
from mlstacks_dagster.sweep.inventory.model import GLOBAL, Item, Ref
from mlstacks_dagster.sweep.marks import has_marks

__all__ = [
    "INDEX_PROOFS",
    "NAMED_PROOFS",
    "NAME_PROOF",
    "Arn",
    "ask",
    "marked",
    "may_be_ours",
    "own_tags",
    "role_refs",
    "split_arn",
    "unless_gone",
]

INDEX_PROOFS = ("T1 our tags, by the tagging index",)
NAME_PROOF = "T4 its name (only reported)"
NAMED_PROOFS = ("T1 our tags, by the tagging index or the name", NAME_PROOF)

_T = TypeVar("_T")


class Arn(NamedTuple):
    """The parts of an ARN that tell things apart."""

    service: str
    region: str
    resource: str


def split_arn(arn: str) -> Arn:
    """Return the parts of an ARN; all empty when it isn't one."""
    parts = arn.split(":", 5)
    return Arn(parts[2], parts[3], parts[5]) if len(parts) == 6 else Arn("", "", "")


def marked(look: Look, service: str, begins: str) -> dict[str, dict[str, str]]:
    """Return the tags of marked things by ARN, whose resource part begins with ``begins``.

    By the tagging index: some may be gone. Raises botocore's errors.
    """
    return {
        arn: own_tags(tags)
        for arn, tags in look.index().items()
        if (parts := split_arn(arn)).service == service and parts.resource.startswith(begins)
    }


def own_tags(tags: Any) -> dict[str, str]:
    """Return tags of any form without AWS's own, which some calls leave out."""
    return {key: value for key, value in tag_map(tags).items() if not key.startswith("aws:")}


def unless_gone(call: Callable[[], _T], codes: Mapping[str, Meaning] | None = None) -> _T | None:
    """Return what ``call`` gives, None when AWS says that the thing doesn't exist.

    ``codes`` are the type's own readings. All other errors are raised.
    """
    try:
        return call()
    except Exception as error:
        if meaning(error, codes) == "gone":
            return None
        raise


def ask(look: Look, service: str, operation: str, **params: Any) -> dict[str, Any] | None:
    """Make one call; None when AWS says that what it is about doesn't exist."""
    return unless_gone(lambda: look.call(service, operation, **params))


def may_be_ours(item: Item) -> bool:
    """Tell whether anything on an item hints at any installation, a cluster or a stack."""
    if item.tags is None or item.clusters or "owner-hint" in item.facts:
        return True
    return has_marks(item.tags)


def role_refs(*arns: str | None) -> tuple[Ref, ...]:
    """Name roles by their ARNs; empty ones are left out."""
    names = dict.fromkeys(arn.rsplit("/", 1)[-1] for arn in arns if arn)
    return tuple(Ref(type="iam:role", region=GLOBAL, id=name) for name in names)
