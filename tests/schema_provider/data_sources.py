"""Answers of the data sources whose content our modules build on; others are made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.schema_provider.values import ACCOUNT

__all__ = ["ANSWERS", "CannotAnswerError", "policy_document"]

Config = Mapping[str, Any]


class CannotAnswerError(Exception):
    """The double doesn't know what the provider would answer."""


def policy_document(config: Config) -> dict[str, Any]:
    """Return the policy that ``aws_iam_policy_document`` makes of its blocks.

    Raises :class:`CannotAnswerError` for documents that are put together from others.
    """
    for name in ("override_policy_documents", "source_policy_documents", "override_json"):
        if config.get(name):
            raise CannotAnswerError(f"the schema double doesn't merge {name}")
    document = {
        "Version": config.get("version") or "2012-10-17",
        "Statement": [_statement(statement) for statement in config["statement"] or []],
    }
    return ({"Id": config["policy_id"]} if config.get("policy_id") else {}) | document


def _statement(statement: Config) -> dict[str, Any]:
    rendered: dict[str, Any] = {"Effect": statement["effect"] or "Allow"}
    if statement["sid"]:
        rendered["Sid"] = statement["sid"]
    for source, key in (
        ("actions", "Action"),
        ("not_actions", "NotAction"),
        ("resources", "Resource"),
        ("not_resources", "NotResource"),
    ):
        if statement[source]:
            rendered[key] = _one_or_many(statement[source])
    for source, key in (("principals", "Principal"), ("not_principals", "NotPrincipal")):
        if statement[source]:
            rendered[key] = _principals(statement[source])
    for condition in statement["condition"] or []:
        tests = rendered.setdefault("Condition", {}).setdefault(condition["test"], {})
        tests[condition["variable"]] = _one_or_many(condition["values"])
    return rendered


def _principals(blocks: list[Config]) -> Any:
    if any(block["type"] == "*" for block in blocks):
        return "*"
    by_type: dict[str, list[str]] = {}
    for block in blocks:
        by_type.setdefault(block["type"], []).extend(block["identifiers"])
    return {kind: _one_or_many(names) for kind, names in sorted(by_type.items())}


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else sorted(values)


def _policy(config: Config, _region: str) -> dict[str, Any]:
    document = policy_document(config)
    return {"json": json.dumps(document, indent=2), "minified_json": json.dumps(document)}


def _partition(_config: Config, _region: str) -> dict[str, Any]:
    return {
        "partition": "aws",
        "dns_suffix": "amazonaws.com",
        "reverse_dns_prefix": "com.amazonaws",
    }


def _caller_identity(_config: Config, _region: str) -> dict[str, Any]:
    return {
        "account_id": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/tests",
        "user_id": "AIDAEXAMPLE",
    }


def _availability_zones(_config: Config, region: str) -> dict[str, Any]:
    return {
        "names": [f"{region}{letter}" for letter in "abc"],
        "zone_ids": [f"{region}-az{number}" for number in (1, 2, 3)],
    }


ANSWERS: dict[str, Callable[[Config, str], dict[str, Any]]] = {
    "aws_availability_zones": _availability_zones,
    "aws_caller_identity": _caller_identity,
    "aws_iam_policy_document": _policy,
    "aws_partition": _partition,
}
"""Data source -> configuration, region -> what it computes."""
