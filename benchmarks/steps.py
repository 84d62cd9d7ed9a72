"""What a step costs by itself, by the executor that runs it.

Eight assets in a chain that do nothing: one run each with Dagster's executors (spawned processes,
its default; forked from a server; in the run's own process, which is also what threads of it would
cost) and with ours, which runs a stack of eight units whose lifecycle does nothing. Counted is
from the first step's start to the last one's end, by eight. Each run has a process of its own:
Python has one fork server a process, with the modules that the first asked for. ``--json`` prints
one line, ``--run NAME`` the seconds of one run of that executor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import dagster as dg

STEPS = 8
ROUNDS = 3
NAMES = ("spawn", "forkserver", "ours", "in_process")


def chain() -> list[dg.AssetsDefinition]:
    """Return assets that do nothing, each after the one before."""

    def make(number: int) -> dg.AssetsDefinition:
        deps = [f"asset{number - 1}"] if number else []

        @dg.asset(name=f"asset{number}", deps=deps)
        def nothing() -> None:
            return None

        return nothing

    return [make(number) for number in range(STEPS)]


def job(executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    assets = chain()
    made = dg.define_asset_job("chain")
    return dg.Definitions(assets=assets, jobs=[made], executor=executor).resolve_job_def("chain")


def spawn() -> dg.JobDefinition:
    return job(dg.multiprocess_executor)


def forkserver() -> dg.JobDefinition:
    return job(dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}}))


def in_process() -> dg.JobDefinition:
    return job(dg.in_process_executor)


def dagsters(name: str, home: Path) -> float:
    """Return the seconds of a step in a run with one of Dagster's executors."""
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        done = dg.execute_job(dg.reconstructable(globals()[name]), instance)
        assert done.success, name
        return per_step(instance, done.run_id)


def ours(home: Path) -> float:
    """Return the seconds of a step in a run of ours."""
    import bench_lifecycle

    from mlstacks_dagster.defs.instance import open_instance
    from mlstacks_dagster.defs.launch import launch
    from mlstacks_dagster.defs.requests import LaunchRequest
    from mlstacks_dagster.settings import Settings

    url = f"sqlite:///{home / 'ledger.db'}"
    settings = Settings(home=home, stacks_dir=home, ledger_url=url)
    entry = bench_lifecycle.chain(STEPS)
    done = launch(LaunchRequest("deploy", entry), settings, lifecycle="bench_lifecycle")
    assert done.success, done.error
    with open_instance(settings) as instance:
        return per_step(instance, done.run_id)


def per_step(instance: dg.DagsterInstance, run_id: str) -> float:
    kinds = (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS)
    moments = [
        entry.timestamp
        for entry in instance.all_logs(run_id)
        if entry.dagster_event and entry.dagster_event.event_type in kinds
    ]
    return (max(moments) - min(moments)) / STEPS


def measured(name: str) -> float:
    """Return the seconds of a step in one run, in a process of its own."""
    argv = [sys.executable, __file__, "--run", name]
    return float(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", choices=NAMES, metavar="NAME")
    options = parser.parse_args()
    if options.run:
        here = str(Path(__file__).parent)
        sys.path.insert(0, here)
        os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            print(ours(home) if options.run == "ours" else dagsters(options.run, home))
        return
    found = {name: sorted(measured(name) for _ in range(ROUNDS)) for name in NAMES}
    figures = {name: round(seconds[ROUNDS // 2], 2) for name, seconds in found.items()}
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:12} {value:6.2f} s a step, {value / figures['spawn']:.2f} of the default")


if __name__ == "__main__":
    main()
