"""Sweeps of whole accounts: what Dagster's assets about accounts call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlstacks_dagster.engines.wiring import Target
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.clouds import CloudOpener, open_cloud, parse_account
from mlstacks_dagster.lifecycle.models import Reporter
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan

__all__ = ["delete_sweep", "known_accounts", "sweep_account"]


def known_accounts(ledger: Ledger, settings: Settings) -> tuple[str, ...]:
    """Return the accounts to sweep: the setting's, else one for each provider that was used.

    Where new stacks go to the sandbox, it is the emulated account.
    """
    if settings.sweep_accounts:
        return settings.sweep_accounts
    wanted: Target = "sandbox" if settings.sandbox else "cloud"
    used = {s.provider for s in ledger.stacks(include_destroyed=True) if s.target == wanted}
    return tuple(sorted(used & {"aws", "gcp"}))


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
            target="sandbox" if settings.sandbox else "cloud",
            open_cloud=opener,
            progress=report.line,
        )
