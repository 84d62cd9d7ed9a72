"""Opens the cloud accounts that sweeps look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mlstacks_dagster.catalog.models import PlannedUnit
from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import InputError
from mlstacks_dagster.sweep.inventory.handlers import Cloud
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact

__all__ = [
    "AccountSpec",
    "CloudOpener",
    "account_of",
    "home_region_of",
    "open_cloud",
    "parse_account",
]

_PROVIDERS = ("aws", "gcp")
_AWS_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class AccountSpec:
    """Where to look: ``name`` is an AWS profile or a Google project, empty: the default one."""

    provider: Literal["aws", "gcp"]
    name: str = ""

    def __str__(self) -> str:
        """Render as ``aws`` or ``aws:NAME``, as :func:`parse_account` reads it."""
        return f"{self.provider}:{self.name}" if self.name else self.provider


class CloudOpener(Protocol):
    """Opens one account or project; tests give another."""

    def __call__(
        self,
        account: AccountSpec,
        wiring: Wiring,
        environment: Mapping[str, str],
        *,
        home_region: str,
        regions: Sequence[str] = (),
        clusters: Sequence[ClusterFact] = (),
    ) -> Cloud:
        """Return the account; no ``regions`` means all that it has.

        ``clusters`` without an account are expected in the one that is opened.
        """


def parse_account(text: str) -> AccountSpec:
    """Read ``aws``, ``aws:PROFILE``, ``gcp`` or ``gcp:PROJECT``; raises :class:`InputError`."""
    provider, _, name = text.partition(":")
    for known in _PROVIDERS:
        if provider == known:
            return AccountSpec("aws" if known == "aws" else "gcp", name)
    raise InputError(
        f"no provider {provider!r} can be swept",
        remedy=f"write one of {', '.join(_PROVIDERS)}, or with a name: aws:PROFILE, gcp:PROJECT",
    )


def account_of(unit: PlannedUnit) -> AccountSpec | None:
    """Return the account that a unit's module works in, None when it works in no cloud.

    A release works in a cluster; what its cluster makes lies in the cluster's account.
    """
    provider = unit.definition.provider
    if unit.definition.engine != "terraform" or provider not in _PROVIDERS:
        return None
    if provider == "aws":
        return AccountSpec("aws")
    return AccountSpec("gcp", str(unit.variables.get("project_id") or ""))


def home_region_of(environment: Mapping[str, str]) -> str:
    """Return the region to ask for what has none, as AWS's own tools find it."""
    named = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return named or "us-east-1"


def open_cloud(
    account: AccountSpec,
    wiring: Wiring,
    environment: Mapping[str, str],
    *,
    home_region: str,
    regions: Sequence[str] = (),
    clusters: Sequence[ClusterFact] = (),
) -> Cloud:
    """Return the account that ``environment`` gives access to, or the emulated one.

    A profile that is named wins over credentials in the environment. Raises
    :class:`~mlstacks_dagster.errors.MlstacksError` when nobody can say which it is.
    """
    if account.provider == "aws":
        from mlstacks_dagster.sweep.aws.connect import connect  # noqa: PLC0415 - slow to load

        env = dict(environment)
        if account.name and wiring.target == "cloud":
            env = {k: v for k, v in env.items() if k not in _AWS_CREDENTIALS}
            env["AWS_PROFILE"] = account.name
        return connect(wiring, env, home_region=home_region, regions=regions, clusters=clusters)
    return _google(account, wiring, environment, regions, clusters)


def _google(
    account: AccountSpec,
    wiring: Wiring,
    environment: Mapping[str, str],
    regions: Sequence[str],
    clusters: Sequence[ClusterFact],
) -> Cloud:
    from mlstacks_dagster.sweep.gcp.access import GcpAccess  # noqa: PLC0415 - slow to load
    from mlstacks_dagster.sweep.gcp.cloud import GcpCloud  # noqa: PLC0415
    from mlstacks_dagster.sweep.gcp.projects import find_projects  # noqa: PLC0415

    if wiring.target == "sandbox":
        raise InputError(
            "the sandbox has no Google project", remedy="sweep `aws`, or leave out --sandbox"
        )
    project = account.name or environment.get("GOOGLE_CLOUD_PROJECT", "")
    if not project:
        raise InputError(
            "no Google project is named",
            remedy="write gcp:PROJECT, or set GOOGLE_CLOUD_PROJECT",
        )
    access = GcpAccess()
    found = find_projects(access, only=(project,), regions=regions)
    if not found:
        raise InputError(
            f"there is no Google project {project!r} that these credentials may see",
            remedy="check its id, and the role resourcemanager.projects.get",
        )
    here = [c if c.account else c.model_copy(update={"account": project}) for c in clusters]
    return GcpCloud(found[0], access, clusters=here)
