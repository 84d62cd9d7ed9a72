"""Whose a found thing is: in doubt, not ours."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.sweep.find import FINDERS, Found, Wanted, verdict

MARKS = {"mlstacks-install": "i1", "mlstacks-stack": "s1", "mlstacks-component": "cluster"}

moments = st.integers(min_value=0, max_value=2_000_000_000)
kinds = st.sampled_from(sorted(FINDERS))
values = st.sampled_from(["", "i1", "i2", "s1", "s2", "cluster", "network", "x"])
tag_maps = st.dictionaries(
    st.sampled_from([*MARKS, "mlstacks-name", "Name", "team"]), values, max_size=6
)
ages = st.one_of(st.none(), moments)


def judge(
    tags: dict[str, str] | None,
    kind: str = "aws_s3_bucket",
    created: int | None = None,
    inherited: bool = False,
    absent_before: bool = False,
    began_at: int | None = None,
) -> str:
    at = None if created is None else datetime.fromtimestamp(created, UTC)
    found = Found("id", "id", tags, at, inherited)
    return verdict(found, Wanted("a", kind, {}), MARKS, absent_before, began_at)


def test_all_three_marks_make_it_ours_however_old_it_is() -> None:
    assert judge({**MARKS, "team": "x"}, created=1, began_at=10**9) == "ours"


@given(tag_maps, kinds, ages, st.booleans(), st.booleans(), ages)
def test_marks_of_another_installation_or_stack_are_never_ours(
    tags: dict[str, str],
    kind: str,
    created: int | None,
    inherited: bool,
    absent: bool,
    began: int | None,
) -> None:
    for key, other in (("mlstacks-install", "i2"), ("mlstacks-stack", "s2")):
        foreign = {**tags, key: other}
        assert judge(foreign, kind, created, inherited, absent, began) == "foreign"


@given(tag_maps, kinds, moments, st.booleans(), moments)
def test_what_is_older_than_our_beginning_is_never_ours_without_our_marks(
    tags: dict[str, str], kind: str, created: int, absent: bool, began: int
) -> None:
    if created < began - 300 and not MARKS.items() <= tags.items():
        assert judge(tags, kind, created, False, absent, began) == "foreign"


@given(tag_maps, kinds, ages, ages)
def test_without_our_marks_nothing_is_ours_that_was_not_seen_absent(
    tags: dict[str, str], kind: str, created: int | None, began: int | None
) -> None:
    if not MARKS.items() <= tags.items():
        assert judge(tags, kind, created, False, False, began) == "foreign"


@given(kinds, ages, st.booleans(), ages)
def test_tags_that_nobody_can_tell_are_never_ours(
    kind: str, created: int | None, absent: bool, began: int | None
) -> None:
    assert judge(None, kind, created, False, absent, began) == "foreign"


@given(kinds, ages, ages)
def test_a_part_of_an_unmarked_parent_is_never_ours(
    kind: str, created: int | None, began: int | None
) -> None:
    assert judge({}, kind, created, True, True, began) == "foreign"


def test_a_part_of_another_unit_of_our_stack_is_ours() -> None:
    assert judge({**MARKS, "mlstacks-component": "network"}, "aws_route", None, True) == "ours"
    assert judge({**MARKS, "mlstacks-component": "network"}, "aws_route_table") == "foreign"


def test_an_unmarked_thing_seen_absent_before_is_ours_from_five_minutes_before_we_began() -> None:
    assert judge({}, created=700, absent_before=True, began_at=1000) == "ours"
    assert judge({}, created=699, absent_before=True, began_at=1000) == "foreign"
    assert judge({}, created=None, absent_before=True, began_at=1000) == "ours"
    assert judge({}, created=2000, absent_before=True, began_at=None) == "foreign"


def test_an_unmarked_thing_without_a_unique_name_is_never_ours() -> None:
    assert judge({}, "aws_eip", absent_before=True, began_at=1000) == "foreign"


def test_a_half_marked_thing_is_not_ours() -> None:
    half = {"mlstacks-install": "i1", "mlstacks-stack": "s1"}
    assert judge(half, created=2000, absent_before=True, began_at=1000) == "foreign"


def test_empty_marks_of_ours_match_nothing() -> None:
    found = Found("id", "id", {"mlstacks-install": "", "mlstacks-stack": ""})
    empty = dict.fromkeys(MARKS, "")
    want = Wanted("a", "aws_vpc", {})
    assert verdict(found, want, empty, absent_before=False, began_at=None) == "foreign"
