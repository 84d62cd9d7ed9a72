"""Values of ``environment_variables`` stay out of plans that Dagster and the ledger keep."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import StateError
from mlstacks_dagster.lifecycle.sealing import seal, unseal
from mlstacks_dagster.settings import Settings
from tests.unit.ledger.helpers import in_processes, make_plan, make_unit

SECRETS = {"AWS_SECRET_ACCESS_KEY": "wJalr-X", "NÄME": 'quote" and \n line', "EMPTY": ""}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", stacks_dir=tmp_path)


def plan_with(*environments: dict[str, str]) -> Plan:
    units = (make_unit(f"unit{n}", environment=env) for n, env in enumerate(environments))
    return make_plan().model_copy(update={"units": tuple(units)})


def test_a_sealed_plan_holds_neither_names_nor_values(settings: Settings) -> None:
    text = seal(plan_with(SECRETS), settings).model_dump_json()
    for name, value in SECRETS.items():
        assert json.dumps(name)[1:-1] not in text
        assert not value or json.dumps(value)[1:-1] not in text


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
@hypothesis_settings(max_examples=50)
def test_unsealing_gives_back_what_was_sealed(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    settings = Settings(home=tmp_path_factory.getbasetemp() / "sealing", stacks_dir=Path("x"))
    if any("\ud800" <= c <= "\udfff" for c in "".join([*environment, *environment.values()])):
        return
    plan = seal(plan_with(environment, {"OTHER": "1"}), settings)
    again = Plan.model_validate_json(plan.model_dump_json())
    assert unseal(again.unit("unit0").environment, settings) == environment
    assert unseal(again.unit("unit1").environment, settings) == {"OTHER": "1"}


def test_the_same_values_get_the_same_reference_and_others_another(settings: Settings) -> None:
    def reference(environment: dict[str, str]) -> dict[str, str]:
        return seal(plan_with(environment), settings).unit("unit0").environment

    assert reference(SECRETS) == reference(dict(reversed(SECRETS.items())))
    assert reference(SECRETS) != reference({**SECRETS, "EMPTY": "no"})


def test_sealing_twice_changes_nothing(settings: Settings) -> None:
    once = seal(plan_with(SECRETS, {}), settings)
    assert seal(once, settings) == once


def test_a_plan_without_values_needs_no_file(settings: Settings) -> None:
    plan = plan_with({}, {})
    assert seal(plan, settings) == plan
    assert not settings.home.exists()


def test_an_unsealed_environment_is_returned_as_it_is(settings: Settings) -> None:
    assert unseal(SECRETS, settings) == SECRETS


def test_everything_sealed_is_readable_by_the_owner_only(settings: Settings) -> None:
    before = os.umask(0)
    try:
        seal(plan_with(SECRETS), settings)
    finally:
        os.umask(before)
    folder = settings.home / "sealed"
    files = list(folder.iterdir())
    assert len(files) == 2
    assert {oct(p.stat().st_mode & 0o777) for p in files} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_a_reference_tells_nothing_to_another_installation(
    settings: Settings, tmp_path: Path
) -> None:
    other = replace(settings, home=tmp_path / "other")
    first, second = (seal(plan_with(SECRETS), s).unit("unit0") for s in (settings, other))
    assert first.environment != second.environment


@pytest.mark.parametrize("content", [None, "{half", "\udcff"])
def test_values_that_can_not_be_read_are_an_error_with_a_remedy(
    settings: Settings, content: str | None
) -> None:
    sealed = seal(plan_with(SECRETS), settings).unit("unit0").environment
    (path,) = (settings.home / "sealed").glob("*.json")
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(StateError, match="deploy from the stack file again") as caught:
        unseal(sealed, settings)
    assert path.name in str(caught.value)


def reference_of(settings: Settings, number: int) -> str:
    return json.dumps(seal(plan_with(SECRETS), settings).unit("unit0").environment)


def test_processes_that_seal_first_at_the_same_time_agree_on_the_key(settings: Settings) -> None:
    assert len(set(in_processes(reference_of, settings))) == 1
    assert sorted(p.suffix for p in (settings.home / "sealed").iterdir()) == ["", ".json"]


def test_the_key_is_never_seen_half_written(settings: Settings) -> None:
    seal(plan_with(SECRETS), settings)
    key = settings.home / "sealed" / "key"
    assert len(key.read_bytes()) >= 32
    assert key.stat().st_nlink == 1
