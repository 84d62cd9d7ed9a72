"""When ``terraform init`` can be skipped, and who may run it.

Terraform's provider cache is not made for several ``init`` at a time, so they take turns. The
lock's file descriptor is passed on to the child: an ``init`` whose starter was killed keeps it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlstacks_dagster.engines.tf_stage import Workspace
from mlstacks_dagster.files import disk_errors, private_folder, write_private

__all__ = ["cache_lock", "forget_init", "is_initialised", "remember_init"]

_LOCK_FILE = ".terraform.lock.hcl"


def is_initialised(workspace: Workspace, stamp: str) -> bool:
    """Tell whether the last good init was made for ``stamp`` and what it made is still there."""
    try:
        known = json.loads(_note(workspace).read_text())
    except (OSError, ValueError):
        return False
    data = workspace.module / ".terraform"
    if known != {"stamp": stamp} or not (data / "terraform.tfstate").is_file():
        return False
    packages = (data / "providers").glob("*/*/*/*/*")
    return all(package.exists() for package in packages)


def remember_init(workspace: Workspace, stamp: str) -> None:
    """Note that an init for ``stamp`` went well."""
    with disk_errors(workspace.root, f"initialising {workspace.unit}"):
        write_private(_note(workspace), json.dumps({"stamp": stamp}).encode())


def forget_init(workspace: Workspace, *, keep_lock_file: bool = False) -> None:
    """Make the next init a real one.

    Terraform's lock of provider checksums is removed too, unless the module brought one or
    ``keep_lock_file``: what a mirror serves has other checksums than the registry's archive.
    """
    _note(workspace).unlink(missing_ok=True)
    if keep_lock_file:
        return
    ours = not (workspace.request.module / _LOCK_FILE).exists()
    if ours or workspace.request.wiring.provider_mirror is not None:
        (workspace.module / _LOCK_FILE).unlink(missing_ok=True)
    shutil.rmtree(workspace.module / ".terraform" / "providers", ignore_errors=True)


@contextmanager
def cache_lock(cache: Path | None) -> Iterator[tuple[int, ...]]:
    """Hold the provider cache's lock; yield the file descriptors to pass on to the child.

    None, no cache, needs no lock.
    """
    if cache is None:
        yield ()
        return
    with disk_errors(cache, "opening the provider cache"):
        private_folder(cache)
        descriptor = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _note(workspace: Workspace) -> Path:
    return workspace.root / "init.json"
