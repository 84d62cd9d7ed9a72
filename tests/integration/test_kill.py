"""Kill the Dagster process, a step process or Terraform, again and again: nothing is lost.

Each victim gets five kills on a stack of two units, and two more on the full stack: 21 in all, at
random moments of deploys and destroys, several in a row. The seed is printed; set
MLSTACKS_TEST_SEED to repeat a run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from mlstacks_dagster.engines.process_record import read_record, recorded_process
from tests.integration.conftest import Sandbox
from tests.integration.stacks import FULL, write_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

BUCKET = ("artifact_store", "s3"), {"bucket": 1}
REGISTRY = ("container_registry", "aws"), {"repository": 1}
ROLE = ("step_operator", "sagemaker"), {"role": 1}
# What is killed, and on what: two units at the same time, or the role after the other.
SMALL = {"dagster": (BUCKET, REGISTRY), "step": (REGISTRY, ROLE), "terraform": (BUCKET, ROLE)}
# How many of each there are after a deploy that nobody disturbed.
FULL_ONCE = {
    "vpc": 1, "subnet": 4, "igw": 1, "nat": 1, "eip": 1, "cluster": 1, "nodegroup": 1,
    "template": 1, "oidc": 1, "loggroup": 1, "bucket": 1, "repository": 1, "role": 4,
}  # fmt: skip
KILLS_OF_EACH = 5
FIRST_SECONDS, LAST_SECONDS = 0.5, 300.0


@pytest.mark.parametrize("victim", SMALL)
def test_a_kill_at_any_moment_loses_nothing(victim: str, sandbox: Sandbox, tmp_path: Path) -> None:
    components, once = zip(*SMALL[victim], strict=True)
    file = write_stack(sandbox.stacks / "s", "victim", components)
    siege = Siege(sandbox, file, tmp_path / "log", ChainMap(*once), in_a_row=(2, 3), seconds=8.0)
    siege.lay([victim] * KILLS_OF_EACH)


def test_kills_in_a_row_lose_nothing_of_a_full_stack(sandbox: Sandbox, tmp_path: Path) -> None:
    file = write_stack(sandbox.stacks / "s", "victim", FULL)
    siege = Siege(sandbox, file, tmp_path / "log", FULL_ONCE, in_a_row=(3,), seconds=20.0)
    siege.lay([*SMALL, *SMALL])


def _seed() -> int:
    return int(os.environ.get("MLSTACKS_TEST_SEED") or random.SystemRandom().randrange(10**6))


@dataclass
class Siege:
    """Deploys and destroys of one stack under kills.

    After as many kills as one of ``in_a_row`` says, a command may finish. ``seconds`` is how
    long one takes, until a command that nobody disturbed has shown it.
    """

    sandbox: Sandbox
    file: Path
    log: Path
    once: Mapping[str, int]
    in_a_row: Sequence[int]
    seconds: float
    seed: int = field(default_factory=_seed)
    kills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.lasts = {"deploy": self.seconds, "destroy": self.seconds}
        self.before = self.sandbox.account.kinds()
        self.empty = self.sandbox.account.everything()

    def lay(self, victims: Sequence[str]) -> None:
        """Kill all ``victims``, one after the other; in the end nothing exists any more."""
        print(f"seed {self.seed}")
        waiting = list(victims)
        self.rng.shuffle(waiting)
        verb = "deploy"
        while waiting or verb == "destroy":
            self._bring_through(verb, waiting)
            if verb == "deploy":
                made = self.sandbox.account.kinds() - self.before
                assert {kind: made[kind] for kind in self.once} == self.once, self.story
            else:
                assert self.sandbox.account.everything() == self.empty, self.story
            verb = "destroy" if verb == "deploy" else "deploy"
        assert len(self.kills) == len(victims)
        assert not _terraforms(self.sandbox.home)

    def _bring_through(self, verb: str, waiting: list[str]) -> None:
        """Repeat one command until it succeeds; whom it was killed by is no longer waiting."""
        kills = self.rng.choice(self.in_a_row)
        while True:
            victim = waiting[0] if waiting and kills else None
            killed, code = self._attempt(verb, victim)
            if killed:
                kills -= 1
                waiting.pop(0)
                if victim == "dagster":
                    assert code == -signal.SIGKILL, self.story
            if code == 0:
                return
            assert killed, self.story

    def _attempt(self, verb: str, victim: str | None) -> tuple[bool, int]:
        """Run the command, and kill ``victim`` if it can be caught; return its exit code too."""
        args = ("-f", str(self.file), "--sandbox") if verb == "deploy" else ("victim", "-y")
        began = time.monotonic()
        command = self.sandbox.cli.start(verb, *args, log=self.log)
        killed = False
        if victim is not None:
            moment = self.rng.uniform(FIRST_SECONDS, self.lasts[verb])
            killed = self._kill(victim, command, began + moment)
            if killed:
                self.kills.append(f"{victim} {time.monotonic() - began:.2f} s into {verb}")
        code = command.wait(LAST_SECONDS)
        if victim is None:
            self.lasts[verb] = time.monotonic() - began
        return killed, code

    def _kill(self, victim: str, command: subprocess.Popen[bytes], moment: float) -> bool:
        """Wait until ``moment`` and then for a victim; False when the command ended first."""
        run = psutil.Process(command.pid)
        while command.poll() is None:
            if time.monotonic() >= moment and (found := self._found(victim, run)):
                try:
                    self.rng.choice(found).send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
                return True
            time.sleep(0.02)
        return False

    def _found(self, victim: str, run: psutil.Process) -> list[psutil.Process]:
        try:
            if victim == "dagster":
                return [run]
            return _steps(run) if victim == "step" else _terraforms(self.sandbox.home)
        except psutil.NoSuchProcess:
            return []

    @property
    def story(self) -> str:
        """What to show when an assertion fails."""
        return f"seed {self.seed}, kills {self.kills}\n{self.log.read_text()[-6000:]}"


def _terraforms(home: Path) -> list[psutil.Process]:
    """Return the Terraforms at work, as far as they are written down."""
    records = [read_record(path) for path in home.glob("work/*/*/child.json")]
    found = [recorded_process(record) for record in records if record and record.pid]
    return [process for process in found if process]


def _steps(run: psutil.Process) -> list[psutil.Process]:
    """Return the processes between the run's and Terraform's: forked by the fork server."""
    found = []
    for child in run.children(recursive=True):
        try:
            if "forkserver" in " ".join(child.cmdline()) and child.ppid() != run.pid:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
