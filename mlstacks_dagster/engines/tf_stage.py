"""A unit's private work folder: the module's copy and the files that we add to it.

::

    <work_dir>/module/     the copy, with backend.tf.json, terraform.tfvars.json and, for an
                           emulator, mlstacks_override.tf.json; Terraform's own .terraform
    <work_dir>/cli.tfrc    Terraform's CLI configuration
    <work_dir>/logs/       raw output, one file a command
    <work_dir>/plan.bin    the saved plan, from plan until it was applied
    <work_dir>/child.json  the running command, see process_record
    <work_dir>/init.json   what the last good init was made for
    <work_dir>/crash.json  a command that was cut off, until a state lock of it is released

Everything is readable by the owner only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.variables import module_providers
from mlstacks_dagster.engines.environment import user_cli_config
from mlstacks_dagster.engines.process import Settled
from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.wiring import CLOUD, Wiring
from mlstacks_dagster.errors import MlstacksError
from mlstacks_dagster.files import disk_errors, private_folder, write_private

__all__ = ["UnitRequest", "Workspace", "merge_overrides", "stage", "write_imports"]

ERRORED_STATE = "errored.tfstate"

_LOCK_FILE = ".terraform.lock.hcl"
_IMPORTS = "mlstacks_imports.tf.json"
_KEPT = frozenset({".terraform", _LOCK_FILE, ERRORED_STATE})
_GENERATED = ("backend.tf.json", "terraform.tfvars.json", "mlstacks_override.tf.json")


@dataclass(frozen=True)
class UnitRequest:
    """A unit as its tool is to see it.

    ``backend`` is Terraform's backend block, ``{type: {setting: value}}``; ``variables`` are
    input values; ``environment`` is made by :func:`tool_environment`; ``redactor`` masks the
    unit's secrets in everything that is shown.
    """

    unit: str
    module: Path
    work_dir: Path
    backend: Mapping[str, Any]
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    wiring: Wiring = CLOUD
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    redactor: Redactor = field(default_factory=Redactor, repr=False)


@dataclass(frozen=True)
class Workspace:
    """A staged unit; ``settled`` tells what became of an earlier command in its folder."""

    request: UnitRequest
    cli_config: Path
    fingerprint: str
    settled: Settled = field(default_factory=Settled)

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.request.unit

    @property
    def root(self) -> Path:
        """The work folder."""
        return self.request.work_dir

    @property
    def module(self) -> Path:
        """The module's private copy, where Terraform runs."""
        return self.root / "module"

    @property
    def planfile(self) -> Path:
        """Where a plan is saved."""
        return self.root / "plan.bin"

    @property
    def record(self) -> Path:
        """Where the running command is written down."""
        return self.root / "child.json"

    @property
    def errored_state(self) -> Path:
        """Where Terraform puts a state that it could not save."""
        return self.module / ERRORED_STATE

    @property
    def state_file(self) -> Path | None:
        """The local state file; None when the state is in a bucket."""
        local = self.request.backend.get("local")
        return Path(local["path"]) if local else None

    def log(self, verb: str) -> Path:
        """Return where the raw output of ``verb`` goes."""
        return self.root / "logs" / f"{verb}.log"

    def redact(self, text: str) -> str:
        """Mask the unit's secrets in ``text``."""
        return self.request.redactor(text)


def stage(
    request: UnitRequest,
    *,
    settled: Settled | None = None,
    write: Callable[[Path, bytes], None] = write_private,
) -> Workspace:
    """Make or renew the unit's work folder and return it.

    Files that are no longer part of the module are removed; Terraform's own are kept, so that
    ``init`` can be skipped. Raises :class:`MlstacksError` when the disk is full or the folder
    can't be written.
    """
    with disk_errors(request.work_dir, f"staging {request.unit}"):
        private_folder(request.work_dir)
        module = private_folder(request.work_dir / "module")
        contents = {**_module_files(request), **_generated(request)}
        _remove_stale(module, frozenset(contents))
        for name, content in contents.items():
            target = module / name
            if len(Path(name).parts) > 1:
                private_folder(target.parent)
            write(target, content)
        state = request.backend.get("local")
        if state:
            private_folder(Path(state["path"]).parent)
        cli_config = _cli_config(request, write)
    return Workspace(
        request=request,
        cli_config=cli_config,
        fingerprint=_fingerprint(request, contents, cli_config),
        settled=settled or Settled(),
    )


