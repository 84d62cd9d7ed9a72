"""A ledger, an account in memory and a sweeper between them, all on one clock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.catalog.models import Plan
from mlstacks_dagster.engines.wiring import Target, Wiring
from mlstacks_dagster.ledger import Ledger, ResourceItem
from mlstacks_dagster.ledger.sweeps import COUNTS_AFTER
from mlstacks_dagster.lifecycle.clouds import AccountSpec
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.inventory.model import Item, Ref
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact
from tests.unit.ledger.helpers import begin, make_plan
from tests.unit.sweep.inventory.fake_cloud import FakeClock, FakeCloud

AWS = AccountSpec("aws")
DAY = 86_400.0
OLD = -30 * DAY


@dataclass
class Opened:
    """How the cloud was asked for."""

    account: AccountSpec
    wiring: Wiring
    environment: Mapping[str, str]
    home_region: str
    regions: Sequence[str]
    clusters: Sequence[ClusterFact]


@dataclass
class SweepWorld:
    """What the tests of sweeps work with; ``clouds`` are opened by the account's name."""

    settings: Settings
    ledger: Ledger
    clock: FakeClock
    cloud: FakeCloud = field(default_factory=FakeCloud)
    clouds: dict[str, FakeCloud] = field(default_factory=dict)
    opened: list[Opened] = field(default_factory=list)
    target: Target = "cloud"

    def open_cloud(
        self,
        account: AccountSpec,
        wiring: Wiring,
        environment: Mapping[str, str],
        *,
        home_region: str,
        regions: Sequence[str] = (),
        clusters: Sequence[ClusterFact] = (),
    ) -> FakeCloud:
        self.opened.append(Opened(account, wiring, environment, home_region, regions, clusters))
        name = account.name or environment.get("AWS_PROFILE", "")
        return self.clouds.get(name, self.cloud)

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            self.settings,
            self.ledger,
            target=self.target,
            open_cloud=self.open_cloud,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def deployed(
        self,
        *resources: ResourceItem,
        plan: Plan | None = None,
        account: str | None = None,
        **where: Any,
    ) -> str:
        """Make a live stack; returns its id."""
        plan = plan or make_plan("demo", "network", region="r1")
        stack = self.ledger.register_stack(plan, expires_at=None, **{"target": "cloud", **where})
        for unit in plan.units:
            operation = begin(self.ledger, stack.stack_id, unit.name, account=account)
            self.ledger.finish(operation.id, "ok", summary={}, resources=resources)
        return stack.stack_id

    def destroy(self, stack_id: str, summary: dict[str, Any] | None = None) -> None:
        for unit in self.ledger.units(stack_id):
            operation = begin(self.ledger, stack_id, unit.unit, kind="destroy")
            self.ledger.finish(operation.id, "ok", summary=summary or {}, resources=())
        assert self.ledger.destroy_finished(stack_id)

    def destroyed(self, **more: Any) -> str:
        """Make a tombstone; returns its id."""
        stack_id = self.deployed(**more)
        self.destroy(stack_id)
        return stack_id

    def set(self, stack_id: str, change: str) -> None:
        """Change a stack's row behind everyone's back, as another process would."""
        with closing(sqlite3.connect(self.settings.home / "ledger.db")) as raw, raw:
            raw.execute(f"UPDATE mlstacks_stacks SET {change} WHERE stack_id = ?", [stack_id])

    def marks(self, stack_id: str, **more: str) -> dict[str, str]:
        install = self.ledger.installation().install_id
        return {"mlstacks-install": install, "mlstacks-stack": stack_id, **more}

    def add(
        self,
        kind: str,
        name: str,
        tags: dict[str, str] | None,
        created: float = OLD,
        **more: Any,
    ) -> Ref:
        """Put a thing into the account, ``created`` so many seconds from now."""
        region = "global" if kind.startswith("iam") else "r1"
        ref = Ref(type=kind, region=region, id=name)
        self.cloud.items[ref] = Item(ref=ref, tags=tags, created=self.clock() + created, **more)
        return ref

    def pass_days(self, days: float) -> None:
        self.clock.sleep(days * DAY)

    def later(self, **more: Any) -> SweepPlan:
        """List again when it counts as another sweep."""
        self.clock.sleep(COUNTS_AFTER)
        return self.sweeper.plan(AWS, **more)

    def there(self) -> set[str]:
        return {ref.id for ref in self.cloud.items}


@contextmanager
def sweep_world(settings: Settings) -> Iterator[SweepWorld]:
    """Open the ledger of these settings on a clock that stands still."""
    clock = FakeClock()
    with Ledger.open(settings.ledger_url, clock) as ledger:
        yield SweepWorld(settings, ledger, clock)


def sandbox(folder: Path, instance: str) -> None:
    """Write down that a sandbox runs."""
    folder.mkdir(parents=True, exist_ok=True)
    wiring = {"target": "sandbox", "instance_id": instance, "endpoint_url": "http://127.0.0.1:1"}
    (folder / "wiring.json").write_text(json.dumps(wiring))
