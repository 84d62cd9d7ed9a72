"""The quickstart deploy against a shell loop over the same root modules.

Both use the same Terraform, provider and emulator, each in a sandbox of its own. The loop runs
``init``, ``apply -auto-approve`` and ``output -json`` for one unit after another in dependency
order, as a person with a shell script would. ``--json`` prints one line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.tf_stage import UnitRequest, stage
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.engines.wiring import load_wiring
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import inputs
from mlstacks_dagster.sandbox.service import start, stop
from mlstacks_dagster.settings import Settings, data_root, process_environment

EXAMPLE = data_root() / "examples" / "aws-quickstart" / "stack.yaml"


def warm(settings: Settings) -> None:
    """Let the emulator load its services, so that neither side pays for it."""
    import boto3

    wiring = load_wiring("sandbox", settings.sandbox_dir)
    session = boto3.Session(
        aws_access_key_id=wiring.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=wiring.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="eu-north-1",
    )
    calls = {
        "ec2": "describe_vpcs",
        "iam": "list_roles",
        "s3": "list_buckets",
        "ecr": "describe_repositories",
        "eks": "list_clusters",
        "logs": "describe_log_groups",
        "sts": "get_caller_identity",
    }
    for service, call in calls.items():
        getattr(session.client(service, endpoint_url=wiring.endpoint_url), call)()


def shell_loop(settings: Settings) -> dict[str, float]:
    """Deploy unit after unit; return the wall time and Terraform's own, in seconds."""
    plan = load_plan(EXAMPLE, settings)
    wiring = load_wiring("sandbox", settings.sandbox_dir)
    tool = find_terraform(settings)
    with Ledger.open(settings.ledger_url) as ledger:
        install = ledger.installation().install_id
        stack = ledger.register_stack(
            plan, target="sandbox", sandbox_id=wiring.instance_id, expires_at=None
        )
    outputs: dict[tuple[str, str], Any] = {}
    spent = 0.0
    began = time.perf_counter()
    for unit in plan.units:
        env = tool_environment(process_environment(), unit.environment, wiring)
        workspace = stage(
            UnitRequest(
                unit=unit.name,
                module=unit.definition.path,
                work_dir=settings.work_dir(stack.stack_id, unit.name),
                backend=inputs.backend(settings, stack, unit, wiring),
                variables=inputs.variables(unit, stack, install, lambda u, o: outputs.get((u, o))),
                wiring=wiring,
                environment=env,
            )
        )
        env = {**env, "TF_CLI_CONFIG_FILE": str(workspace.cli_config)}
        for verb in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
            start_of = time.perf_counter()
            subprocess.run(
                [*tool.argv, *verb, "-no-color"],
                cwd=workspace.module,
                env=env,
                check=True,
                capture_output=True,
            )
            spent += time.perf_counter() - start_of
        shown = subprocess.run(
            [*tool.argv, "output", "-json"],
            cwd=workspace.module,
            env=env,
            check=True,
            capture_output=True,
        )
        for name, found in json.loads(shown.stdout).items():
            outputs[unit.name, name] = found["value"]
    return {"wall": time.perf_counter() - began, "terraform": spent}


def deploy(settings: Settings) -> dict[str, Any]:
    """Deploy by the command; return the wall time and where it went."""
    began = time.perf_counter()
    subprocess.run(
        [
            str(Path(sys.executable).with_name("mlstacks-dagster")),
            *("deploy", "-f", str(EXAMPLE), "--sandbox", "--json"),
        ],
        env={**os.environ, "MLSTACKS_HOME": str(settings.home)},
        check=True,
        capture_output=True,
    )
    wall = time.perf_counter() - began
    with Ledger.open(settings.ledger_url) as ledger:
        (stack,) = ledger.stacks()
        operations = [
            ledger.last_operation(stack.stack_id, unit.unit)
            for unit in ledger.units(stack.stack_id)
        ]
    summaries = {op.unit: op.summary for op in operations if op is not None}
    return {"wall": wall, "units": summaries, "steps": step_seconds(settings)}


def step_seconds(settings: Settings) -> dict[str, float]:
    """Return, from Dagster's event log, when the run and its steps began and ended."""
    import dagster as dg

    from mlstacks_dagster.defs.instance import open_instance

    with open_instance(settings) as instance:
        (record,) = instance.get_run_records()
        logs = instance.all_logs(record.dagster_run.run_id)
        begun = {e.step_key: e.timestamp for e in logs if _is(e, dg.DagsterEventType.STEP_START)}
        ended = {e.step_key: e.timestamp for e in logs if _is(e, dg.DagsterEventType.STEP_SUCCESS)}
        return {
            "steps": sum(ended[key] - begun[key] for key in ended),
            "run": (record.end_time or 0) - (record.start_time or 0),
        }


def _is(entry: Any, kind: Any) -> bool:
    return entry.dagster_event is not None and entry.dagster_event.event_type == kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name, run in (("loop", shell_loop), ("deploy", deploy)):
        with tempfile.TemporaryDirectory() as folder:
            settings = replace(
                Settings.load({}),
                home=Path(folder),
                ledger_url=f"sqlite:///{folder}/ledger.db",
            )
            start(settings)
            try:
                warm(settings)
                results[name] = run(settings)
            finally:
                stop(settings)
    loop, ours = results["loop"], results["deploy"]
    units = ours["units"]
    tool = sum(u.get("tool_seconds", 0.0) for u in units.values())
    inside = sum(u.get("seconds", 0.0) for u in units.values())
    count = len(units)
    figures = {
        "units": count,
        "cores": os.cpu_count(),
        "loop_seconds": round(loop["wall"], 1),
        "deploy_seconds": round(ours["wall"], 1),
        "ratio": round(ours["wall"] / loop["wall"], 2),
        "terraform_seconds": round(tool, 1),
        "per_unit_ours": round((inside - tool) / count, 2),
        "per_unit_dagster_step": round((ours["steps"]["steps"] - inside) / count, 2),
        "command_start_and_end": round(ours["wall"] - ours["steps"]["run"], 2),
    }
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
