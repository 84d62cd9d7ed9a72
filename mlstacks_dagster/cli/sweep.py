"""``sweep``."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mlstacks_dagster.cli.common import json_option, print_json
from mlstacks_dagster.errors import InputError, MlstacksError, RefusedError

if TYPE_CHECKING:
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.lifecycle.clouds import AccountSpec
    from mlstacks_dagster.lifecycle.sweeping import Sweeper
    from mlstacks_dagster.settings import Settings
    from mlstacks_dagster.sweep.inventory.plan import SweepPlan
    from mlstacks_dagster.sweep.inventory.verdict import Policy

__all__ = ["command", "make_sweeper"]


@dataclass(frozen=True)
class _Asked:
    """What the command line says of where to look and how."""

    provider: str | None
    account: str | None
    project: str | None
    regions: tuple[str, ...]
    grace: str | None
    include_data: bool
    max_count: int | None
    max_share: float | None

    def check(self, *, sandbox: bool, delete: bool) -> None:
        """Raise :class:`InputError` for options that don't go together."""
        if (self.account and (self.project or self.provider == "gcp")) or (
            self.project and self.provider == "aws"
        ):
            raise InputError(
                "--account is an AWS profile, --project a Google project",
                remedy="give the one that goes with the provider",
            )
        if sandbox and (self.account or self.project or self.provider == "gcp"):
            raise InputError(
                "the sandbox has one account, an AWS one",
                remedy="leave out --sandbox, or --provider, --account and --project",
            )
        limits = [given is not None for given in (self.grace, self.max_count, self.max_share)]
        if delete and any((self.regions, self.include_data, *limits)):
            raise InputError(
                "a plan is deleted as it was listed",
                remedy="give regions, grace, data and limits when you list, then approve that plan",
            )


