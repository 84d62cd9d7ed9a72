"""What a unit is fed with, and the hash that decides whether there is anything to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlstacks_dagster.catalog.models import Provision, Requirement
from mlstacks_dagster.engines.wiring import ProviderOverride, Wiring
from mlstacks_dagster.lifecycle.inputs import (
    backend,
    hard_requirements,
    input_hash,
    module_digest,
    tags_and_marks,
)
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StateLocation
from tests.unit.ledger.helpers import make_plan, make_unit
from tests.unit.lifecycle.test_export import stack

SETTINGS = Settings(home=Path("/home/x"), stacks_dir=Path("/stacks"))
STACK = stack()
NETWORK = make_unit("network")

# What Terraform's JSON can hold.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
VARIABLES = st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=4)


def hash_of(
    digest: str = "d",
    values: dict[str, Any] | None = None,
    block: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    wiring: Wiring | None = None,
) -> str:
    unit = NETWORK.model_copy(update={"environment": environment or {}})
    return input_hash(
        digest, values or {}, block or {"local": {"path": "p"}}, unit, wiring or Wiring()
    )


def canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True)


@given(VARIABLES, VARIABLES)
@hypothesis_settings(max_examples=60)
def test_the_hash_differs_exactly_when_the_variables_do(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    same = canonical(first) == canonical(second)
    assert (hash_of(values=first) == hash_of(values=second)) is same


@given(VARIABLES)
@hypothesis_settings(max_examples=40)
def test_the_hash_does_not_depend_on_the_order_of_keys(values: dict[str, Any]) -> None:
    assert hash_of(values=dict(reversed(values.items()))) == hash_of(values=values)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "e"},
        {"values": {"a": 1}},
        {"block": {"local": {"path": "q"}}},
        {"environment": {"A": "1"}},
        {"wiring": Wiring(target="sandbox")},
        {"wiring": Wiring(providers={"aws": ProviderOverride(exclude_files=("a.tf",))})},
        {"wiring": Wiring(providers={"aws": ProviderOverride(override={"a": 1})})},
    ],
)
def test_everything_that_decides_what_an_apply_does_is_in_the_hash(change: dict[str, Any]) -> None:
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize(
    "wiring",
    [
        Wiring(instance_id="other"),
        Wiring(endpoint_url="http://127.0.0.1:1"),
        Wiring(provider_mirror=Path("/elsewhere")),
        Wiring(environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}),
    ],
)
def test_where_an_emulator_happens_to_listen_is_not_in_the_hash(wiring: Wiring) -> None:
    assert hash_of(wiring=wiring) == hash_of()


def with_state(**state: Any) -> Any:
    return replace(STACK, state=StateLocation(**state))


def test_a_local_state_lies_in_the_home_folder() -> None:
    assert backend(SETTINGS, STACK, NETWORK, Wiring()) == {
        "local": {"path": f"/home/x/state/{STACK.stack_id}/network/terraform.tfstate"}
    }


@pytest.mark.parametrize(
    ("prefix", "key"), [("", ""), ("team", "team/"), ("/team/ml/", "team/ml/")]
)
def test_a_state_in_s3_has_a_key_of_its_own_a_lock_and_encryption(prefix: str, key: str) -> None:
    wiring = Wiring(backend_s3={"use_path_style": True})
    found = backend(SETTINGS, with_state(kind="s3", bucket="b", prefix=prefix), NETWORK, wiring)
    assert found == {
        "s3": {
            "bucket": "b",
            "key": f"{key}{STACK.stack_id}/network/terraform.tfstate",
            "region": STACK.region,
            "encrypt": True,
            "use_lockfile": True,
            "use_path_style": True,
        }
    }


def test_a_state_bucket_may_have_a_region_of_its_own() -> None:
    found = backend(SETTINGS, with_state(kind="s3", bucket="b", region="r"), NETWORK, Wiring())
    assert found["s3"]["region"] == "r"


def test_a_state_in_gcs_has_a_prefix_of_its_own() -> None:
    state = with_state(kind="gcs", bucket="b", prefix="p")
    assert backend(SETTINGS, state, NETWORK, Wiring(backend_s3={"x": 1})) == {
        "gcs": {"bucket": "b", "prefix": f"p/{STACK.stack_id}/network"}
    }


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    (folder / "sub").mkdir(parents=True)
    (folder / "main.tf").write_text("# main")
    (folder / "sub" / "x.tf").write_text("# x")
    return folder


def test_the_digest_ignores_what_terraform_does_not_read(module: Path) -> None:
    before = module_digest(module)
    (module / "README.md").write_text("words")
    (module / ".terraform.lock.hcl").write_text("locks")
    (module / ".terraform" / "providers").mkdir(parents=True)
    (module / ".terraform" / "providers" / "big").write_text("bytes")
    (module / "empty").mkdir()
    assert module_digest(module) == before


def test_the_digest_does_not_depend_on_where_the_module_lies(module: Path, tmp_path: Path) -> None:
    before = module_digest(module)
    assert module_digest(module.rename(tmp_path / "elsewhere")) == before


@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename", "move a byte"])
def test_the_digest_sees_every_change(module: Path, change: str) -> None:
    before = module_digest(module)
    main, inner = module / "main.tf", module / "sub" / "x.tf"
    if change == "edit":
        main.write_text("# Main")
    elif change == "add":
        (module / "b.tf").write_text("")
    elif change == "remove":
        inner.unlink()
    elif change == "rename":
        inner.rename(module / "sub" / "y.tf")
    else:
        main.write_text("# mai")
        inner.write_text("n# x")
    assert module_digest(module) != before


@given(
    first=st.dictionaries(st.sampled_from(["a.tf", "b.tf", "c/a.tf"]), st.binary(max_size=4)),
    second=st.dictionaries(st.sampled_from(["a.tf", "b.tf", "c/a.tf"]), st.binary(max_size=4)),
)
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_modules_have_one_digest_exactly_when_their_files_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    def digest(files: dict[str, bytes]) -> str:
        folder = tmp_path_factory.mktemp("module")
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        return module_digest(folder)

    assert (digest(first) == digest(second)) is (first == second)


def test_what_a_unit_only_comes_after_is_no_hard_requirement() -> None:
    plan = make_plan("demo", "network", "cluster", "tracker")
    network, cluster, tracker = plan.units
    units = (
        provides(network, "network"),
        provides(cluster, "kubernetes"),
        tracker.model_copy(
            update={
                "definition": tracker.definition.model_copy(
                    update={
                        "requires": (Requirement(capability="kubernetes"),),
                        "after": (Requirement(capability="network"),),
                    }
                ),
                "depends_on": ("network", "cluster"),
            }
        ),
    )
    plan = plan.model_copy(update={"units": units})
    assert hard_requirements(plan, plan.unit("tracker")) == ("cluster",)
    assert hard_requirements(plan, plan.unit("cluster")) == ()


def provides(unit: Any, capability: str) -> Any:
    provision = (Provision(capability=capability),)
    definition = unit.definition.model_copy(update={"provides": provision})
    return unit.model_copy(update={"definition": definition})


def test_marks_win_over_tags_of_the_same_name_and_stay_the_same() -> None:
    unit = make_unit("network", tags={"mlstacks-stack": "mine", "team": "ml"})
    tags, marks = tags_and_marks(unit, STACK, "inst")
    assert tags == {"team": "ml", **marks}
    assert marks["mlstacks-stack"] == STACK.stack_id
    assert tags_and_marks(unit, STACK, "inst") == (tags, marks)
