"""A ledger with a live and a destroyed stack, an emulated account with both, and a sweeper."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlstacks_dagster.engines.wiring import Wiring, load_wiring
from mlstacks_dagster.ledger import Ledger, ResourceItem
from mlstacks_dagster.lifecycle.clouds import AccountSpec, CloudOpener
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.sandbox import service
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.aws.calls import ClientMaker
from mlstacks_dagster.sweep.aws.cloud import AwsCloud
from mlstacks_dagster.sweep.aws.connect import SharedClients
from mlstacks_dagster.sweep.aws_session import AwsSession
from mlstacks_dagster.sweep.inventory.model import Ref, Scope
from mlstacks_dagster.sweep.inventory.outcome import DeleteReport
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Policy
from mlstacks_dagster.sweep.marks import mark_value
from tests.integration.eks_ground import ACCOUNT, Ground, Owner, Planted
from tests.integration.eks_leftovers import plant_stack
from tests.integration.eks_names import plant_names
from tests.integration.eks_neighbours import Neighbours, plant_neighbours
from tests.unit.ledger.helpers import Clock, begin, make_plan, make_unit

__all__ = [
    "AWS",
    "DAY",
    "Emulated",
    "World",
    "emulated",
    "going",
    "live_cluster",
    "opener",
    "said",
    "small_world",
    "world",
]

AWS = AccountSpec("aws")
DAY = 86_400.0
ALIAS = "lab"


@dataclass(frozen=True)
class Emulated:
    """A running emulator; ``clients`` make botocore's clients of it."""

    settings: Settings
    instance_id: str
    clients: ClientMaker


@contextmanager
def emulated(home: Path) -> Iterator[Emulated]:
    """Run the sandbox's server, with AWS's rules of what holds what."""
    settings = Settings.load({"MLSTACKS_HOME": str(home), "MLSTACKS_STACKS_DIR": str(home)})
    no_provider: Callable[[], Path | None] = lambda: None  # noqa: E731
    state = service.start(settings, find_provider=no_provider)
    try:
        session = AwsSession(load_wiring("sandbox", settings.sandbox_dir), {}, max_attempts=1)
        clients = SharedClients(session, "us-east-1")
        clients("iam", "us-east-1").create_account_alias(AccountAlias=ALIAS)
        yield Emulated(settings, state.instance_id, clients)
    finally:
        service.stop(settings, grace_seconds=1)


@dataclass
class World:
    """What the tests of sweeps look at; ``grounds`` are a stack's regions, its home first."""

    emulated: Emulated
    ledger: Ledger
    clock: Clock
    grounds: Sequence[Ground]
    stacks: dict[str, Owner] = field(default_factory=dict)
    left: Planted = field(default_factory=Planted)
    lived: Planted = field(default_factory=Planted)
    neighbours: Neighbours = field(default_factory=Neighbours)

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(ground.region for ground in self.grounds)

    def sweeper(self, open_with: CloudOpener | None = None) -> Sweeper:
        """Return a sweeper; unless told otherwise it opens the account with shared clients."""
        return Sweeper(
            self.emulated.settings,
            self.ledger,
            target="sandbox",
            open_cloud=open_with or opener(self.emulated.clients),
            clock=self.clock,
            sleep=self.sleep,
        )

    def arrive(self) -> None:
        """Let the ledger's clock be an hour after now, when the emulator made things."""
        self.clock.now = time.time() + 3_600

    def sleep(self, seconds: float) -> None:
        self.clock.tick(seconds)

    def sweep(
        self, policy: Policy | None = None, open_with: CloudOpener | None = None
    ) -> SweepPlan:
        sweeper = self.sweeper(open_with)
        return sweeper.plan(AWS, policy=policy)

    def delete(self, plan: SweepPlan, open_with: CloudOpener | None = None) -> DeleteReport:
        return self.sweeper(open_with).delete(AWS, plan.hash, ALIAS, by="ada")

    def deploy(self, name: str, *, protect: bool = False) -> Owner:
        """Register a stack with a cluster in the first region, and a unit in each other."""
        units = [make_unit("cluster", region=self.regions[0])]
        units += [make_unit(f"data{n}", region=r) for n, r in enumerate(self.regions[1:])]
        options = {"protect": protect}
        plan = make_plan(name, region=self.regions[0], options=options)
        plan = plan.model_copy(update={"units": tuple(units)})
        stack = self.ledger.register_stack(
            plan, target="sandbox", sandbox_id=self.emulated.instance_id, expires_at=None
        )
        owner = Owner(mark_value(self.ledger.installation().install_id), stack.stack_id)
        self.stacks[name] = owner
        for unit in units:
            self._finish(owner, unit.name, "deploy", [])
        return owner

    def holds(self, owner: Owner, *resources: ResourceItem) -> None:
        """Let the cluster's state hold resources."""
        self._finish(owner, "cluster", "deploy", resources)

    def destroy(self, owner: Owner) -> None:
        for unit in self.ledger.units(owner.stack_id):
            self._finish(owner, unit.unit, "destroy", [])
        assert self.ledger.destroy_finished(owner.stack_id)

    def _finish(self, owner: Owner, unit: str, kind: str, resources: Sequence[Any]) -> None:
        operation = begin(self.ledger, owner.stack_id, unit, kind=kind)
        self.ledger.finish(operation.id, "ok", summary={}, resources=resources)


