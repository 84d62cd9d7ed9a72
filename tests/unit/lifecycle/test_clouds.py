"""Which account is opened, with whose credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.lifecycle.clouds import (
    AccountSpec,
    account_of,
    home_region_of,
    open_cloud,
    parse_account,
)
from mlstacks_dagster.sweep.aws import connect
from mlstacks_dagster.sweep.gcp import projects
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.ledger.helpers import make_unit

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
SANDBOX = Wiring(target="sandbox", endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize("text", ["aws", "aws:dev", "gcp", "gcp:my-project", "aws:with:colon"])
def test_an_account_is_read_as_it_is_written(text: str) -> None:
    assert str(parse_account(text)) == text


@pytest.mark.parametrize("text", ["", "azure", "AWS", ":dev", "aws-dev", "k3d:x"])
def test_another_provider_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="can be swept"):
        parse_account(text)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Remember how AWS was asked for, in the place of asking it."""
    calls: list[tuple[dict[str, str], dict[str, Any]]] = []

    def remember(wiring: Wiring, environment: Mapping[str, str], **more: Any) -> None:
        calls.append((dict(environment), more))

    monkeypatch.setattr(connect, "connect", remember)
    return calls


def test_without_a_name_the_environment_decides(connected: Any) -> None:
    open_cloud(AccountSpec("aws"), CLOUD, {**KEYS, "AWS_PROFILE": "own"}, home_region="r1")
    ((environment, more),) = connected
    assert environment == {**KEYS, "AWS_PROFILE": "own"}
    assert more == {"home_region": "r1", "regions": (), "clusters": ()}


def test_a_profile_wins_over_keys_in_the_environment(connected: Any) -> None:
    given = {**KEYS, "AWS_PROFILE": "own", "PATH": "/bin"}
    open_cloud(AccountSpec("aws", "dev"), CLOUD, given, home_region="r1", regions=("r2",))
    ((environment, more),) = connected
    assert environment == {"AWS_PROFILE": "dev", "PATH": "/bin"}
    assert more["regions"] == ("r2",)
    assert given["AWS_PROFILE"] == "own"


def test_no_profile_reaches_the_sandbox(connected: Any) -> None:
    open_cloud(AccountSpec("aws", "dev"), SANDBOX, KEYS, home_region="r1")
    assert connected[0][0] == KEYS


def test_a_google_project_is_needed_and_not_in_the_sandbox() -> None:
    with pytest.raises(InputError, match="no Google project is named"):
        open_cloud(AccountSpec("gcp"), CLOUD, {}, home_region="")
    with pytest.raises(InputError, match="sandbox has no Google project"):
        open_cloud(AccountSpec("gcp", "p"), SANDBOX, {}, home_region="")


def found_projects(*names: str) -> Any:
    def find(_access: Any, *, only: Sequence[str], regions: Sequence[str]) -> tuple[Scope, ...]:
        return tuple(
            Scope(provider="gcp", account=name, regions=tuple(regions))
            for name in names
            if name in only
        )

    return find


@pytest.mark.parametrize(
    ("account", "environment"),
    [
        (AccountSpec("gcp", "p"), {"GOOGLE_CLOUD_PROJECT": "other"}),
        (AccountSpec("gcp"), {"GOOGLE_CLOUD_PROJECT": "p"}),
    ],
)
def test_a_google_project_is_opened_by_name_or_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, account: AccountSpec, environment: dict[str, str]
) -> None:
    monkeypatch.setattr(projects, "find_projects", found_projects("p", "other"))
    here = ClusterFact(account="", region="europe-west1", name="ml-x")
    there = ClusterFact(account="elsewhere", region="europe-west1", name="ml-y")
    cloud = open_cloud(
        account, CLOUD, environment, home_region="", regions=("r1",), clusters=[here, there]
    )
    assert (cloud.scope.account, cloud.scope.regions) == ("p", ("r1",))
    assert [fact.name for fact in cloud._facts] == ["ml-x"]  # type: ignore[attr-defined]


def test_a_google_project_that_can_not_be_seen_is_bad_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projects, "find_projects", found_projects("other"))
    with pytest.raises(InputError, match="no Google project 'p'"):
        open_cloud(AccountSpec("gcp", "p"), CLOUD, {}, home_region="")


def test_a_unit_works_in_the_account_of_its_module() -> None:
    unit = make_unit("network", variables={"project_id": "p"})

    def of(**definition: str) -> AccountSpec | None:
        changed = unit.definition.model_copy(update=definition)
        return account_of(unit.model_copy(update={"definition": changed}))

    assert of() == AccountSpec("aws")
    assert of(provider="gcp") == AccountSpec("gcp", "p")
    assert of(provider="k3d") is None
    assert of(engine="helm") is None


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "b"}, "b"),
        ({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, "a"),
        ({"AWS_REGION": ""}, "us-east-1"),
    ],
)
def test_the_home_region_is_found_as_aws_tools_find_it(
    environment: dict[str, str], region: str
) -> None:
    assert home_region_of(environment) == region
