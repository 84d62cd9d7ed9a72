"""Log groups, which the control plane makes again for a while after its cluster is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    ask,
    marked,
    may_be_ours,
    own_tags,
    split_arn,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.marks import STACK

__all__ = ["HANDLERS"]

_PAGE = 50
_BEGINS = "log-group:"
_ENDPOINTS = "/aws/sagemaker/Endpoints/"
_USD_PER_BYTE = 0.03 / 1024**3


def _find(look: Look) -> Iterator[Item]:
    """List what has our prefix anywhere in its name, and what the index says is marked."""
    indexed = {_name(arn): tags for arn, tags in marked(look, "logs", _BEGINS).items()}
    listed = look.pages(
        "logs", "describe_log_groups", "logGroups", _PAGE, logGroupNamePattern=look.prefix
    )
    for raw in listed:
        name = raw["logGroupName"]
        if name in indexed:
            yield _item(look, raw, indexed.pop(name))
        elif may_be_ours(_item(look, raw, {})) and (item := _asked(look, raw)) is not None:
            yield item
    for name, tags in indexed.items():
        for raw in _named(look, name):
            yield _item(look, raw, tags)
    yield from _of_endpoints(look, indexed)


def _of_endpoints(look: Look, known: Mapping[str, object]) -> Iterator[Item]:
    """List the log groups of marked endpoints with names of people's own choice.

    Such a group is told by its name alone, which is SageMaker's: it is said, not deleted.
    """
    endpoints = {
        arn.rpartition("/")[2]: tags for arn, tags in marked(look, "sagemaker", "endpoint/").items()
    }
    if not endpoints:
        return
    for raw in _beginning(look, _ENDPOINTS):
        name = raw["logGroupName"]
        # ARNs of endpoints are in lower case.
        tags = endpoints.get(name.removeprefix(_ENDPOINTS).lower())
        if tags is None or name in known or look.prefix in name:
            continue
        if (item := _asked(look, raw)) is not None:
            hint = look.prefix + tags.get(STACK, "")
            yield item.model_copy(update={"facts": {**item.facts, "owner-hint": hint}})


def _asked(look: Look, raw: Raw) -> Item | None:
    tags = _tags(look, raw)
    return None if tags is None else _item(look, raw, tags)


def _read(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        for raw in _named(look, name):
            if (item := _asked(look, raw)) is not None:
                yield item


def _named(look: Look, name: str) -> Iterator[Raw]:
    return (raw for raw in _beginning(look, name) if raw["logGroupName"] == name)


def _beginning(look: Look, name: str) -> Iterator[Raw]:
    return look.pages("logs", "describe_log_groups", "logGroups", _PAGE, logGroupNamePrefix=name)


def _tags(look: Look, raw: Raw) -> dict[str, str] | None:
    answer = ask(look, "logs", "list_tags_for_resource", resourceArn=_arn(raw))
    return None if answer is None else own_tags(answer.get("tags", {}))


def _item(look: Look, raw: Raw, tags: Mapping[str, str]) -> Item:
    name = raw["logGroupName"]
    return look.item(
        "logs:log-group",
        name,
        name=name,
        tags=tags,
        created=epoch(raw.get("creationTime")),
        texts=[name],
        facts={"bytes": raw.get("storedBytes"), "arn": _arn(raw)},
    )


def _arn(raw: Raw) -> str:
    return str(raw.get("logGroupArn") or raw["arn"]).removesuffix(":*")


def _name(arn: str) -> str:
    return split_arn(arn).resource.removeprefix(_BEGINS).removesuffix(":*")


def _delete(look: Look, item: Item) -> str | None:
    look.call("logs", "delete_log_group", logGroupName=item.ref.id)
    return None


HANDLERS = (
    Handler(
        Kind(
            "logs:log-group",
            "CloudWatch log group",
            85,
            usd_per_month=lambda item: float(item.facts.get("bytes", "0")) * _USD_PER_BYTE,
            proofs=("T1 our tags, by the tagging index", "T2 its cluster's name", NAME_PROOF),
            reborn=True,
        ),
        _find,
        _delete,
        _read,
    ),
)
