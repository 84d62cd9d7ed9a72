"""The GKE scenario with a real ledger: a tombstone's leftovers go, its live neighbour's stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlstacks_dagster.engines.wiring import Wiring
from mlstacks_dagster.errors import RefusedError
from mlstacks_dagster.ledger import Ledger, ResourceItem
from mlstacks_dagster.lifecycle.clouds import AccountSpec
from mlstacks_dagster.lifecycle.sweeping import Sweeper
from mlstacks_dagster.settings import Settings
from mlstacks_dagster.sweep.gcp import GcpAccess, GcpCloud
from mlstacks_dagster.sweep.inventory.model import Scope
from mlstacks_dagster.sweep.inventory.plan import SweepPlan
from mlstacks_dagster.sweep.inventory.report import Row
from mlstacks_dagster.sweep.inventory.verdict import ClusterFact, Policy
from tests.unit.ledger.helpers import begin, make_plan, make_unit
from tests.unit.sweep.gcp.fake_google import World
from tests.unit.sweep.gcp.scenario import (
    GONE,
    LIVE,
    PROJECT,
    REGION,
    ROOT,
    ZONE,
    Gke,
    Leftovers,
    neighbours,
    run_cluster,
)
from tests.unit.sweep.inventory.fake_cloud import FakeClock

DAY = 86_400.0
GCP = AccountSpec("gcp", PROJECT)
DEAD = Gke(GONE.name, GONE.kube_uid, GONE.uid16)
NEXT = Gke(f"{GONE.name[:-1]}6", LIVE.kube_uid, LIVE.uid16)
"""Legal ids of stacks, of which only the last of 12 characters differs."""


@dataclass
class Project:
    """A project with what two stacks made, one of which is destroyed, and the way to sweep it."""

    world: World
    access: GcpAccess
    ledger: Ledger
    settings: Settings
    clock: FakeClock

    def open_cloud(
        self,
        account: AccountSpec,
        wiring: Wiring,
        environment: Mapping[str, str],
        *,
        home_region: str,
        regions: Sequence[str] = (),
        clusters: Sequence[ClusterFact] = (),
    ) -> GcpCloud:
        del wiring, environment, home_region
        scope = Scope(provider="gcp", account=account.name, regions=tuple(regions))
        here = [c if c.account else c.model_copy(update={"account": PROJECT}) for c in clusters]
        return GcpCloud(scope, self.access, clusters=here, now=self.clock)

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            self.settings,
            self.ledger,
            open_cloud=self.open_cloud,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def deploy(self, gke: Gke) -> str:
        """Register a stack whose state holds a cluster; returns its id."""
        unit = make_unit("cluster", region=REGION, variables={"project_id": PROJECT})
        google = unit.definition.model_copy(update={"provider": "gcp"})
        unit = unit.model_copy(update={"definition": google})
        plan = make_plan(gke.name, region=REGION, provider="gcp")
        plan = plan.model_copy(update={"units": (unit,)})
        stack = self.ledger.register_stack(plan, target="cloud", expires_at=None)
        assert f"ml-{stack.stack_id}" == gke.name
        path = f"projects/{PROJECT}/locations/{gke.location}/clusters/{gke.name}"
        held = ResourceItem("google_container_cluster.this", "google_container_cluster", path)
        self._finish(stack.stack_id, "deploy", {}, [held])
        return stack.stack_id

    def destroy(self, stack_id: str, gke: Gke) -> None:
        """Destroy a stack, whose cluster's ids were written down before it went."""
        ids = {"uid": gke.kube_uid, "ingress_uid": gke.uid16, "gke_id": gke.gke_id}
        self._finish(stack_id, "destroy", {"cluster": {"name": gke.name, **ids}}, [])
        assert self.ledger.destroy_finished(stack_id)

    def _finish(self, stack_id: str, kind: str, summary: dict[str, Any], held: list[Any]) -> None:
        operation = begin(self.ledger, stack_id, "cluster", kind=kind)
        self.ledger.finish(operation.id, "ok", summary=summary, resources=held)

    def marks(self, stack_id: str, **more: str) -> dict[str, str]:
        install = self.ledger.installation().install_id
        return {"mlstacks-install": install, "mlstacks-stack": stack_id, **more}

    def sweep(self, policy: Policy | None = None) -> SweepPlan:
        return self.sweeper.plan(GCP, policy=policy)

    def without(self, gone: set[str], before: set[str]) -> set[str]:
        return {path for path in before if path.removeprefix("compute/v1/") not in gone}


