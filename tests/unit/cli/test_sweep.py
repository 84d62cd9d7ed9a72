"""``sweep``: what it lists, how a plan is approved, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mlstacks_dagster.cli import sweep
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.ledger.sweeps import COUNTS_AFTER
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.model import Scope
from tests.unit.cli.conftest import Said, Terminal
from tests.unit.lifecycle.sweep_world import SweepWorld, sandbox, sweep_world
from tests.unit.sweep.inventory.fake_cloud import FakeCloud


@dataclass
class Setting:
    """A terminal whose sweeps look at accounts in memory."""

    terminal: Terminal
    world: SweepWorld

    def run(self, *argv: object, typed: str | None = None) -> Said:
        return self.terminal.run("sweep", *argv, typed=typed)

    def leave(self, kind: str = "iam:role", name: str = "role", **more: Any) -> str:
        """Let a destroyed stack leave something that may go in the next sweep."""
        marks = self.world.marks(self.world.destroyed(), **more)
        self.world.add(kind, name, marks)
        self.world.pass_days(4)
        self.run("--json")
        self.world.clock.sleep(COUNTS_AFTER)
        return str(json.loads(self.run("--json").out)["plan"])


@pytest.fixture
def setting(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    made = sweep.make_sweeper
    with sweep_world(terminal.settings) as world:

        def make(settings: Settings, ledger: Ledger, *, sandbox: bool) -> Sweeper:
            clock = world.clock
            own = {"open_cloud": world.open_cloud, "clock": clock, "sleep": clock.sleep}
            sweeper = made(settings, ledger, sandbox=sandbox)
            return replace(sweeper, ledger=world.ledger, **own)  # type: ignore[arg-type]

        monkeypatch.setattr(sweep, "make_sweeper", make)
        yield Setting(terminal, world)


def test_an_account_where_nothing_is_left_is_clean(setting: Setting) -> None:
    said = setting.run()
    assert (said.code, said.out.strip()) == (0, "aws 111 (lab), 2 regions: clean")


def test_a_plan_says_what_would_go_why_and_how_to_approve_it(setting: Setting) -> None:
    plan = setting.leave("ec2:instance", "vm")
    said = setting.run()
    assert said.code == 0
    assert "1 left over and provably ours, about 30.00 USD a month:" in said.out
    head, row = (line for line in said.out.splitlines() if line.startswith(("WAVE", "1  ")))
    assert head.split()[:6] == ["WAVE", "TYPE", "ID", "REGION", "AGE", "USD/MONTH"]
    assert row.split()[:7] == ["1", "ec2:instance", "vm", "r1", "34", "d", "30.00"]
    assert "T1: its tags say mlstacks-install=" in row
    assert f"  mlstacks-dagster sweep --delete --plan {plan}\n" in said.out
    assert setting.world.cloud.deleted == []


def test_what_stays_is_shown_with_the_reason(setting: Setting) -> None:
    setting.leave("ec2:volume", "vol")
    said = setting.run()
    assert "1 left over, or perhaps, and not touched:" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("ec2:volume"))
    assert row.endswith("keep  it may hold data, which is kept unless asked for")
    assert "--delete" not in said.out


def test_what_was_not_listed_is_shown_and_is_exit_code_1(setting: Setting) -> None:
    setting.world.cloud.bad_lists = {("ec2:vpc", "r1"): "denied", ("ec2:vpc", "r2"): "denied"}
    said = setting.run()
    assert said.code == 1
    assert "2 regions: unverified" in said.out
    assert ["ec2:vpc", "r1,", "r2", "denied"] in [line.split() for line in said.out.splitlines()]
    assert setting.run("--json").code == 1


def test_names_of_others_can_not_write_to_the_terminal(setting: Setting) -> None:
    setting.leave(name="a\x1b[2J\nb\u202ec")
    said = setting.run()
    assert "a?[2J b?c" in said.out
    assert "\x1b" not in said.out


def test_json_is_the_plan_for_programs(setting: Setting) -> None:
    plan = setting.leave()
    found = json.loads(setting.run("--json").out)
    assert (found["plan"], found["verdict"], found["deletes"]) == (plan, "leftovers", 1)
    assert found["delete"][0]["id"] == "role"


def test_the_plan_is_in_the_ledger_and_regions_are_passed_on(setting: Setting) -> None:
    setting.run("--region", "r1", "--region", "r2", "--account", "dev")
    assert len(setting.world.ledger.sweeps.history("aws", "111")) == 1
    opened = setting.world.opened[-1]
    assert (str(opened.account), opened.regions) == ("aws:dev", ("r1", "r2"))


@pytest.mark.parametrize(
    ("flags", "account"),
    [
        ([], "aws"),
        (["--provider", "aws"], "aws"),
        (["--account", "dev"], "aws:dev"),
        (["--provider", "gcp"], "gcp"),
        (["--project", "p"], "gcp:p"),
        (["--provider", "gcp", "--project", "p"], "gcp:p"),
    ],
)
def test_the_account_is_the_one_that_is_named(
    setting: Setting, flags: list[str], account: str
) -> None:
    setting.run(*flags)
    assert [str(opened.account) for opened in setting.world.opened] == [account]


def test_a_profile_is_part_of_the_command_that_approves(setting: Setting) -> None:
    plan = setting.leave()
    assert f"--plan {plan} --account dev\n" in setting.run("--account", "dev").out


def several(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None] = lambda: None
) -> None:
    """Let sweeps look at two accounts, of which opening the second may fail."""
    other = FakeCloud()
    other.scope = Scope(provider="aws", account="222", regions=("r1",))
    setting.world.clouds["two"] = other
    opener = setting.world.open_cloud

    def open_cloud(account: Any, *args: Any, **more: Any) -> FakeCloud:
        if account.name == "two":
            fail()
        return opener(account, *args, **more)

    setting.world.open_cloud = open_cloud  # type: ignore[method-assign]
    monkeypatch.setenv("MLSTACKS_SWEEP_ACCOUNTS", "aws,aws:two")


def test_several_accounts_give_a_list(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    several(setting, monkeypatch)
    said = setting.run("--json")
    assert (said.code, [found["account"] for found in json.loads(said.out)]) == (0, ["111", "222"])
    assert "aws 111 (lab), 2 regions: clean" in setting.run().out
    assert len(json.loads(setting.run("--json", "--account", "two").out)["regions"]) == 1


def test_an_account_that_can_not_be_opened_does_not_hide_the_others(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise InputError("no such profile")

    several(setting, monkeypatch, fail)
    said = setting.run("--json")
    assert said.code == 1
    first, second = json.loads(said.out)
    assert (first["verdict"], second) == (
        "clean",
        {"account": "aws:two", "error": "no such profile"},
    )
    assert "error: aws:two: no such profile" in said.err
    assert setting.run("--account", "two").code == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["--account", "dev", "--project", "p"],
        ["--provider", "gcp", "--account", "dev"],
        ["--provider", "aws", "--project", "p"],
        ["--provider", "azure"],
        ["--sandbox", "--account", "dev"],
        ["--sandbox", "--project", "p"],
        ["--sandbox", "--provider", "gcp"],
        ["--grace", "soon"],
        ["--grace", "0h"],
        ["--max-share", "2"],
        ["--max-count", "0"],
        ["--delete"],
        ["--plan", "0" * 64],
        ["--delete", "--plan", "0" * 64],
        ["--delete", "--plan", "abc"],
        ["--delete", "--plan", "0" * 64, "--include-data"],
        ["--delete", "--plan", "0" * 64, "--grace", "1h"],
        ["--delete", "--plan", "0" * 64, "--max-share", "0"],
        ["--delete", "--plan", "0" * 64, "--region", "r1"],
    ],
)
def test_what_does_not_go_together_is_bad_input(setting: Setting, flags: list[str]) -> None:
    said = setting.run(*flags)
    assert said.code == 2
    assert "rror: " in said.err
    assert setting.world.opened == []


def test_the_grace_is_the_one_that_is_asked_for(setting: Setting) -> None:
    setting.world.add("iam:role", "role", setting.world.marks(setting.world.destroyed()))
    setting.world.pass_days(2)
    setting.run()
    setting.world.clock.sleep(COUNTS_AFTER)
    assert "the grace is 3 d" in setting.run("--grace", "3d").out
    assert "1 left over and provably ours" in setting.run("--grace", "90m").out


def test_data_is_planned_when_it_is_asked_for(setting: Setting) -> None:
    setting.leave("ec2:volume", "vol")
    assert "1 left over and provably ours" in setting.run("--include-data").out
    assert "1 left over and provably ours" not in setting.run("--include-data", "--grace", "2w").out


def test_a_plan_over_a_limit_is_shown_without_a_way_to_approve_it(setting: Setting) -> None:
    setting.leave()
    setting.leave(name="other")
    said = setting.run("--max-count", "1")
    assert "can't be approved: it would delete 2 things; the limit is 1" in said.out
    assert "--delete" not in said.out
    plan = json.loads(setting.run("--max-count", "1", "--json").out)["plan"]
    refused = setting.run("--delete", "--plan", plan, "--confirm-account", "lab")
    assert (refused.code, setting.world.cloud.deleted) == (3, [])


def test_deleting_asks_for_the_accounts_alias(setting: Setting) -> None:
    plan = setting.leave()
    said = setting.run("--delete", "--plan", plan, typed="lab\n")
    assert said.code == 0
    assert "This deletes 1 things in aws 111, none of them with data." in said.err
    assert "Type the account's alias to go on" in said.err
    assert "aws 111 (lab), 2 regions: 1 of 1 gone" in said.out
    assert setting.world.there() == set()
    (record,) = setting.world.ledger.sweeps.find(plan)
    assert record.approved_by
    assert record.executed_at


def test_an_account_without_an_alias_is_named_by_its_id(setting: Setting) -> None:
    setting.world.cloud.scope = setting.world.cloud.scope.model_copy(update={"alias": ""})
    plan = setting.leave()
    said = setting.run("--delete", "--plan", plan[:12], typed="111\n")
    assert (said.code, "Type the account's id to go on" in said.err) == (0, True)


@pytest.mark.parametrize("typed", ["\n", "y\n", "yes\n", "LAB\n", "111\n"])
def test_another_answer_is_refused(setting: Setting, typed: str) -> None:
    plan = setting.leave()
    opened = len(setting.world.opened)
    said = setting.run("--delete", "--plan", plan, typed=typed)
    assert (said.code, len(setting.world.opened)) == (3, opened)
    assert setting.world.cloud.deleted == []


def test_no_answer_aborts(setting: Setting) -> None:
    said = setting.run("--delete", "--plan", setting.leave())
    assert (said.code, setting.world.cloud.deleted) == (1, [])


def test_an_account_that_is_confirmed_is_not_asked_for(setting: Setting) -> None:
    plan = setting.leave()
    assert setting.run("--delete", "--plan", plan, "--confirm-account", "prod").code == 3
    said = setting.run("--delete", "--plan", plan, "--confirm-account", "lab", "--json")
    assert (said.code, json.loads(said.out)["complete"]) == (0, True)
    assert "Type" not in said.err


def test_yes_is_not_enough_in_a_cloud(setting: Setting) -> None:
    said = setting.run("--delete", "--plan", setting.leave(), "-y")
    assert (said.code, setting.world.cloud.deleted) == (2, [])
    assert "--confirm-account" in said.err


def test_yes_is_enough_in_the_sandbox(setting: Setting) -> None:
    sandbox(setting.terminal.settings.sandbox_dir, "one")
    setting.leave()
    said = setting.run("--sandbox")
    command = next(line for line in said.out.splitlines() if "--delete" in line).split()[2:]
    assert command[-1] == "--sandbox"
    assert setting.run(*command, "-y").code == 0
    assert setting.world.opened[-1].wiring.target == "sandbox"
    assert setting.world.there() == set()


def test_a_plan_that_is_a_day_old_is_refused_before_anything_is_opened(setting: Setting) -> None:
    plan = setting.leave()
    setting.world.pass_days(1.1)
    opened = len(setting.world.opened)
    said = setting.run("--delete", "--plan", plan, "--confirm-account", "lab")
    assert (said.code, len(setting.world.opened)) == (3, opened)
    assert "list again" in said.err


def test_a_plan_that_deletes_nothing_is_bad_input(setting: Setting) -> None:
    plan = json.loads(setting.run("--json").out)["plan"]
    said = setting.run("--delete", "--plan", plan)
    assert (said.code, "deletes nothing" in said.err) == (2, True)


def test_what_is_left_is_exit_code_1_with_the_reason(setting: Setting) -> None:
    plan = setting.leave()
    setting.world.cloud.denied = set(setting.world.cloud.items)
    said = setting.run("--delete", "--plan", plan, "--confirm-account", "lab")
    assert said.code == 1
    assert "0 of 1 gone" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("refused"))
    assert row.split() == ["refused", "iam:role", "role", "global", "AccessDenied"]
    assert "list again for what is left" in said.err


def test_a_plan_of_another_project_is_refused(setting: Setting) -> None:
    marks = setting.world.marks(setting.world.destroyed())
    setting.world.cloud.scope = Scope(provider="gcp", account="p", regions=("r1", "r2"))
    setting.world.add("iam:role", "role", marks)
    setting.world.pass_days(4)
    setting.run("--project", "p")
    setting.world.clock.sleep(COUNTS_AFTER)
    plan = json.loads(setting.run("--project", "p", "--json").out)["plan"]
    assert setting.run("--delete", "--plan", plan, "--project", "q").code == 3
    assert setting.run("--delete", "--plan", plan, "--confirm-account", "p").code == 0
    assert str(setting.world.opened[-1].account) == "gcp:p"


def test_progress_goes_to_stderr(setting: Setting) -> None:
    plan = setting.leave()
    said = setting.run("--delete", "--plan", plan, "--confirm-account", "lab", "--json")
    assert "deleted iam:role role (global)" in said.err
    json.loads(said.out)