def _module_files(request: UnitRequest) -> dict[str, bytes]:
    if not request.module.is_dir():
        raise MlstacksError(
            f"{request.unit}: its module {request.module} is gone",
            remedy="restore the folder, or set MLSTACKS_CATALOG_PATH to where it is now",
        )
    excluded = {name for o in _overrides_used(request).values() for name in o.exclude_files} | set(
        _GENERATED
    )
    found = {}
    for path in sorted(request.module.rglob("*")):
        name = path.relative_to(request.module)
        if name.as_posix() in excluded or not path.is_file() or not _is_part(name):
            continue
        if name.name == _LOCK_FILE and request.wiring.provider_mirror is not None:
            continue
        found[name.as_posix()] = path.read_bytes()
    return found


def _is_part(name: Path) -> bool:
    """Tell whether a file belongs to the module, rather than to a use of it in place."""
    if any(part.startswith(".") for part in name.parts):
        return name.as_posix() == _LOCK_FILE
    state = ".tfstate" in name.name
    values = name.name.endswith((".tfvars", ".tfvars.json"))
    return not (state or values or name.name.endswith((".tftest.hcl", ".tftest.json")))


def _overrides_used(request: UnitRequest) -> dict[str, Any]:
    if not request.wiring.providers:
        return {}
    declared = module_providers(request.module)
    return {n: o for n, o in request.wiring.providers.items() if n in declared}


def _generated(request: UnitRequest) -> dict[str, bytes]:
    files = {
        "backend.tf.json": _json({"terraform": {"backend": request.backend}}),
        "terraform.tfvars.json": _json(request.variables),
    }
    overrides = [o.override for o in _overrides_used(request).values() if o.override]
    if overrides:
        files["mlstacks_override.tf.json"] = _json(merge_overrides(overrides))
    return files


def merge_overrides(overrides: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge override documents of several providers; of two plain values the later wins."""
    merged: dict[str, Any] = {}
    for override in overrides:
        for key, value in override.items():
            old = merged.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                merged[key] = merge_overrides([old, value])
            elif isinstance(old, list) and isinstance(value, list):
                merged[key] = [*old, *value]
            else:
                merged[key] = value
    return merged


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, default=dict).encode()


def write_imports(workspace: Workspace, imports: Mapping[str, str]) -> None:
    """Write ``import`` blocks, ids by address, into the staged module; none removes the file.

    Blocks are evaluated as part of a plan. ``terraform import`` is not: it can't evaluate a
    ``for_each`` over resources that are not in the state yet.
    """
    path = workspace.module / _IMPORTS
    if not imports:
        path.unlink(missing_ok=True)
        return
    blocks = [
        {"to": address, "id": identifier.replace("${", "$${").replace("%{", "%%{")}
        for address, identifier in imports.items()
    ]
    with disk_errors(workspace.root, f"staging {workspace.unit}"):
        write_private(path, json.dumps({"import": blocks}, indent=2).encode())


def _remove_stale(module: Path, wanted: frozenset[str]) -> None:
    for entry in sorted(_entries(module), key=lambda path: -len(path.parts)):
        name = entry.relative_to(module).as_posix()
        if entry.is_dir() and not entry.is_symlink():
            if not any(w.startswith(f"{name}/") for w in wanted):
                shutil.rmtree(entry)
        elif name not in wanted:
            entry.unlink()


def _entries(module: Path) -> Iterator[Path]:
    for top in module.iterdir():
        if top.name in _KEPT:
            continue
        yield top
        if top.is_dir() and not top.is_symlink():
            yield from top.rglob("*")


def _cli_config(request: UnitRequest, write: Callable[[Path, bytes], None]) -> Path:
    """Write our CLI configuration, or return the user's when nothing of ours must hold."""
    mirror = request.wiring.provider_mirror
    if mirror is None and (theirs := user_cli_config(request.environment)) is not None:
        return theirs
    lines = ["disable_checkpoint = true"]
    if mirror is not None:
        lines += [
            "provider_installation {",
            "  filesystem_mirror {",
            f"    path = {json.dumps(str(mirror))}",
            "  }",
            "}",
        ]
    path = request.work_dir / "cli.tfrc"
    write(path, ("\n".join(lines) + "\n").encode())
    return path


def _fingerprint(request: UnitRequest, contents: Mapping[str, bytes], cli_config: Path) -> str:
    """Return a hash of what ``init`` depends on; input values are not among it."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        if name != "terraform.tfvars.json":
            digest.update(f"{name}\0{len(contents[name])}\0".encode())
            digest.update(contents[name])
    digest.update(str(request.wiring.provider_mirror).encode())
    digest.update(cli_config.read_bytes())
    return digest.hexdigest()
