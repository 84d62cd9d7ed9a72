"""EventBridge rules and SQS queues: how interruptions of instances reach their cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch, owner_hint
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    NAMED_PROOFS,
    ask,
    marked,
    own_tags,
    split_arn,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item

__all__ = ["HANDLERS"]

_PAGE = 100
_QUEUES_PAGE = 1000
_TARGETS_PER_CALL = 100
_BEGINS = "rule/"


def _find_rules(look: Look) -> Iterator[Item]:
    """Yield rules of the default bus whose names begin as ours, and all that are marked.

    A bus with a marked rule is listed once, for what the index has may be gone.
    """
    indexed = {_rule_id(arn): tags for arn, tags in marked(look, "events", _BEGINS).items()}
    named = look.pages("events", "list_rules", "Rules", _PAGE, NamePrefix=look.prefix)
    listed = {_rule_id(raw["Arn"]): raw for raw in named}
    for bus in sorted({i.rpartition("/")[0] for i in indexed if i not in listed}):
        place = {"EventBusName": bus} if bus else {}
        for raw in look.pages("events", "list_rules", "Rules", _PAGE, **place):
            if (identifier := _rule_id(raw["Arn"])) in indexed:
                listed[identifier] = raw
    for identifier, raw in listed.items():
        if identifier in indexed:
            yield _rule(look, identifier, raw, indexed[identifier])
        elif owner_hint(raw["Name"]) and (tags := _rule_tags(look, raw)) is not None:
            yield _rule(look, identifier, raw, tags)


def _read_rules(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for identifier in ids:
        raw = ask(look, "events", "describe_rule", **_named(identifier))
        if raw is not None and (tags := _rule_tags(look, raw)) is not None:
            yield _rule(look, identifier, raw, tags)


def _rule_tags(look: Look, raw: Raw) -> dict[str, str] | None:
    answer = ask(look, "events", "list_tags_for_resource", ResourceARN=raw["Arn"])
    return None if answer is None else own_tags(answer.get("Tags", ()))


def _rule(look: Look, identifier: str, raw: Raw, tags: dict[str, str]) -> Item:
    return look.item(
        "events:rule",
        identifier,
        name=raw["Name"],
        tags=tags,
        facts={
            "arn": raw["Arn"],
            "state": raw.get("State"),
            "managed-by": raw.get("ManagedBy"),
            "description": raw.get("Description"),
        },
    )


def _rule_id(arn: str) -> str:
    """Return ``name`` or ``bus/name``."""
    return split_arn(arn).resource.removeprefix(_BEGINS)


def _named(identifier: str, argument: str = "Name") -> dict[str, str]:
    # A partner's bus has slashes in its own name.
    bus, _, name = identifier.rpartition("/")
    return {argument: name, **({"EventBusName": bus} if bus else {})}


def _delete_rule(look: Look, item: Item) -> str | None:
    """Remove the targets, then the rule; one that a service manages is refused by AWS."""
    place = _named(item.ref.id, "Rule")
    targets = [
        str(target["Id"])
        for target in look.pages("events", "list_targets_by_rule", "Targets", _PAGE, **place)
    ]
    for at in range(0, len(targets), _TARGETS_PER_CALL):
        some = targets[at : at + _TARGETS_PER_CALL]
        answer = look.call("events", "remove_targets", Ids=some, **place)
        if answer.get("FailedEntryCount"):
            return f"{answer['FailedEntryCount']} targets of rule {item.ref.id} stay"
    look.call("events", "delete_rule", **_named(item.ref.id))
    return None


def _find_queues(look: Look) -> Iterator[Item]:
    """Yield listed queues that are marked or have our names; when one was made costs a call."""
    indexed = {split_arn(arn).resource: tags for arn, tags in marked(look, "sqs", "").items()}
    if not indexed and not look.is_home:
        return
    named = {} if indexed else {"QueueNamePrefix": look.prefix}
    for url in look.pages("sqs", "list_queues", "QueueUrls", _QUEUES_PAGE, **named):
        name = str(url).rpartition("/")[2]
        if name in indexed and (found := _attributes_of(look, str(url))) is not None:
            yield _queue(look, name, found, indexed[name])
        elif name not in indexed and owner_hint(name):
            yield from _read_queues(look, [name])


def _read_queues(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        found = _queue_of(look, name)
        tags = None if found is None else ask(look, "sqs", "list_queue_tags", QueueUrl=found["url"])
        if found is not None and tags is not None:
            yield _queue(look, name, found, own_tags(tags.get("Tags", {})))


def _queue_of(look: Look, name: str) -> dict[str, str] | None:
    """Return a queue's URL and attributes, None when it is gone."""
    answer = ask(look, "sqs", "get_queue_url", QueueName=name)
    if answer is None:
        return None
    return _attributes_of(look, str(answer["QueueUrl"]))


def _attributes_of(look: Look, url: str) -> dict[str, str] | None:
    said = ask(look, "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
    return None if said is None else {"url": url, **said.get("Attributes", {})}


def _queue(look: Look, name: str, raw: Mapping[str, str], tags: dict[str, str]) -> Item:
    seconds = raw.get("CreatedTimestamp", "")
    return look.item(
        "sqs:queue",
        name,
        name=name,
        tags=tags,
        created=epoch(float(seconds) * 1000) if seconds else None,
        facts={
            "arn": raw.get("QueueArn"),
            "url": raw["url"],
            "messages": raw.get("ApproximateNumberOfMessages"),
        },
    )


def _delete_queue(look: Look, item: Item) -> str | None:
    look.call("sqs", "delete_queue", QueueUrl=item.facts["url"])
    return None


HANDLERS = (
    Handler(
        Kind(
            "events:rule",
            "EventBridge rule",
            83,
            proofs=("T1 our tags, by the tagging index or the name", NAME_PROOF),
        ),
        _find_rules,
        _delete_rule,
        _read_rules,
    ),
    Handler(
        Kind("sqs:queue", "SQS queue", 84, proofs=NAMED_PROOFS),
        _find_queues,
        _delete_queue,
        _read_queues,
    ),
)