@pytest.fixture
def project(
    world: World, access: GcpAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    letters = iter(DEAD.name.removeprefix("ml-s") + NEXT.name.removeprefix("ml-s"))
    drawn = SimpleNamespace(choice=lambda _alphabet: next(letters))
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings.load({"MLSTACKS_HOME": str(home), "MLSTACKS_STACKS_DIR": str(home)})
    clock = FakeClock()
    with Ledger.open(settings.ledger_url, clock) as ledger:
        ledger.installation()
        monkeypatch.setattr("mlstacks_dagster.ledger.stacks.secrets", drawn)
        yield Project(world, access, ledger, settings, clock)


@pytest.fixture
def left(project: Project) -> tuple[str, Leftovers]:
    """The tombstone's id, and what its cluster left beside a live one and neighbours of both."""
    dead, _live = project.deploy(DEAD), project.deploy(NEXT)
    project.destroy(dead, DEAD)
    neighbours(project.world)
    run_cluster(project.world, NEXT)
    Leftovers(project.world, NEXT)
    disks = f"{ROOT}/zones/{ZONE}/disks"
    strange = project.marks(dead) | {"mlstacks-install": "0therinstall"}
    project.world.add(f"{disks}/other-install", labels=strange)
    project.world.add(
        f"{disks}/protected", labels=project.marks(dead, **{"mlstacks-protect": "true"})
    )
    return dead, Leftovers(project.world, DEAD)


def data(ids: set[str]) -> set[str]:
    return {one for one in ids if "/disks/" in one}


def ids(rows: Sequence[Row]) -> set[str]:
    return {row.id.partition(" (")[0] for row in rows}


def going(plan: SweepPlan) -> set[str]:
    return {entry.ref.id for entry in plan.entries}


def test_a_tombstones_leftovers_go_when_they_are_old_and_nothing_else_does(
    project: Project, left: tuple[str, Leftovers]
) -> None:
    _, dead = left
    before = set(project.world.objects)
    first = project.sweep()
    assert (first.verdict, first.unverified, going(first)) == ("leftovers", (), set())
    project.clock.sleep(DAY / 2)
    assert going(project.sweep()) == set()

    project.clock.sleep(3 * DAY)
    assert "the limit is 50%" in project.sweep().refused  # here is little but leftovers
    plan = project.sweep(Policy(max_share=0.9))
    assert (plan.refused, going(plan)) == ("", dead.proven - data(dead.proven))
    with pytest.raises(RefusedError):
        project.sweeper.delete(GCP, plan.hash, "another-project")
    report = project.sweeper.delete(GCP, plan.hash, PROJECT, by="ada")
    assert report.complete, [(str(o.entry.ref), o.outcome, o.why) for o in report.left]
    assert set(project.world.objects) == project.without(going(plan), before)

    with_data = project.sweep(Policy(include_data=True))
    assert going(with_data) == data(dead.proven)
    assert project.sweeper.delete(GCP, with_data.hash, PROJECT, by="ada").complete
    assert set(project.world.objects) == project.without(dead.proven, before)
    last = project.sweep(Policy(include_data=True))
    assert (going(last), last.unverified) == (set(), ())


def test_a_verified_teardown_takes_what_is_proven_and_keeps_data(
    project: Project, left: tuple[str, Leftovers]
) -> None:
    stack_id, dead = left
    before = set(project.world.objects)
    [report] = project.sweeper.verify(stack_id)
    deleted = ids(report.deleted)
    assert deleted == dead.proven - data(dead.proven)
    assert set(project.world.objects) == project.without(deleted, before)
    assert ids(report.kept) == data(dead.proven)
    # What is only named like the stack's, or protected, fails the teardown by name.
    assert report.result == "left"
    assert report.left
    assert not ids(report.left) & dead.proven


def test_while_the_stack_is_live_nothing_of_it_goes(project: Project) -> None:
    project.deploy(DEAD)
    Leftovers(project.world, DEAD)
    before = set(project.world.objects)
    project.sweep()
    project.clock.sleep(4 * DAY)
    assert going(project.sweep(Policy(include_data=True))) == set()
    assert set(project.world.objects) == before
