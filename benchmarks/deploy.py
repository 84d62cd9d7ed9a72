"""The quickstart deploy against a shell loop over the same root modules and charts.

Both use the same Terraform, Helm, provider and emulator, each in a sandbox of its own. The loop
runs ``init``, ``apply -auto-approve`` and ``output -json``, or ``helm upgrade --install --wait``,
for one unit after another in dependency order, as a person with a shell script would. The Secrets
that charts expect are made outside of its time. ``--json`` prints one line.
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

from mlstacks_dagster.catalog.chart_values import chart_folder
from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.catalog.models import Plan, PlannedUnit
from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.helm_charts import resolve_chart
from mlstacks_dagster.engines.helm_tools import find_helm, install_tools
from mlstacks_dagster.engines.kube_access import write_kubeconfig
from mlstacks_dagster.engines.kube_client import KubeClient
from mlstacks_dagster.engines.tf_stage import UnitRequest, stage
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.engines.wiring import load_wiring
from mlstacks_dagster.errors import ToolNotFoundError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle import helm_values, inputs, kube_setup
from mlstacks_dagster.lifecycle.cluster import access_of
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
    spent = aside = 0.0
    began = time.perf_counter()
    for unit in plan.units:
        env = tool_environment(process_environment(), unit.environment, wiring)
        if unit.definition.engine == "helm":
            helm, making = helm_unit(settings, plan, unit, stack, install, env, outputs)
            spent, aside = spent + helm, aside + making
            continue
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
    return {"wall": time.perf_counter() - began - aside, "tools": spent}


def helm_unit(
    settings: Settings,
    plan: Plan,
    unit: PlannedUnit,
    stack: StackRecord,
    install: str,
    env: dict[str, str],
    outputs: dict[tuple[str, str], Any],
) -> tuple[float, float]:
    """Install a unit's release; return Helm's seconds and those of making its Secrets."""
    release = helm_values.release_of(unit)
    namespace = helm_values.namespace_of(unit)
    folder = settings.work_dir(stack.stack_id, unit.name)
    began = time.perf_counter()
    path = folder / "kubeconfig"
    context = write_kubeconfig(access_of(plan, lambda u, o: outputs.get((u, o))), path)
    kube = KubeClient(path, context, env)
    marks = inputs.tags_and_marks(unit, stack, install)[1]
    kube_setup.make_namespace(kube, namespace, marks)
    for secret in release.secrets:
        kube_setup.make_secret(kube, namespace, secret, {}, marks)
    wiring = load_wiring("sandbox", settings.sandbox_dir)
    mirror = replace(settings, chart_mirror=wiring.chart_mirror)
    chart = (
        chart_folder(unit.definition)
        if isinstance(release.chart, str)
        else resolve_chart(release.chart, mirror)
    )
    values = helm_values.release_values(unit, stack, install, lambda u, o: outputs.get((u, o)))
    given = json.dumps(values).encode()
    start_of = time.perf_counter()
    subprocess.run(
        [
            *(find_helm(settings).program, "upgrade", "--install", release.release, str(chart)),
            *("-n", namespace, "--kubeconfig", str(path), "--kube-context", context),
            *("--wait", "-f", "-"),
        ],
        input=given,
        env=env,
        check=True,
        capture_output=True,
    )
    ended = time.perf_counter()
    texts = helm_values.known_texts(unit, stack)
    for name, value in helm_values.outputs(unit, values, texts)[0].items():
        outputs[unit.name, name] = value
    return ended - start_of, start_of - began


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
    engines = {unit.name: unit.definition.engine for unit in stack.plan.units}
    return {
        "wall": wall,
        "units": summaries,
        "releases": [name for name, engine in engines.items() if engine == "helm"],
        "steps": step_seconds(settings),
    }


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


def overhead(units: list[dict[str, Any]]) -> float:
    """Return the mean seconds of a unit beside those of its tool's processes."""
    spent = [u.get("seconds", 0.0) - u.get("tool_seconds", 0.0) for u in units]
    return sum(spent) / len(spent) if spent else 0.0


def helm() -> Path:
    """Return a Helm: the one to be found, else one that is fetched once."""
    settings = Settings.load()
    try:
        return Path(find_helm(settings).program)
    except ToolNotFoundError:
        return install_tools(settings).helm


def _is(entry: Any, kind: Any) -> bool:
    return entry.dagster_event is not None and entry.dagster_event.event_type == kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name, run in (("loop", shell_loop), ("deploy", deploy)):
        with tempfile.TemporaryDirectory() as folder:
            given = {"MLSTACKS_HOME": folder, "MLSTACKS_HELM": str(helm())}
            os.environ.update(given)
            settings = Settings.load(given)
            start(settings)
            try:
                warm(settings)
                results[name] = run(settings)
            finally:
                stop(settings)
    loop, ours = results["loop"], results["deploy"]
    units = ours["units"]
    releases = [u for name, u in units.items() if name in ours["releases"]]
    tool = sum(u.get("tool_seconds", 0.0) for u in units.values())
    inside = sum(u.get("seconds", 0.0) for u in units.values())
    count = len(units)
    figures = {
        "units": count,
        "cores": os.cpu_count(),
        "loop_seconds": round(loop["wall"], 1),
        "deploy_seconds": round(ours["wall"], 1),
        "ratio": round(ours["wall"] / loop["wall"], 2),
        "tool_seconds": round(tool, 1),
        "loop_tool_seconds": round(loop["tools"], 1),
        "per_unit_ours": round((inside - tool) / count, 2),
        "per_release_ours": round(overhead(releases), 2),
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
