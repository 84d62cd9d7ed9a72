"""The stack file for ``zenml stack import``."""

from __future__ import annotations

import stat
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlstacks_dagster.catalog.discovery import load_catalog
from mlstacks_dagster.catalog.models import (
    ComponentKind,
    Export,
    Plan,
    PlannedUnit,
    UnitDefinition,
)
from mlstacks_dagster.catalog.value_path import get_value
from mlstacks_dagster.catalog.variables import module_outputs
from mlstacks_dagster.engines.terraform import OutputValue
from mlstacks_dagster.ledger.records import StackRecord, UnitRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.export import export_path, stack_file, write_export
from mlstacks_dagster.lifecycle.locks import is_held
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.models import StateLocation
from tests.unit.lifecycle.world import World

EXPORTED = [u for u in load_catalog(Settings.load({})).units if u.export is not None]


def stack() -> StackRecord:
    return StackRecord(
        stack_id="s" + "a" * 12,
        name="demo",
        provider="aws",
        region="eu-north-1",
        target="cloud",
        sandbox_id=None,
        status="live",
        generation=1,
        created_at=1,
        destroyed_at=None,
        expires_at=None,
        protect=False,
        on_failure="keep",
        state=StateLocation(),
        source=None,
        close_reason=None,
        plan_json={},
    )


def record(unit: str, outputs: dict[str, Any], status: Any = "applied") -> UnitRecord:
    return UnitRecord(
        stack_id=stack().stack_id,
        unit=unit,
        engine="terraform",
        status=status,
        input_hash="h",
        module_digest=None,
        run_id="r",
        created_at=1,
        applied_at=1,
        destroyed_at=None,
        drifted=False,
        resource_count=1,
        outputs=outputs,
    )


def component(configuration: dict[str, str], kind: str = "artifact_store") -> UnitDefinition:
    return UnitDefinition(
        name="bucket",
        title="Bucket",
        description="A bucket.",
        provider="aws",
        engine="terraform",
        component=ComponentKind(type=kind, flavor="s3"),
        export=Export(flavor="s3", configuration=configuration),
        path=Path("/catalog/bucket"),
    )


def exported(definition: UnitDefinition, outputs: dict[str, Any], **plan: Any) -> dict[str, Any]:
    unit = PlannedUnit(definition=definition, region="eu-north-1", component_name="store")
    made = Plan(stack="demo", provider="aws", region="eu-north-1", units=(unit,), **plan)
    return stack_file(made, stack(), {unit.name: record(unit.name, outputs)})


def test_a_component_is_rendered_from_its_outputs() -> None:
    found = exported(component({"path": "{uri}/x", "fixed": "yes"}), {"uri": "s3://b"})
    store = found["components"]["artifact_store"]
    assert (store["name"], store["flavor"]) == ("store", "s3")
    assert store["configuration"] == {"path": "s3://b/x", "fixed": "yes"}
    assert found["stack_name"] == "demo"
    assert uuid.UUID(store["id"])


@pytest.mark.parametrize("outputs", [{"uri": ""}, {"uri": None}, {}])
def test_an_entry_whose_output_is_empty_or_missing_is_dropped(outputs: dict[str, Any]) -> None:
    found = exported(component({"path": "s3://{uri}/x", "fixed": "yes"}), outputs)
    assert found["components"]["artifact_store"]["configuration"] == {"fixed": "yes"}


def test_zero_and_false_are_values() -> None:
    found = exported(component({"a": "{zero}", "b": "{no}"}), {"zero": 0, "no": False})
    assert found["components"]["artifact_store"]["configuration"] == {"a": "0", "b": "False"}


def test_braces_that_are_doubled_are_text() -> None:
    found = exported(component({"a": "{{x}}"}), {})
    assert found["components"]["artifact_store"]["configuration"] == {"a": "{x}"}


def test_a_stack_has_an_artifact_store_and_an_orchestrator_at_least() -> None:
    found = exported(component({}, kind="step_operator"), {})["components"]
    assert set(found) == {"artifact_store", "orchestrator", "step_operator"}
    assert found["orchestrator"]["flavor"] == "local"


def test_the_version_is_the_stacks_own_if_it_names_one() -> None:
    assert exported(component({}), {}, zenml_version="0.70.0")["zenml_version"] == "0.70.0"


@pytest.mark.parametrize("status", ["intended", "applying", "failed", "destroying", "destroyed"])
def test_only_what_is_deployed_is_in_it(status: str) -> None:
    unit = PlannedUnit(definition=component({"path": "{uri}"}), region="eu-north-1")
    plan = Plan(stack="demo", provider="aws", region="eu-north-1", units=(unit,))
    found = stack_file(plan, stack(), {"bucket": record("bucket", {"uri": "x"}, status)})
    assert found["components"]["artifact_store"]["flavor"] == "local"


@pytest.mark.parametrize("definition", EXPORTED, ids=lambda d: f"{d.provider}-{d.name}")
def test_every_component_of_the_catalog_renders(definition: UnitDefinition) -> None:
    release = definition.helm
    texts = {n: release.output_texts(n)[0] for n in release.outputs} if release else {}
    secret = {n: t.strip("{}").removeprefix("secret:") for n, t in texts.items() if "secret:" in t}
    known = {n: f"<{n}>" for n in (texts or module_outputs(definition.path))}
    outputs = {name: text for name, text in known.items() if name not in secret}
    known |= {name: f"{{{{demo-{at.replace('/', '.')}}}}}" for name, at in secret.items()}
    assert definition.component is not None
    found = exported(definition, outputs)["components"][definition.component.type]
    assert definition.export is not None
    for key, text in definition.export.configuration.items():
        assert get_value(found["configuration"], key) == text.format(**known)


def test_the_file_is_private_and_its_bytes_are_stable(world: World) -> None:
    path = export_path(world.settings, "demo")
    world.deploy("network", "bucket")
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    world.deploy("bucket", replan=True)
    assert path.read_bytes() == first
    assert yaml.safe_load(first)["components"]["artifact_store"]["flavor"] == "s3"


def test_a_changed_output_changes_the_file(world: World) -> None:
    world.deploy("bucket")
    world.engine.outputs_of["bucket"] = {"uri": OutputValue("s3://elsewhere")}
    world.deploy("bucket", replan=True)
    assert "s3://elsewhere" in export_path(world.settings, "demo").read_text()


def test_a_sensitive_output_is_not_in_the_file(world: World) -> None:
    world.engine.outputs_of["bucket"] = {"uri": OutputValue("s3://hidden", sensitive=True)}
    world.deploy("bucket")
    assert "hidden" not in export_path(world.settings, "demo").read_text()


def test_reading_and_writing_happen_under_one_lock(world: World) -> None:
    """Two units that end at once would else write the file without one of them."""
    world.deploy("bucket")
    lock = world.settings.locks_dir / f"{world.stack().stack_id}.zenml-file.lock"
    held: list[bool] = []

    class Watching(Ledger):
        def units(self, stack_id: str) -> list[UnitRecord]:
            held.append(is_held(lock))
            return super().units(stack_id)

    with Watching.open(world.settings.ledger_url) as ledger:
        write_export(world.settings, world.plan(), world.stack(), ledger)
    assert held == [True]
    assert not is_held(lock)
