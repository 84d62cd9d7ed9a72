"""Terraform's command lines, with defaults and with everything set."""

from pathlib import Path

from mlstacks_dagster.engines import tf_argv

TF = ("/bin/terraform",)
COMMON = ("-input=false", "-no-color")


def test_init():
    base = (*TF, "init", *COMMON, "-json")
    assert tf_argv.init_argv(TF) == (*base, "-reconfigure")
    assert tf_argv.init_argv(TF, reconfigure=False) == base
    assert tf_argv.init_argv(TF, upgrade=True) == (*base, "-reconfigure", "-upgrade")


def test_plan_defaults():
    assert tf_argv.plan_argv(TF, Path("/w/plan.bin")) == (
        *TF, "plan", *COMMON, "-json", "-detailed-exitcode", "-lock-timeout=0s", "-out=/w/plan.bin",
    )  # fmt: skip


def test_plan_with_everything_set():
    argv = tf_argv.plan_argv(TF, Path("p"), destroy=True, refresh_only=True, lock_timeout=60)
    assert argv[4:] == (
        "-json", "-detailed-exitcode", "-lock-timeout=60s", "-destroy", "-refresh-only", "-out=p",
    )  # fmt: skip


def test_no_plan_ever_skips_the_refresh():
    for destroy in (True, False):
        assert "-refresh=false" not in tf_argv.plan_argv(TF, Path("p"), destroy=destroy)


def test_apply_takes_a_saved_plan_and_nothing_that_approves_another():
    argv = tf_argv.apply_argv(TF, Path("/w/plan.bin"), lock_timeout=5)
    assert argv == (*TF, "apply", *COMMON, "-json", "-lock-timeout=5s", "/w/plan.bin")
    assert "-auto-approve" not in argv


def test_targets_are_planned_one_flag_each():
    argv = tf_argv.plan_argv(TF, Path("p"), targets=['aws_subnet.a["x"]', "aws_vpc.this"])
    assert argv[-3:] == ('-target=aws_subnet.a["x"]', "-target=aws_vpc.this", "-out=p")


def test_reading_commands():
    assert tf_argv.show_plan_argv(TF, Path("p")) == (*TF, "show", "-no-color", "-json", "p")
    assert tf_argv.state_pull_argv(TF) == (*TF, "state", "pull")


def test_state_repairs():
    assert tf_argv.force_unlock_argv(TF, "id-1") == (*TF, "force-unlock", "-force", "id-1")
    assert tf_argv.state_push_argv(TF, Path("e"), lock_timeout=2) == (
        *TF, "state", "push", "-lock-timeout=2s", "e",
    )  # fmt: skip


def test_a_tool_of_several_words_comes_first_in_every_command():
    tool = ("python", "-I", "cli.py", "lib.so")
    assert tf_argv.state_pull_argv(tool)[:5] == (*tool, "state")
