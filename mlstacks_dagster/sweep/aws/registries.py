"""ECR repositories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, owner_hint
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    ask,
    marked,
    own_tags,
    split_arn,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_PAGE = 1000
_BEGINS = "repository/"


def _find(look: Look) -> Iterator[Item]:
    """List all; tags by the index, else by a call for names that look like ours."""
    indexed = {_name(arn): tags for arn, tags in marked(look, "ecr", _BEGINS).items()}
    for raw in look.pages("ecr", "describe_repositories", "repositories", _PAGE):
        name = raw["repositoryName"]
        if name in indexed:
            yield _item(look, raw, indexed[name])
        elif owner_hint(name):
            yield from _asked(look, [raw])


def _read(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "ecr", "describe_repositories", repositoryNames=[name])
        yield from _asked(look, (answer or {}).get("repositories", ()))


def _asked(look: Look, raws: Iterable[Raw]) -> Iterator[Item]:
    for raw in raws:
        answer = ask(look, "ecr", "list_tags_for_resource", resourceArn=raw["repositoryArn"])
        if answer is not None:
            yield _item(look, raw, own_tags(answer.get("tags", ())))


def _item(look: Look, raw: Raw, tags: dict[str, str]) -> Item:
    return look.item(
        "ecr:repository",
        raw["repositoryName"],
        name=raw["repositoryName"],
        tags=tags,
        created=epoch(raw.get("createdAt")),
        facts={"host": raw.get("repositoryUri"), "arn": raw["repositoryArn"]},
    )


def _name(arn: str) -> str:
    return split_arn(arn).resource.removeprefix(_BEGINS)


def _delete(look: Look, item: Item) -> str | None:
    """Delete it with its images: force is ECR's word for that."""
    look.call("ecr", "delete_repository", repositoryName=item.ref.id, force=True)
    return None


HANDLERS = (
    Handler(
        Kind(
            "ecr:repository",
            "ECR repository",
            90,
            data=True,
            proofs=("T1 our tags, by the tagging index or the name", NAME_PROOF),
        ),
        _find,
        _delete,
        _read,
    ),
)
