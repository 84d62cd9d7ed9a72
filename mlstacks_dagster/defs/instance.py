"""Dagster's instance: a private folder of ours, written on first use."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from mlstacks_dagster.files import write_private
from mlstacks_dagster.lifecycle.locks import hold
from mlstacks_dagster.settings import Settings

__all__ = ["DAGSTER_YAML", "ensure_dagster_home", "open_instance"]

_MAKING_SECONDS = 120.0

DAGSTER_YAML = """\
# Written by mlstacks-dagster, and again when a release changes it.
run_coordinator:
  module: mlstacks_dagster.defs.coordinator
  class: StackRunCoordinator
  config: {dequeue_interval_seconds: 1}
concurrency:
  pools: {default_limit: 1, granularity: run}
  runs: {max_concurrent_runs: 10}
sensors: {use_threads: false}
compute_logs:
  module: mlstacks_dagster.defs.compute_logs
  class: QuietComputeLogManager
  config: {base_dir: %(storage)s}
telemetry: {enabled: false}
nux: {enabled: false}
"""


def ensure_dagster_home(settings: Settings) -> Path:
    """Return our DAGSTER_HOME, made when missing; mode 0700, since run logs are in it."""
    home = settings.dagster_home
    for folder in (settings.home, home):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    text = DAGSTER_YAML % {"storage": _quoted(home / "storage")}
    config = home / "dagster.yaml"
    if not config.is_file() or config.read_text() != text:
        write_private(config, text)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open our instance; use it as a context manager, so that it is closed.

    Dagster makes the tables of its SQLite storage when they are first used, and two processes
    that do so at once fail. So the first of our processes makes them all, and others wait.
    """
    home = ensure_dagster_home(settings)
    made = home / f".storage-made-{dg.__version__}"
    if not made.exists():
        who = {"pid": str(os.getpid())}
        with hold(settings.locks_dir / "dagster-storage.lock", who, timeout=_MAKING_SECONDS):
            if not made.exists():
                _make_storage(home)
                made.touch(mode=0o600)
    return dg.DagsterInstance.from_config(str(home))


def _make_storage(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()
        instance.get_asset_keys()
        instance.all_instigator_state()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
