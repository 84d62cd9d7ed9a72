"""Tags and environment variables: what a user may set, and what would be refused or harmful."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from mlstacks_dagster.spec.environment import refusal
from mlstacks_dagster.spec.fields import Fields

__all__ = [
    "MAX_USER_TAGS",
    "MAX_VALUE_BYTES",
    "RESERVED_TAG_PREFIX",
    "read_environment",
    "read_tags",
    "same_but_for_case",
    "tag_limit",
]

RESERVED_TAG_PREFIX = "mlstacks-"
_OWNERSHIP_MARKS = 8
_MODULE_TAGS = 45  # what our modules take of the 50 that AWS allows; they add some of their own
MAX_USER_TAGS = _MODULE_TAGS - _OWNERSHIP_MARKS
MAX_VALUE_BYTES = 32 * 1024  # Linux takes 128 KiB for one variable, name included

_OUR_TAG = "Name"
_ONE_CASE = "IAM takes the two for one key: keep one of them"

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_environment(fields: Fields) -> dict[str, str]:
    """Return ``environment_variables``; problems go to the findings of ``fields``."""
    variables = fields.text_map("environment_variables")
    at = "environment_variables"
    for name, value in variables.items():
        if not _ENVIRONMENT_NAME.fullmatch(name):
            fields.error(
                f"{name!r} can't be the name of an environment variable",
                at,
                name,
                remedy="use letters, digits and _, no digit first",
            )
        elif reason := refusal(name):
            fields.error(f"environment variable {name}: {reason}", at, name, remedy="remove it")
        if "\0" in value:
            fields.error(f"{name} holds a NUL character", at, name, remedy="remove the character")
        elif len(value.encode()) > MAX_VALUE_BYTES:
            fields.error(
                f"the value of {name[:140]} is longer than {MAX_VALUE_BYTES // 1024} KiB",
                at,
                name,
                remedy="an environment variable takes no more: keep it in a file and name the file",
            )
    return variables


def read_tags(fields: Fields, key: str, provider: str) -> dict[str, str]:
    """Return the tags at ``key``; problems go to the findings of ``fields``.

    Only AWS's rules of characters and lengths are checked: labels of other clouds are made
    from the tags later.
    """
    tags = fields.text_map(key)
    for name, value in tags.items():
        if name.casefold().startswith(RESERVED_TAG_PREFIX):
            fields.error(
                f"tag {name!r}: keys that begin with {RESERVED_TAG_PREFIX} are the ownership marks",
                key,
                name,
                remedy="use another key",
            )
        elif provider == "aws" and (rule := _aws_tag_rule(name, value)):
            fields.error(f"tag {name[:140]!r} would be refused by AWS", key, name, remedy=rule)
    if provider == "aws" and (rule := tag_limit(tags)):
        fields.error(f"{len(tags)} tags in {key}", key, remedy=rule)
    if provider == "aws":
        for name, other in same_but_for_case(tags):
            message = f"tag {name[:140]!r} differs from {other[:140]!r} in case only"
            fields.error(message, key, name, remedy=_ONE_CASE)
    return tags


def same_but_for_case(tags: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that IAM takes for an earlier one, or for our own ``Name``, and that one."""
    seen = {_OUR_TAG.lower(): _OUR_TAG}
    for name in tags:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            yield name, first


def tag_limit(tags: Mapping[str, str]) -> str | None:
    """Return the rule when ``tags`` are more than AWS allows next to the ownership marks."""
    if len(tags) <= MAX_USER_TAGS:
        return None
    return (
        f"use at most {MAX_USER_TAGS}: AWS allows 50, of which {_OWNERSHIP_MARKS} are the"
        f" ownership marks and {50 - _MODULE_TAGS} are kept for what a unit adds"
    )


def _aws_tag_rule(key: str, value: str) -> str | None:
    if not 1 <= len(key) <= 128:
        return "a tag's key has 1 to 128 characters"
    if len(value) > 256:
        return "a tag's value has at most 256 characters"
    if key.casefold().startswith("aws:"):
        return "keys that begin with aws: belong to AWS"
    if not all(_allowed(c) for c in key + value):
        return "tags have only letters, digits, spaces and _ . : / = + - @"
    return None


def _allowed(char: str) -> bool:
    return char in "_.:/=+-@" or unicodedata.category(char)[0] in "LNZ"
