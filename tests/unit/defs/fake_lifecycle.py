"""A lifecycle without Terraform, for runs in real step processes.

A stack is a JSON file ``{"name": ..., "units": {unit: {"needs": [...], ...}}}``. What a unit
does is said by its variables: ``hold`` (works until the file ``go`` is there), ``fail`` (text),
``refuse`` (text), ``transient`` (how often it fails at first). ``engine`` is the unit's engine;
``health`` and ``endpoints`` are what a check finds, ``blind`` (text) fails it. What happened is
appended to ``journal.jsonl``; ``modules`` (a path) gets the names of what its process has imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan, PlannedUnit, UnitDefinition
from mlstacks_dagster.errors import (
    CommandError,
    LeftoversError,
    RefusedError,
    TransientCommandError,
)
from mlstacks_dagster.lifecycle.models import (
    DeployOutcome,
    DestroyOutcome,
    DriftOutcome,
    Endpoint,
    Progress,
    ResourceRow,
    StackEntry,
    StackSnapshot,
    VerifyOutcome,
)
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.verdict import Policy


def plan_of(name: str, units: dict[str, dict[str, Any]], path: Path | None = None) -> Plan:
    planned = []
    for unit, said in units.items():
        definition = UnitDefinition(
            name=unit,
            title=unit.title(),
            description=f"A {unit}.",
            provider="aws",
            engine=said.get("engine", "terraform"),
            path=Path("terraform") / unit,
        )
        rest = {k: v for k, v in said.items() if k != "needs"}
        planned.append(
            PlannedUnit(
                definition=definition,
                region="eu-west-1",
                variables=rest,
                depends_on=tuple(said.get("needs", ())),
            )
        )
    return Plan(stack=name, provider="aws", region="eu-west-1", units=tuple(planned), source=path)


def entry_of(name: str, units: dict[str, dict[str, Any]], path: Path | None = None) -> StackEntry:
    return StackEntry(name=name, plan=plan_of(name, units, path), file=str(path) if path else None)


def read_stacks(settings: Settings) -> StackSnapshot:
    entries = []
    for path in sorted(settings.stacks_dir.glob("*.json")):
        try:
            found = json.loads(path.read_text())
            entries.append(entry_of(found["name"], found["units"], path))
        except (ValueError, KeyError) as error:
            entries.append(StackEntry(name=path.stem, problems=(str(error),), file=str(path)))
    return StackSnapshot(stacks=tuple(entries))


def journal(settings: Settings) -> list[dict[str, Any]]:
    path = settings.home / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _note(settings: Settings, job: Any, what: str) -> None:
    entry = {
        "what": what, "stack": job.plan.stack, "unit": job.unit, "run": job.run_id,
        "at": time.monotonic(), "pid": os.getpid(), "replan": job.replan, "target": job.target,
    }  # fmt: skip
    with (settings.home / "journal.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _mark(settings: Settings, job: Any) -> Path:
    return settings.home / "deployed" / f"{job.plan.stack}.{job.unit}"


def _behave(job: Any, settings: Settings, report: Any) -> None:
    said = job.plan.unit(job.unit).variables
    _note(settings, job, "begin")
    report.line(f"raw line of {job.unit}")
    report.progress(Progress(unit=job.unit, phase="apply", done=0, total=1))
    try:
        while said.get("hold") and not (settings.home / "go").exists():
            time.sleep(0.05)
        if said.get("transient"):
            _transient(job, settings, said["transient"])
        if said.get("fail"):
            raise CommandError(said["fail"], remedy="mend it")
        if said.get("refuse"):
            raise RefusedError(said["refuse"], remedy="ask first")
    finally:
        _note(settings, job, "end")
        if said.get("modules"):
            Path(said["modules"]).write_text("\n".join(sys.modules))
    report.milestone(f"{job.unit}: done")
    report.progress(Progress(unit=job.unit, phase="apply", done=1, total=1, state="done"))


def _transient(job: Any, settings: Settings, times: int) -> None:
    begun = [e for e in journal(settings) if e["what"] == "begin" and e["unit"] == job.unit]
    if len(begun) <= times:
        raise TransientCommandError("Throttling: rate exceeded")


def deploy_unit(job: Any, settings: Settings, report: Any) -> DeployOutcome:
    mark = _mark(settings, job)
    for other in job.plan.unit(job.unit).depends_on:
        if not mark.with_name(f"{job.plan.stack}.{other}").exists():
            raise RefusedError(f"{job.unit} needs {other}, which isn't deployed")
    _behave(job, settings, report)
    mark.parent.mkdir(exist_ok=True, parents=True)
    action = "unchanged" if mark.exists() else "applied"
    mark.touch()
    return DeployOutcome(
        stack_id="s1",
        target=job.target,
        action=action,  # type: ignore[arg-type]
        add=1,
        outputs={"arn": f"arn:{job.unit}"},
        sensitive=("password",),
        resources=(ResourceRow(address="a.b", type="a", id="1"),),
        tool="fake",
    )


def destroy_unit(job: Any, settings: Settings, report: Any) -> DestroyOutcome:
    mark = _mark(settings, job)
    if not mark.exists():
        return DestroyOutcome(stack_id=None, target=job.target, action="never_deployed")
    for other in job.plan.dependents(job.unit):
        if mark.with_name(f"{job.plan.stack}.{other}").exists():
            raise RefusedError(f"{other} still uses {job.unit}")
    _behave(job, settings, report)
    mark.unlink()
    return DestroyOutcome(stack_id="s1", target=job.target, action="destroyed", destroyed=1)


def verify_stack(
    stack: str, stack_id: str | None, settings: Settings, report: Any
) -> VerifyOutcome:
    left = sorted((settings.home / "deployed").glob(f"{stack}.*"))
    if left:
        raise RefusedError(f"stack {stack} is not destroyed: {left[0].name}")
    if (settings.home / "leftover").exists():
        raise LeftoversError(f"the teardown of stack {stack} is not complete", table="| a |")
    report.line(f"looked for what is left of {stack or stack_id}")
    return VerifyOutcome(action="verified", stack_id=stack_id or "s1")


def drift_unit(job: Any, settings: Settings, report: Any, *, compare: bool = True) -> DriftOutcome:
    _note(settings, job, "compared" if compare else "looked")
    if not _mark(settings, job).exists():
        return DriftOutcome(status="not_deployed")
    said = job.plan.unit(job.unit).variables
    if said.get("blind"):
        raise CommandError(said["blind"], remedy="mend it")
    found = DriftOutcome(
        status="in_sync" if compare else "not_compared",
        problems=said.get("health", ()),
        endpoints=tuple(Endpoint(**e) for e in said.get("endpoints", ())),
    )
    if said.get("drifts") and compare:
        return found.model_copy(update={"status": "drifted", "changes": ("update a.b",)})
    return found


def sweep_account(account: str, settings: Settings, report: Any) -> SweepPlan:
    said = json.loads((settings.home / "sweep.json").read_text())
    plan = SweepPlan(
        install="i",
        scope=Scope(provider="aws", account="111", alias=account),
        policy=Policy(),
        made_at=1.0,
        verdict=said["verdict"],
    )
    report.line(f"listed {account}")
    return plan.model_copy(update={"hash": plan.computed_hash()})
