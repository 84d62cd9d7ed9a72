"""A folder with a module, its state and the engine, for the tests of the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from mlstacks_dagster.engines.environment import tool_environment
from mlstacks_dagster.engines.process import ProcessRunner
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.terraform import Event, TerraformEngine
from mlstacks_dagster.engines.tf_stage import UnitRequest, Workspace
from mlstacks_dagster.engines.tools import find_terraform
from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.settings import Settings

WAIT_SECONDS = 60.0
SECRET = "planted-secret-5f21"
QUICK = """
variable "size" {
  type    = number
  default = 2
}
variable "password" {
  type      = string
  sensitive = true
  default   = ""
}
variable "careless" {
  type    = string
  default = ""
}
resource "terraform_data" "item" {
  count = var.size
  input = "item ${count.index} ${var.careless}"
}
output "first" {
  value = one(slice(terraform_data.item[*].output, 0, 1))
}
output "password" {
  value     = var.password
  sensitive = true
}
"""
# One resource is done at once, one takes a while, one waits for it.
SLOW = """
resource "terraform_data" "before" {
  input = "x"
}
resource "terraform_data" "slow" {
  input      = "x"
  depends_on = [terraform_data.before]
  provisioner "local-exec" {
    command = "sleep 2"
  }
}
resource "terraform_data" "after" {
  input      = "x"
  depends_on = [terraform_data.slow]
}
"""


class Bench:
    """A home folder, a module and an engine."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", stacks_dir=folder)
        self.module = folder / "module"
        self.module.mkdir()
        self.tool = find_terraform(self.settings, which=lambda _: None)
        self.engine = self.new_engine()
        self.events: list[Event] = []

    def new_engine(self, runner: ProcessRunner | None = None) -> TerraformEngine:
        return TerraformEngine(self.tool, runner or ProcessRunner(), self.settings, lock_timeout=1)

    def request(self, wiring: Wiring = CLOUD, **variables) -> UnitRequest:
        home = self.settings.home
        return UnitRequest(
            unit="unit",
            module=self.module,
            work_dir=home / "work" / "s1" / "unit",
            backend={"local": {"path": str(home / "state" / "s1" / "terraform.tfstate")}},
            variables=variables,
            wiring=wiring,
            environment=tool_environment({"PATH": os.defpath}, {}, wiring),
            redactor=Redactor([SECRET]),
        )

    def stage(self, code: str = "", **variables) -> Workspace:
        if code:
            (self.module / "main.tf").write_text(code)
        workspace = self.engine.stage(self.request(**variables), on_event=self.events.append)
        self.engine.init(workspace, on_event=self.events.append)
        return workspace

    def deploy(self, code: str = "", **variables) -> Workspace:
        workspace = self.stage(code, **variables)
        plan = self.engine.plan(workspace, on_event=self.events.append)
        self.engine.apply(workspace, plan, on_event=self.events.append)
        return workspace

    @property
    def state(self) -> Path:
        return self.settings.home / "state" / "s1" / "terraform.tfstate"

    def addresses(self, workspace: Workspace) -> set[str]:
        return {r.address for r in self.new_engine().resources(workspace)}


def running_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(folder)
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)
