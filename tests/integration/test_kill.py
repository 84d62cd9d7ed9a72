"""Kill the Dagster process, a step process or Terraform, again and again: nothing is lost.

Every victim gets seven kills at random moments of deploys and destroys (21 in all). The seed is
printed; set MLSTACKS_TEST_SEED to repeat a run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack

KILLS = 7
LONGEST_WAIT_SECONDS = 14.0
# How many of each there are after a deploy that nobody disturbed.
ONCE = {
    "vpc": 1, "subnet": 4, "igw": 1, "nat": 1, "eip": 1, "cluster": 1, "nodegroup": 1,
    "template": 1, "oidc": 1, "loggroup": 1, "bucket": 1, "repository": 1, "role": 4,
}  # fmt: skip


def _terraforms(home: Path) -> list[psutil.Process]:
    found = []
    for record in home.glob("work/*/*/child.json"):
        try:
            found.append(psutil.Process(json.loads(record.read_text())["pid"]))
        except (OSError, ValueError, psutil.NoSuchProcess):
            continue
    return found


def _steps(run: psutil.Process) -> list[psutil.Process]:
    """The processes between the run's and Terraform's: forked by the fork server."""
    found = []
    for child in run.children(recursive=True):
        try:
            if "forkserver" in " ".join(child.cmdline()) and child.ppid() != run.pid:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def _victims(kind: str, run: psutil.Process, home: Path) -> list[psutil.Process]:
    try:
        if kind == "dagster":
            return [run]
        return _steps(run) if kind == "step" else _terraforms(home)
    except psutil.NoSuchProcess:
        return []


def _killed(
    kind: str, command: subprocess.Popen[bytes], home: Path, moment: float, rng: random.Random
) -> bool:
    """Wait until ``moment`` and then for a victim; kill it. False when the command ended first."""
    run, deadline = psutil.Process(command.pid), time.monotonic() + moment
    while command.poll() is None:
        if time.monotonic() >= deadline and (found := _victims(kind, run, home)):
            victim = rng.choice(found)
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["dagster", "step", "terraform"])
def test_a_kill_at_any_moment_loses_nothing(kind: str, sandbox: Sandbox, tmp_path: Path) -> None:
    seed = int(os.environ.get("MLSTACKS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    log = tmp_path / "log"
    file = write_stack(sandbox.stacks / "s", "victim")
    empty = sandbox.account.everything()
    before = sandbox.account.kinds()
    verbs = {
        "deploy": ("deploy", "-f", str(file), "--sandbox"),
        "destroy": ("destroy", "victim", "-y"),
    }
    kills: Counter[str] = Counter()
    verb = "deploy"
    while sum(kills.values()) < KILLS or verb == "destroy":
        command = sandbox.cli.start(*verbs[verb], log=log)
        enough = sum(kills.values()) >= KILLS
        moment = 1e9 if enough else rng.uniform(0.5, LONGEST_WAIT_SECONDS)
        killed = _killed(kind, command, sandbox.home, moment, rng)
        code = command.wait(300)
        kills[verb] += killed
        context = f"seed {seed}, {kind}, kills {dict(kills)}\n{log.read_text()[-6000:]}"
        if killed and kind == "dagster":
            assert code == -signal.SIGKILL, context
        if killed and code != 0:
            # Two kills in a row are worth more than one; then let it finish.
            if rng.random() < 0.5 and not enough:
                continue
            done = sandbox.cli.start(*verbs[verb], log=log)
            assert done.wait(300) == 0, f"seed {seed}, {kind}\n{log.read_text()[-6000:]}"
        else:
            assert code == 0, context
        if verb == "deploy":
            made = sandbox.account.kinds() - before
            assert {kind: made[kind] for kind in ONCE} == ONCE, context
            verb = "destroy"
        else:
            assert sandbox.account.everything() == empty, context
            verb = "deploy"
    assert sandbox.account.everything() == empty
    assert not _terraforms(sandbox.home)
