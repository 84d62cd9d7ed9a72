"""Sweeps of whole accounts: what Dagster's assets about accounts call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlstacks_dagster.engines.wiring import Target
from mlstacks_dagster.errors import StateError
from mlstacks_dagster.ledger.records import StackRecord
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.clouds import CloudOpener, open_cloud, parse_account
from mlstacks_dagster.lifecycle.models import Reporter
from mlstacks_dagster.lifecycle.sealing import unseal
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan

__all__ = ["delete_sweep", "known_accounts", "sweep_account", "unswept_accounts"]


def known_accounts(ledger: Ledger, settings: Settings) -> tuple[str, ...]:
    """Return the accounts to sweep: the setting's, else those that stacks were deployed to.

    On Google Cloud these are all projects; on AWS the account of the credentials at hand, and the
    profiles that live stacks name. Where new stacks go to the sandbox, it is the emulated account.
    """
    if settings.sweep_accounts:
        return settings.sweep_accounts
    found: set[str] = set()
    for stack in ledger.stacks(include_destroyed=True):
        if stack.target == _target(settings):
            found.update(_accounts_of(stack, settings))
    return tuple(sorted(found))


def unswept_accounts(ledger: Ledger, settings: Settings, since: float) -> tuple[str, ...]:
    """Return the ids of accounts and projects that hold or held stacks and weren't swept.

    That is, of which no sweep made a plan from ``since`` (Unix seconds) on: no credentials at
    hand lead there. An emulated account is always at hand.
    """
    if _target(settings) == "sandbox":
        return ()
    where = {
        (stack.provider, unit.account)
        for stack in ledger.stacks(include_destroyed=True)
        if stack.target == "cloud"
        for unit in ledger.units(stack.stack_id)
        if unit.account is not None
    }
    return tuple(
        f"{provider} {account}"
        for provider, account in sorted(where)
        if not any(plan.made_at >= since for plan in ledger.sweeps.history(provider, account, 1))
    )


def _target(settings: Settings) -> Target:
    return "sandbox" if settings.sandbox else "cloud"


def _accounts_of(stack: StackRecord, settings: Settings) -> Iterator[str]:
    """Yield the accounts that a stack's plan names, as :func:`parse_account` reads them.

    A plan of another version counts as well: it is read as the JSON that it is.
    """
    if stack.provider == "aws":
        yield "aws"
    elif stack.provider != "gcp":
        return
    units = stack.plan_json.get("units")
    for unit in units if isinstance(units, list) else ():
        if stack.provider == "gcp":
            project = (unit.get("variables") or {}).get("project_id")
            yield f"gcp:{project}" if project else "gcp"
        elif stack.live:
            with suppress(StateError):
                profile = unseal(unit.get("environment") or {}, settings).get("AWS_PROFILE")
                if profile:
                    yield f"aws:{profile}"


def sweep_account(
    account: str, settings: Settings, report: Reporter, *, open_cloud: CloudOpener = open_cloud
) -> SweepPlan:
    """List an account (``aws``, ``aws:PROFILE``, ``gcp:PROJECT``), decide, record the plan."""
    with _sweeper(settings, report, open_cloud) as sweeper:
        return sweeper.plan(parse_account(account))


def delete_sweep(
    account: str,
    plan: str,
    alias: str,
    by: str,
    settings: Settings,
    report: Reporter,
    *,
    open_cloud: CloudOpener = open_cloud,
) -> DeleteReport:
    """Delete what the plan with that hash names; ``alias`` of the account was typed ``by`` whom."""
    with _sweeper(settings, report, open_cloud) as sweeper:
        return sweeper.delete(parse_account(account), plan, alias, by=by)


@contextmanager
def _sweeper(settings: Settings, report: Reporter, opener: CloudOpener) -> Iterator[Sweeper]:
    with Ledger.open(settings.ledger_url) as ledger:
        yield Sweeper(
            settings,
            ledger,
            target=_target(settings),
            open_cloud=opener,
            progress=report.line,
        )
