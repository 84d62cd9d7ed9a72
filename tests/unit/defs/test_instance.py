from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from fake_lifecycle import entry_of

from mlstacks_dagster.defs import alembic_cache, names
from mlstacks_dagster.defs.coordinator import StackRunCoordinator, _tags
from mlstacks_dagster.defs.instance import DAGSTER_YAML, ensure_dagster_home, open_instance
from mlstacks_dagster.defs.pinned import PinnedRun, pinned_definitions
from mlstacks_dagster.defs.site import Site
from mlstacks_dagster.lifecycle.models import StackSnapshot
from mlstacks_dagster.settings import Settings


def test_the_dagster_home_is_private_and_written_again_when_outdated(settings: Settings) -> None:
    home = ensure_dagster_home(settings)
    assert home.stat().st_mode & 0o777 == 0o700
    (home / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    ensure_dagster_home(settings)
    assert "StackRunCoordinator" in (home / "dagster.yaml").read_text()


def test_the_instance_has_our_coordinator_and_one_run_a_pool(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert isinstance(instance.run_coordinator, StackRunCoordinator)
        config = instance.get_concurrency_config()
        assert config.pool_config.default_pool_limit == 1
        assert config.pool_config.pool_granularity is not None
        assert config.pool_config.pool_granularity.value == "run"
        assert not instance.telemetry_enabled


def test_the_file_to_copy_says_what_ours_says() -> None:
    ours = yaml.safe_load(DAGSTER_YAML % {"storage": "x"})
    del ours["compute_logs"]
    shown = Path(__file__).parents[3] / "dagster.yaml"
    assert yaml.safe_load(shown.read_text()) == ours


def test_pools_are_known_before_a_run_is_queued(settings: Settings) -> None:
    """Uses a private call of Dagster's storage: this fails when a release drops it."""
    with open_instance(settings) as instance:
        coordinator = instance.run_coordinator
        assert isinstance(coordinator, StackRunCoordinator)
        coordinator._register({"stack_a", "stack_b"})
        coordinator._register({"stack_b"})
        limits = instance.event_log_storage.get_pool_limits()
        assert {limit.name: limit.limit for limit in limits} == {"stack_a": 1, "stack_b": 1}


def run_of(job: str, *keys: dg.AssetKey, config: object = None) -> dg.DagsterRun:
    return dg.DagsterRun(
        job_name=job, asset_selection=frozenset(keys) or None, run_config=config or {}
    )


@pytest.mark.parametrize(
    ("run", "tags"),
    [
        (run_of(names.ASSET_JOB, names.deploy_key("a", "u")), ("a", "deploy")),
        (run_of(names.ASSET_JOB, names.cleanup_key("a", "u")), ("a", "teardown")),
        (
            run_of("deploy", names.deploy_key("a", "u"), names.deploy_key("b", "u")),
            ("a,b", "deploy"),
        ),
        (
            run_of("teardown", config={"resources": {"teardown": {"config": {"confirm": "a"}}}}),
            ("a", "teardown"),
        ),
    ],
)
def test_a_queued_run_is_tagged_with_its_stacks_and_action(
    run: dg.DagsterRun, tags: tuple[str, str]
) -> None:
    assert _tags(run) == {"mlstacks/stack": tags[0], "mlstacks/action": tags[1]}


def test_the_revision_check_uses_the_cache() -> None:
    """Replaces a name in a private module of Dagster: a release without it must not pass."""
    from dagster._core.storage import sql

    alembic_cache.install()
    assert sql.ScriptDirectory is alembic_cache._CachedScripts  # type: ignore[attr-defined]
    with dg.instance_for_test() as instance:
        assert instance.run_storage.alembic_version() is not None


def test_a_pin_is_private_and_brings_back_settings_and_stacks(site: Site) -> None:
    path = site.settings.runs_dir / "x.pin.json"
    snapshot = StackSnapshot(stacks=(entry_of("demo", {"network": {}}),))
    pin = PinnedRun.of(snapshot, site, ["deploy"])
    pin.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = PinnedRun.model_validate_json(path.read_bytes())
    assert again.site().settings == site.settings
    assert again.snapshot == snapshot
    keys = pinned_definitions(str(path)).resolve_asset_graph().get_all_asset_keys()
    assert set(keys) == {names.deploy_key("demo", "network")}


def test_a_ledger_password_is_never_pinned(settings: Settings) -> None:
    url = "postgresql://u:hunter2@h/db"
    site = Site(Settings(home=settings.home, stacks_dir=settings.stacks_dir, ledger_url=url))
    assert "hunter2" not in PinnedRun.of(StackSnapshot(), site, []).model_dump_json()
