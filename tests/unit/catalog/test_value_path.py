from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.catalog.value_path import ABSENT, get_value, set_value, split_path

KEYS = st.lists(st.text("abc./-\\", min_size=1, max_size=6), min_size=1, max_size=4)


def written(keys: list[str]) -> str:
    return ".".join(key.replace(".", "\\.") for key in keys)


@given(KEYS.filter(lambda keys: not any(key.endswith("\\") or "\\." in key for key in keys)))
def test_a_path_names_its_keys(keys: list[str]) -> None:
    assert split_path(written(keys)) == tuple(keys)


@pytest.mark.parametrize("path", ["", "a..b", ".a", "a."])
def test_an_empty_key_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="empty key"):
        split_path(path)


def test_what_is_set_is_got_and_leaves_the_rest() -> None:
    values: dict[str, Any] = {"a": {"kept": 1}}
    set_value(values, r"a.eks\.amazonaws\.com/role-arn", "arn")
    assert values == {"a": {"kept": 1, "eks.amazonaws.com/role-arn": "arn"}}
    assert get_value(values, r"a.eks\.amazonaws\.com/role-arn") == "arn"
    assert get_value(values, "a.other") is ABSENT
    assert get_value(values, "a.kept.deeper") is ABSENT


def test_a_text_in_the_way_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="no mapping"):
        set_value({"a": "text"}, "a.b", 1)
