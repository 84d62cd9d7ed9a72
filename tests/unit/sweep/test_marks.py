"""The ownership marks: legal everywhere, the same at each deploy, on everything."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sweep.marks import mark_value, missing_marks, ownership_marks

MARKS = ownership_marks("i1", "s1", "My Stack", "artifact_store_s3", 1700000000, None, "delete")


@dataclass(frozen=True)
class Change:
    address: str
    type: str = "aws_vpc"
    actions: tuple[str, ...] = ("create",)
    after: dict[str, Any] | None = field(default_factory=dict)


def test_the_marks_of_a_unit() -> None:
    assert MARKS == {
        "mlstacks-install": "i1",
        "mlstacks-stack": "s1",
        "mlstacks-name": "my-stack",
        "mlstacks-component": "artifact_store_s3",
        "mlstacks-created": "1700000000",
        "mlstacks-expires": "never",
        "mlstacks-data": "delete",
        "mlstacks-protect": "false",
    }


def test_expiry_and_protection_are_written_out() -> None:
    marks = ownership_marks("i1", "s1", "n", "c", 1, 99, protect=True)
    assert marks["mlstacks-expires"] == "99"
    assert marks["mlstacks-protect"] == "true"


@given(st.text())
def test_a_value_is_legal_on_every_cloud_and_cleaning_it_again_changes_nothing(text: str) -> None:
    value = mark_value(text)
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)
    assert mark_value(value) == value


@given(st.text(), st.integers(0, 2**33), st.one_of(st.none(), st.integers(0, 2**33)))
def test_keys_and_values_are_legal_as_tags_and_as_labels(
    name: str, created: int, expires: int | None
) -> None:
    for key, value in ownership_marks("i", "s", name, "c", created, expires).items():
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", key)
        assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)


def test_a_resource_with_all_marks_passes() -> None:
    change = Change("a", after={"tags": None, "tags_all": {**MARKS, "Name": "x"}})
    assert missing_marks([change], MARKS) == []


def test_a_created_or_updated_resource_without_marks_is_named_with_what_it_lacks() -> None:
    bare = {"tags_all": {k: v for k, v in MARKS.items() if k != "mlstacks-stack"}}
    changes = [
        Change("new", after=bare),
        Change("old", actions=("update",), after=bare),
        Change("again", actions=("delete", "create"), after=bare),
    ]
    assert missing_marks(changes, MARKS) == [
        f"{name}: lacks mlstacks-stack" for name in ("new", "old", "again")
    ]


def test_marks_of_another_stack_are_named() -> None:
    change = Change("a", after={"tags_all": {**MARKS, "mlstacks-stack": "s2"}})
    assert missing_marks([change], MARKS) == ["a: another value in mlstacks-stack"]


def test_a_resource_may_have_a_data_class_of_its_own() -> None:
    change = Change("a", after={"tags_all": {**MARKS, "mlstacks-data": "retain"}})
    assert missing_marks([change], MARKS) == []


def test_tags_count_when_all_tags_are_not_known_yet() -> None:
    assert missing_marks([Change("a", after={"tags": MARKS})], MARKS) == []
    assert len(missing_marks([Change("a", after={"tags": {"Name": "x"}})], MARKS)) == 1


def test_a_taggable_resource_with_unknown_or_null_tags_is_named() -> None:
    for after in ({"tags": None}, {"tags_all": None}, {"tags_all": {}}):
        assert len(missing_marks([Change("a", after=after)], MARKS)) == 1


def test_what_can_not_be_tagged_or_does_not_change_is_left_alone() -> None:
    changes = [
        Change("route", "aws_route", after={"route_table_id": "rtb-1"}),
        Change("same", actions=("no-op",), after={"tags_all": {}}),
        Change("read", "aws_region", ("read",), {"tags": None}),
        Change("gone", actions=("delete",), after=None),
        Change("group", "aws_autoscaling_group", after={"tags": None}),
    ]
    assert missing_marks(changes, MARKS) == []
