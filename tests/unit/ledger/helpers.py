"""Small plans, a clock to turn by hand, and a way to run one function in many processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan, PlannedUnit, UnitDefinition
from mlstacks_dagster.ledger import Ledger, Operation
from mlstacks_dagster.spec.models import StackOptions

PROCESSES = 8


class Clock:
    """Unix seconds that only move when told."""

    def __init__(self, now: float = 1_800_000_000.9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 10) -> int:
        self.now += seconds
        return int(self.now)


def make_unit(name: str, *, region: str = "eu-central-1", **more: Any) -> PlannedUnit:
    definition = UnitDefinition(
        name=name,
        title=name.title(),
        description="for tests",
        provider="aws",
        engine="terraform",
        path=Path("/catalog") / name,
    )
    return PlannedUnit(definition=definition, region=region, **more)


def make_plan(stack: str = "demo", *units: str, region: str = "eu-central-1", **more: Any) -> Plan:
    options = StackOptions(**more.pop("options", {}))
    values = {"provider": "aws", "source": Path("/stacks") / f"{stack}.yaml", **more}
    planned = tuple(make_unit(name, region=region) for name in units or ("network", "cluster"))
    return Plan(stack=stack, region=region, units=planned, options=options, **values)


def begin(
    ledger: Ledger,
    stack_id: str,
    unit: str = "network",
    kind: Any = "deploy",
    run_id: str = "run-1",
    input_hash: str = "hash-1",
    account: str | None = None,
) -> Operation:
    return ledger.begin(
        stack_id,
        unit,
        engine="terraform",
        kind=kind,
        run_id=run_id,
        input_hash=input_hash,
        account=account,
    )


def in_processes(work: Callable[..., Any], *args: Any, count: int = PROCESSES) -> list[Any]:
    """Run ``work(*args, number)`` in processes that start together; returns what they returned.

    An exception comes back as its text with the type's name in front.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    results = context.SimpleQueue()
    children = [
        context.Process(target=_child, args=(results, barrier, work, (*args, number)))
        for number in range(count)
    ]
    for child in children:
        child.start()
    found = [results.get() for _ in children]
    for child in children:
        child.join(30)
    return found


def _child(results: Any, barrier: Any, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        barrier.wait(60)
        results.put(work(*args))
    except BaseException as error:  # noqa: BLE001 - handed to the test
        results.put(f"{type(error).__name__}: {error}")
