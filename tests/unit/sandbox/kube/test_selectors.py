"""Label and field selectors choose what Kubernetes' own choose."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sandbox.kube.errors import ApiError
from mlstacks_dagster.sandbox.kube.selectors import label_selector_of, parse_selectors

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=other", False),
        ("app!=other", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("missing", False),
        ("app in (web, other)", True),
        ("app in (other)", False),
        ("app notin (other)", True),
        ("app notin (web)", False),
        ("missing notin (web)", True),
        ("empty=", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (a,web),tier notin (back,side)", True),
    ],
)
def test_a_label_selector_selects(text: str, selected: bool) -> None:
    assert parse_selectors(text, None)({"metadata": {"labels": LABELS}}) is selected


def test_an_object_without_labels_matches_only_what_asks_for_none() -> None:
    assert parse_selectors("!app", None)({"metadata": {}})
    assert not parse_selectors("app", None)({"metadata": {}})


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("metadata.name=a", True),
        ("metadata.name==a", True),
        ("metadata.name!=a", False),
        ("metadata.name=a,status.phase=Running", True),
        ("status.phase!=Running", False),
        ("spec.unschedulable=false", True),
        ("status.missing=", True),
        ("status.missing=x", False),
    ],
)
def test_a_field_selector_selects(text: str, selected: bool) -> None:
    obj = {
        "metadata": {"name": "a"},
        "status": {"phase": "Running"},
        "spec": {"unschedulable": False},
    }
    assert parse_selectors(None, text)(obj) is selected


@pytest.mark.parametrize("text", ["a in b", "a=b=c", "a in (b", "=b", "a b"])
def test_a_malformed_label_selector_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_selectors(text, None)
    assert caught.value.code == 400


@pytest.mark.parametrize("text", ["metadata.name", "a b=c"])
def test_a_malformed_field_selector_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_selectors(None, text)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_label_selector_object_selects(selector: Any, selected: bool) -> None:
    assert label_selector_of(selector)(LABELS) is selected


_NAMES = st.from_regex(r"[a-z]{1,4}", fullmatch=True)


@given(key=_NAMES, values=st.lists(_NAMES, min_size=1), labels=st.dictionaries(_NAMES, _NAMES))
def test_in_and_notin_are_opposites(key: str, values: list[str], labels: dict[str, str]) -> None:
    listed = ", ".join(values)
    obj = {"metadata": {"labels": labels}}
    inside = parse_selectors(f"{key} in ({listed})", None)(obj)
    assert inside is (labels.get(key) in values)
    assert parse_selectors(f"{key} notin ({listed})", None)(obj) is not inside
