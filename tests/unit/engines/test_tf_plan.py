"""Plans, as ``terraform show -json`` tells them."""

import json

import pytest

from mlstacks_dagster.engines.tf_plan import PlanResult, announced_changes, parse_changes
from mlstacks_dagster.errors import CommandError


def change(actions, **more):
    return {
        "address": "aws_x.a",
        "mode": "managed",
        "type": "aws_x",
        "name": "a",
        "change": {"actions": actions, **more},
    }


def parse(*changes):
    return parse_changes(json.dumps({"resource_changes": list(changes)}))


def test_what_changes_is_listed_and_what_does_not_is_left_out():
    (only,) = parse(
        change(["no-op"]),
        {**change(["create"], after={"n": 1}, after_unknown={"id": True}), "index": "k"},
    )
    assert only.is_create
    assert (only.index, only.after, only.after_unknown) == ("k", {"n": 1}, {"id": True})


def test_a_replacement_is_no_create():
    (only,) = parse(change(["delete", "create"], after={}))
    assert not only.is_create


def test_the_paths_of_sensitive_values_are_listed_and_no_value_shows():
    (only,) = parse(
        change(
            ["create"],
            after={"a": "hunter22", "b": [{"c": "hunter22"}]},
            after_sensitive={"a": True, "b": [{"c": True}], "d": False},
        )
    )
    assert set(only.sensitive) == {("a",), ("b", 0, "c")}
    assert "hunter22" not in repr(only)


def test_a_destroyed_resource_has_no_planned_values():
    (only,) = parse(change(["delete"], after=None, after_unknown=False, after_sensitive=False))
    assert (only.after, only.after_unknown, only.sensitive) == ({}, {}, ())


def test_a_plan_without_resources_has_no_changes():
    assert parse_changes("{}") == ()


@pytest.mark.parametrize("text", ["", "[]", '{"resource_changes": [{}]}'])
def test_something_else_is_a_clear_error(text):
    with pytest.raises(CommandError, match="can't be read"):
        parse_changes(text)


def test_the_total_counts_a_replacement_twice():
    assert PlanResult(has_changes=True, add=1, change=2, destroy=1).total == 4


def announced(action, address="aws_x.a", **more):
    resource = {"addr": address, "resource": address, "resource_type": "aws_x"}
    return {"action": action, "resource": {**resource, "resource_name": "a", **more}}


@pytest.mark.parametrize(
    ("action", "actions"),
    [("create", ("create",)), ("replace", ("delete", "create")), ("delete", ("delete",))],
)
def test_an_announced_change_has_its_actions_and_no_values(action, actions):
    (only,) = announced_changes([announced(action, resource_key=0)])
    assert (only.address, only.actions, only.index, only.after) == ("aws_x.a", actions, 0, {})


def test_an_announced_no_op_is_left_out_and_a_data_source_is_told():
    (only,) = announced_changes([announced("noop"), announced("read", "data.aws_x.a")])
    assert only.mode == "data"
