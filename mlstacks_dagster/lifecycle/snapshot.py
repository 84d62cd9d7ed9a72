"""All stacks: those that have a file, and those that are deployed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.accounts import known_accounts
from mlstacks_dagster.lifecycle.models import StackEntry, StackSnapshot
from mlstacks_dagster.lifecycle.sealing import seal
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.spec.fields import is_name
from mlstacks_dagster.spec.yaml_source import load_yaml

__all__ = ["file_plans", "merge_retired", "read_stacks", "stack_entry"]


def read_stacks(settings: Settings) -> StackSnapshot:
    """Return every stack; a broken file becomes an entry with ``problems``, never an error."""
    entries: dict[str, StackEntry] = {}
    accounts: tuple[str, ...] = ()
    for entry in _from_files(settings):
        first = entries.get(entry.name)
        entries[entry.name] = entry if first is None else _clash(entry, first)
    try:
        with Ledger.open(settings.ledger_url) as ledger:
            for row in ledger.stacks():
                entries[row.name] = _merged_or_problem(entries.get(row.name), row, ledger)
            accounts = known_accounts(ledger, settings)
    except MlstacksError as error:
        entries["ledger"] = StackEntry(name="ledger", problems=(str(error),))
    stacks = tuple(entries[name] for name in sorted(entries))
    return StackSnapshot(stacks=stacks, accounts=accounts)


def stack_entry(plan: Plan, ledger: Ledger, settings: Settings) -> StackEntry:
    """Return the entry of one stack whose file was just read."""
    plan = seal(plan, settings)
    entry = StackEntry(name=plan.stack, plan=plan, file=str(plan.source) if plan.source else None)
    return _merge(entry, plan.stack, ledger)


def file_plans(settings: Settings) -> Iterator[Plan]:
    """Yield the plan of every stack file that can be read, its credentials sealed."""
    return (entry.plan for entry in _from_files(settings) if entry.plan is not None)


def merge_retired(plan: Plan, deployed: Plan, live_units: set[str]) -> tuple[Plan, tuple[str, ...]]:
    """Add to ``plan`` the units of ``deployed`` that are live but no longer asked for.

    Returns the merged plan and the names that were added.
    """
    known = {unit.name for unit in plan.units}
    retired = [u for u in deployed.units if u.name in live_units and u.name not in known]
    names = known | {unit.name for unit in retired}
    kept = [
        u.model_copy(update={"depends_on": tuple(d for d in u.depends_on if d in names)})
        for u in retired
    ]
    merged = plan.model_copy(update={"units": (*plan.units, *kept)})
    return merged, tuple(unit.name for unit in kept)


def _from_files(settings: Settings) -> Iterator[StackEntry]:
    folder = settings.stacks_dir
    for path in sorted({*folder.glob("*.y*ml"), *folder.glob("*/*.y*ml")}):
        kind, name = _peek(path)
        if kind == "component":
            continue
        try:
            plan = seal(load_plan(path, settings), settings)
        except MlstacksError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other files are read
            problem = f"{path}: can't be read: {type(error).__name__}: {error}"
        else:
            yield StackEntry(name=plan.stack, plan=plan, file=str(path))
            continue
        yield StackEntry(name=name or path.stem, problems=(problem,), file=str(path))


def _peek(path: Path) -> tuple[str | None, str | None]:
    """Return ``spec_type`` and ``name`` as far as they can be read and used."""
    try:
        found, _ = load_yaml(path)
    except Exception:  # noqa: BLE001 - it is read again, and then reported
        return None, None
    kind, name = found.get("spec_type"), found.get("name")
    usable = isinstance(name, str) and is_name(name)
    return kind if isinstance(kind, str) else None, name if usable else None


def _clash(entry: StackEntry, first: StackEntry) -> StackEntry:
    problem = (
        f"two files describe a stack named {entry.name}: {first.file} and {entry.file}"
        " (give one of them another name)"
    )
    return first.model_copy(update={"problems": (*first.problems, problem)})


def _merged_or_problem(entry: StackEntry | None, row: StackRecord, ledger: Ledger) -> StackEntry:
    """Like :func:`_merge`; a record that can't be read spoils its own stack only."""
    try:
        return _merge(entry, row.name, ledger)
    except MlstacksError as error:
        entry = entry or StackEntry(name=row.name, file=row.source)
        return entry.model_copy(
            update={
                "problems": (*entry.problems, str(error)),
                "stack_id": row.stack_id,
                "target": row.target,
            }
        )


def _merge(entry: StackEntry | None, name: str, ledger: Ledger) -> StackEntry:
    row = ledger.live_stack(name)
    if row is None:
        return entry or StackEntry(name=name)
    entry = entry or StackEntry(name=name, file=str(row.source) if row.source else None)
    deployed = row.plan
    plan: Plan = deployed
    retired: tuple[str, ...] = ()
    if entry.plan is not None:
        live = {unit.unit for unit in ledger.units(row.stack_id) if unit.status != "destroyed"}
        plan, retired = merge_retired(entry.plan, deployed, live)
    return entry.model_copy(
        update={
            "plan": plan,
            "retired": retired,
            "stack_id": row.stack_id,
            "target": row.target,
        }
    )
