from __future__ import annotations

import itertools
import re

import dagster as dg
import pytest

from mlstacks_dagster.defs import names

STACKS = ["a-b", "a_b", "a.b", "ab", "a__b", "a", "a_", "a-", "cleanup", "a_cleanup", "A-B",
          "invalid_stacks", "x" * 50]  # fmt: skip
UNITS = ["network", "b__c", "b", "c", "cleanup"]


def test_names_are_legal_and_no_two_stacks_share_one() -> None:
    made: list[str] = []
    for stack in STACKS:
        made += [names.group(stack), names.cleanup_group(stack)]
    assert len(made) == len(set(made))
    assert names.INVALID_GROUP not in made
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in made)
    assert len({names.pool(s) for s in STACKS}) == len(STACKS)


def test_op_names_of_any_stack_unit_and_action_differ() -> None:
    actions = (names.DEPLOY_JOB, names.TEARDOWN_JOB, names.DRIFT_JOB)
    made = [names.op_name(*parts) for parts in itertools.product(actions, STACKS, UNITS)]
    assert len(made) == len(set(made))


def test_a_plain_name_stays_readable() -> None:
    assert names.group("demo") == "demo"
    assert names.op_name("deploy", "demo", "network") == "deploy__demo__network"
    assert names.unit_of_op("deploy", "a-b", names.op_name("deploy", "a-b", "x_y")) == "x_y"


@pytest.mark.parametrize("stack", ["demo", "cleanup"])
def test_the_stack_is_found_in_both_kinds_of_keys(stack: str) -> None:
    keys = [names.deploy_key(stack, "u"), names.cleanup_key(stack, "u")]
    assert names.stacks_of(keys) == {stack}
    assert [names.is_cleanup(k) for k in keys] == [False, True]


def test_the_confirmation_is_read_from_a_run_configuration() -> None:
    config = {"resources": {"teardown": {"config": {"confirm": "demo"}}}}
    assert names.confirmed_stack(config) == "demo"
    assert names.confirmed_stack({"resources": {"teardown": None}}) == ""
    assert names.confirmed_stack(None) == ""


def test_an_invalid_stack_has_a_key_of_its_own() -> None:
    assert names.invalid_key("x") == dg.AssetKey(["invalid_stacks", "x"])
