"""Terraform's command lines as values. No secret and no input value is ever part of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "apply_argv",
    "force_unlock_argv",
    "init_argv",
    "plan_argv",
    "show_plan_argv",
    "state_pull_argv",
    "state_push_argv",
]

Argv = tuple[str, ...]


def init_argv(tool: Sequence[str], *, reconfigure: bool = True, upgrade: bool = False) -> Argv:
    """``init``; ``reconfigure`` accepts a changed backend without moving state."""
    argv = [*tool, "init", "-input=false", "-no-color", "-json"]
    if reconfigure:
        argv.append("-reconfigure")
    if upgrade:
        argv.append("-upgrade")
    return tuple(argv)


def plan_argv(
    tool: Sequence[str],
    out: Path,
    *,
    destroy: bool = False,
    refresh_only: bool = False,
    targets: Sequence[str] = (),
    lock_timeout: int = 0,
) -> Argv:
    """``plan`` saved to ``out``; exit code 2 says that there are changes.

    ``targets`` are addresses; with any, only they and what they need are planned.
    """
    argv = [*tool, "plan", "-input=false", "-no-color", "-json", "-detailed-exitcode"]
    argv.append(f"-lock-timeout={lock_timeout}s")
    if destroy:
        argv.append("-destroy")
    if refresh_only:
        argv.append("-refresh-only")
    argv += [f"-target={address}" for address in targets]
    return (*argv, f"-out={out}")


def apply_argv(tool: Sequence[str], planfile: Path, *, lock_timeout: int = 0) -> Argv:
    """``apply`` of a saved plan, never of anything else."""
    flags = ("-input=false", "-no-color", "-json", f"-lock-timeout={lock_timeout}s")
    return (*tool, "apply", *flags, str(planfile))


def show_plan_argv(tool: Sequence[str], planfile: Path) -> Argv:
    """``show`` of a saved plan as JSON; the output holds secrets."""
    return (*tool, "show", "-no-color", "-json", str(planfile))


def force_unlock_argv(tool: Sequence[str], lock_id: str) -> Argv:
    """``force-unlock`` without a question."""
    return (*tool, "force-unlock", "-force", lock_id)


def state_pull_argv(tool: Sequence[str]) -> Argv:
    """``state pull``; the output holds secrets."""
    return (*tool, "state", "pull")


def state_push_argv(tool: Sequence[str], file: Path, *, lock_timeout: int = 0) -> Argv:
    """``state push`` of a state that Terraform could not save."""
    return (*tool, "state", "push", f"-lock-timeout={lock_timeout}s", str(file))