@click.command("sweep")
@click.option("--provider", type=click.Choice(["aws", "gcp"]), help="Only this provider.")
@click.option("--account", metavar="PROFILE", help="The AWS account of this profile.")
@click.option("--project", metavar="PROJECT", help="This Google project.")
@click.option("--region", "regions", multiple=True, help="Only this region. May be repeated.")
@click.option("--sandbox", is_flag=True, help="The emulated account on this machine.")
@click.option("--grace", metavar="TIME", help="How long things stay: 24h, 3d. Default 24h.")
@click.option("--include-data", is_flag=True, help="Plan volumes, buckets and the like as well.")
@click.option("--max-count", type=click.IntRange(1), help="Refuse to delete more. Default 200.")
@click.option(
    "--max-share",
    type=click.FloatRange(0, 1),
    help="Refuse to delete a larger part of what is ours. Default 0.5.",
)
@click.option("--delete", is_flag=True, help="Delete what an approved plan names.")
@click.option("--plan", "plan_hash", metavar="HASH", help="The plan that is approved.")
@click.option("--confirm-account", metavar="ALIAS", help="The account's alias or id; asks nothing.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; in the sandbox only.")
@json_option
def command(
    *,
    sandbox: bool,
    delete: bool,
    plan_hash: str | None,
    confirm_account: str | None,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """List what destroyed stacks have left in a cloud account, and delete what you approve.

    Listing deletes nothing. It prints a plan and its hash; `--delete --plan HASH` then deletes
    exactly that, after the account's alias (or its id) was typed.
    """
    from mlstacks_dagster.ledger.store import Ledger
    from mlstacks_dagster.settings import Settings

    settings = Settings.load()
    sandbox = sandbox or settings.sandbox
    asked = _Asked(**options)
    asked.check(sandbox=sandbox, delete=delete)
    if delete != (plan_hash is not None):
        raise InputError(
            "--delete and --plan HASH go together",
            remedy="list without them, then approve the plan that is printed",
        )
    with Ledger.open(settings.ledger_url) as ledger:
        sweeper = make_sweeper(settings, ledger, sandbox=sandbox)
        if plan_hash is None:
            code = _list(sweeper, asked, as_json)
        else:
            typed = (confirm_account, yes)
            code = _delete(sweeper, asked, plan_hash, typed, as_json)
    sys.exit(code)


def make_sweeper(settings: Settings, ledger: Ledger, *, sandbox: bool) -> Sweeper:
    """Return what lists and deletes; progress goes to stderr."""
    from mlstacks_dagster.lifecycle.sweeping import Sweeper

    return Sweeper(
        settings,
        ledger,
        target="sandbox" if sandbox else "cloud",
        progress=lambda line: click.echo(line, err=True),
    )


def _list(sweeper: Sweeper, asked: _Asked, as_json: bool) -> int:
    from mlstacks_dagster.cli.sweep_tables import print_plan
    from mlstacks_dagster.sweep.inventory.report import plan_json

    policy = _policy(asked)
    accounts = _accounts(sweeper, asked)
    results, bad = [], False
    for account in accounts:
        try:
            plan = sweeper.plan(account, regions=asked.regions, policy=policy)
        except MlstacksError as error:
            if len(accounts) == 1:
                raise
            click.echo(f"error: {account}: {error}", err=True)
            results.append({"account": str(account), "error": str(error)})
            bad = True
            continue
        bad = bad or plan.verdict == "unverified"
        results.append(plan_json(plan))
        if not as_json:
            print_plan(plan, _approval(plan, account, sweeper))
    if as_json:
        print_json(results[0] if len(results) == 1 else results)
    return 1 if bad else 0


def _policy(asked: _Asked) -> Policy:
    from mlstacks_dagster.spec.options import parse_duration
    from mlstacks_dagster.sweep.inventory.verdict import Policy

    policy = Policy(include_data=asked.include_data)
    changes: dict[str, float] = {}
    if asked.grace is not None:
        seconds = parse_duration(asked.grace)
        if seconds is None:
            raise InputError(
                f"--grace {asked.grace!r} isn't a length of time",
                remedy="write weeks, days, hours and minutes, such as 8h, 3d, 90m, 1d12h",
            )
        # Data waits longer, and never shorter than everything else.
        changes = {"grace": seconds, "data_grace": max(seconds, policy.data_grace)}
    if asked.max_count is not None:
        changes["max_count"] = asked.max_count
    if asked.max_share is not None:
        changes["max_share"] = asked.max_share
    return policy.model_copy(update=changes)


def _accounts(sweeper: Sweeper, asked: _Asked) -> Sequence[AccountSpec]:
    from mlstacks_dagster.lifecycle.accounts import known_accounts
    from mlstacks_dagster.lifecycle.clouds import AccountSpec, parse_account

    if asked.project or asked.provider == "gcp":
        return [AccountSpec("gcp", asked.project or "")]
    if asked.account or asked.provider == "aws" or sweeper.target == "sandbox":
        return [AccountSpec("aws", asked.account or "")]
    return [parse_account(text) for text in known_accounts(sweeper.ledger, sweeper.settings)] or [
        AccountSpec("aws")
    ]


def _approval(plan: SweepPlan, account: AccountSpec, sweeper: Sweeper) -> str:
    """Return the command that approves a plan."""
    words = ["mlstacks-dagster sweep --delete --plan", plan.hash]
    if sweeper.target == "sandbox" and not sweeper.settings.sandbox:
        words.append("--sandbox")
    if account.name and account.provider == "aws":
        words += ["--account", account.name]
    return " ".join(words)


def _delete(
    sweeper: Sweeper,
    asked: _Asked,
    plan_hash: str,
    confirmed: tuple[str | None, bool],
    as_json: bool,
) -> int:
    from mlstacks_dagster.cli.sweep_tables import print_deletion
    from mlstacks_dagster.lifecycle.clouds import AccountSpec
    from mlstacks_dagster.lifecycle.sweeping import find_record, read_plan
    from mlstacks_dagster.sweep.inventory.execute import Approval, check_approval
    from mlstacks_dagster.sweep.inventory.report import delete_json

    wanted = asked.provider or ("aws" if asked.account else "gcp" if asked.project else None)
    record = find_record(sweeper.ledger, plan_hash, wanted)
    plan = read_plan(record)
    if asked.project not in (None, record.account):
        raise RefusedError(f"the plan is for {record.account}, not for {asked.project}")
    if not plan.entries:
        raise InputError(f"plan {record.plan_hash[:12]} deletes nothing", remedy="list again")
    alias = _alias(plan, sweeper, *confirmed)
    check_approval(plan, Approval(record.plan_hash, alias), plan.scope, sweeper.clock())
    name = asked.account or "" if plan.scope.provider == "aws" else record.account
    account = AccountSpec(plan.scope.provider, name)
    report = sweeper.delete(account, record.plan_hash, alias, by=_user())
    if as_json:
        print_json(delete_json(report, sweeper.clock()))
    else:
        print_deletion(report)
    return 0 if report.complete else 1


def _alias(plan: SweepPlan, sweeper: Sweeper, confirmed: str | None, yes: bool) -> str:
    """Return the account's alias as the person who approves knows it."""
    scope = plan.scope
    if confirmed is not None:
        return confirmed
    if yes and sweeper.target == "sandbox":
        return scope.alias or scope.account
    if yes:
        raise InputError(
            "-y is not enough to delete in a cloud account",
            remedy="name the account: --confirm-account with its alias, or its id if it has none",
        )
    data = sum(entry.data for entry in plan.entries)
    click.echo(
        f"This deletes {len(plan.entries)} things in {scope.provider} {scope.account}, "
        f"{data or 'none'} of them with data.",
        err=True,
    )
    what = "alias" if scope.alias else "id"
    question = f"Type the account's {what} to go on"
    return str(click.prompt(question, default="", show_default=False, err=True))


def _user() -> str:
    with suppress(OSError, KeyError):  # a user without a name
        return getpass.getuser()
    return "unknown"
