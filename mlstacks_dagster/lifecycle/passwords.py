"""Read a Secret of a deployed stack: the only way to a generated password."""

from __future__ import annotations

from mlstacks_dagster.errors import InputError
from mlstacks_dagster.lifecycle.api import live_stack
from mlstacks_dagster.lifecycle.helm_session import HelmSession
from mlstacks_dagster.lifecycle.kube_setup import read_secret
from mlstacks_dagster.lifecycle.models import Progress, UnitJob
from mlstacks_dagster.lifecycle.session import open_ledger
from mlstacks_dagster.lifecycle.tools import Tools
from mlstacks_dagster.settings import Settings

__all__ = ["stack_secret"]


class _Silent:
    def line(self, text: str) -> None:
        pass

    def milestone(self, text: str) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass


def stack_secret(
    stack: str, secret: str, settings: Settings, tools: Tools | None = None
) -> dict[str, str]:
    """Return the texts in the Secret named ``secret`` of a unit of the deployed stack.

    They come from the cluster; nothing is kept. Raises :class:`InputError` when no unit has
    such a Secret, and what reaching the cluster raises.
    """
    with open_ledger(settings) as ledger:
        record = live_stack(stack, ledger, settings)
        if record is None:
            raise InputError(f"stack {stack} is not deployed", remedy="deploy it first")
        known: list[str] = []
        for unit in record.plan.units:
            names = [s.name for s in unit.definition.helm.secrets] if unit.definition.helm else []
            known += names
            if secret in names:
                job = UnitJob(plan=record.plan, unit=unit.name, run_id="")
                session = HelmSession(job, record, settings, ledger, _Silent(), tools)
                return read_secret(session.cluster.kube, session.namespace, secret)
    listed = ", ".join(known) or "none"
    raise InputError(f"stack {stack} has no secret {secret}", remedy=f"it has: {listed}")