def going(plan: SweepPlan) -> set[Ref]:
    return {entry.ref for entry in plan.entries}


def said(plan: SweepPlan) -> dict[Ref, tuple[str, str]]:
    """Return decision and code of what stays though it is or may be left over."""
    return {e.ref: (e.verdict.decision, e.verdict.code) for e in plan.others}


def opener(make_client: ClientMaker) -> CloudOpener:
    """Return what opens the emulated account with other clients, without any pause."""

    def opened(
        account: AccountSpec,
        wiring: Wiring,
        environment: Mapping[str, str],
        *,
        home_region: str,
        regions: Sequence[str] = (),
        clusters: Sequence[ClusterFact] = (),
    ) -> AwsCloud:
        del account, wiring, environment
        scope = Scope(provider="aws", account=ACCOUNT, alias=ALIAS, regions=tuple(regions))
        return AwsCloud(
            scope,
            make_client,
            clusters=clusters,
            home_region=home_region,
            sleep=lambda _seconds: None,
            workers=8,
        )

    return opened


@contextmanager
def small_world(emulated: Emulated, folder: Path, *regions: str) -> Iterator[World]:
    """Open an empty ledger, 40 days ago; the account has what others left in other regions."""
    clock = Clock(time.time() - 40 * DAY)
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}", clock) as ledger:
        yield World(emulated, ledger, clock, [Ground(emulated.clients, r) for r in regions])


@contextmanager
def world(emulated: Emulated, folder: Path, *regions: str) -> Iterator[World]:
    """Plant a stack that was destroyed long ago, one that is live, and neighbours of both.

    It is an hour later than when things were planted.
    """
    with small_world(emulated, folder, *regions) as made:
        dead, live = made.deploy("eks"), made.deploy("live", protect=True)
        arn = f"arn:aws:eks:{regions[0]}:{ACCOUNT}:cluster/{dead.cluster}"
        made.holds(dead, ResourceItem("aws_eks_cluster.this", "aws_eks_cluster", dead.cluster, arn))
        made.destroy(dead)
        home, other = made.grounds
        made.left = plant_stack(home, other, dead)
        made.lived = plant_stack(home, other, live)
        made.holds(live, *live_cluster(home, live, made.lived))
        made.neighbours = plant_neighbours(home, dead)
        made.neighbours.foreign |= plant_names(home, dead, made.left).foreign
        made.arrive()
        yield made


def live_cluster(home: Ground, live: Owner, planted: Planted) -> list[ResourceItem]:
    """Make a stack's cluster where its network was planted; returns what its state holds."""
    [vpc] = _of(planted, "ec2:vpc")
    subnets = _of(planted, "ec2:subnet")
    arn = home.cluster(live.cluster, subnets, _of(planted, "ec2:security-group"), {})
    planted.plain.add(home.ref("eks:cluster", live.cluster))
    return [
        ResourceItem("aws_eks_cluster.this", "aws_eks_cluster", live.cluster, arn),
        ResourceItem("aws_vpc.this", "aws_vpc", vpc.id),
        *(ResourceItem(f"aws_subnet.{n}", "aws_subnet", s.id) for n, s in enumerate(subnets)),
    ]


def _of(planted: Planted, kind: str) -> list[Ref]:
    return sorted((ref for ref in planted.plain if ref.type == kind), key=str)
