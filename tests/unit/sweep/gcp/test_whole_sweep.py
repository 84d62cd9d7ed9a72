"""The GKE scenario through decision, plan, delete and proof, on the real Google clients."""

from __future__ import annotations

from mlstacks_dagster.sweep.gcp import GcpCloud
from mlstacks_dagster.sweep.inventory.execute import Approval, Limits, Tools, delete_plan
from mlstacks_dagster.sweep.inventory.plan import SweepPlan, make_plan
from mlstacks_dagster.sweep.inventory.verdict import Knowledge, Policy, StackFact
from tests.unit.sweep.gcp.conftest import Clock, MakeCloud
from tests.unit.sweep.gcp.fake_google import World, error
from tests.unit.sweep.gcp.scenario import (
    GONE,
    LIVE,
    PROJECT,
    ROOT,
    ZONE,
    Gke,
    Leftovers,
    neighbours,
    run_cluster,
)

NOW = 1_800_000_000.0
OWN = {"mlstacks-install": "inst", "mlstacks-stack": "sabcdefgh2345"}
DEAD = Gke("ml-sabcdefgh2345", GONE.kube_uid, GONE.uid16)
OTHER = Gke("ml-sabcdefgh2345-2", LIVE.kube_uid, LIVE.uid16)


def knowledge(cloud: GcpCloud) -> Knowledge:
    dead = StackFact(stack_id="sabcdefgh2345", name="dead", live=False, destroyed_at=1_790_000_000,
                     clusters=(DEAD.fact(),))  # fmt: skip
    live = StackFact(stack_id="sabcdefgh2345-2", name="live", live=True, clusters=(OTHER.fact(),))
    running = {
        f"{region}/{name}": runs for (region, name), runs in cloud.running_clusters().items()
    }
    return Knowledge(install="inst", stacks={s.stack_id: s for s in (dead, live)}, clusters=running)


def plan_of(cloud: GcpCloud) -> SweepPlan:
    policy = Policy(grace=0, data_grace=0, min_sweeps=1, include_data=True, max_share=1.0)
    return make_plan(cloud.snapshot(), cloud.kinds, knowledge(cloud), policy, NOW)


def planted(world: World) -> tuple[Leftovers, Leftovers]:
    neighbours(world)
    run_cluster(world, OTHER)
    world.add(f"{ROOT}/zones/{ZONE}/disks/other-install",
              labels={**OWN, "mlstacks-install": "not-us"})  # fmt: skip
    world.add(f"{ROOT}/zones/{ZONE}/disks/protected", labels={**OWN, "mlstacks-protect": "true"})
    return Leftovers(world, DEAD), Leftovers(world, OTHER)


def test_the_gone_clusters_leftovers_go_and_nothing_else_does(
    world: World, make_cloud: MakeCloud
) -> None:
    dead, _live = planted(world)
    before = set(world.objects)
    cloud = make_cloud(DEAD.fact(), OTHER.fact())
    plan = plan_of(cloud)
    assert {entry.ref.id for entry in plan.entries} == dead.proven
    clock = Clock()
    clock.now = NOW
    tools = Tools(clock=clock, sleep=clock.sleep, limits=Limits(workers=4))
    report = delete_plan(cloud, plan, Approval(plan.hash, PROJECT), tools)
    assert report.complete, [(str(o.entry.ref), o.outcome, o.why) for o in report.left]
    left = {path for path in before if path.removeprefix("compute/v1/") not in dead.proven}
    assert set(world.objects) == left
    assert plan_of(cloud).entries == ()


def test_waves_need_no_retry(world: World, make_cloud: MakeCloud) -> None:
    planted(world)
    cloud = make_cloud(DEAD.fact(), OTHER.fact())
    plan = plan_of(cloud)
    world.requests.clear()
    for number in sorted({entry.wave for entry in plan.entries}):
        for entry in plan.wave(number):
            assert cloud.delete(entry.item).status == "deleted", str(entry.ref)
    assert len(world.calls("DELETE")) == len(plan.entries)


def test_while_clusters_cannot_be_listed_nothing_of_them_goes(
    world: World, make_cloud: MakeCloud
) -> None:
    planted(world)
    world.faults.append(lambda r: error(403, "forbidden", "no") if "clusters" in r.path else None)
    plan = plan_of(make_cloud(DEAD.fact(), OTHER.fact()))
    assert plan.entries == ()
    assert plan.verdict == "unverified"


def test_an_empty_project_is_clean(world: World, make_cloud: MakeCloud) -> None:
    assert plan_of(make_cloud()).verdict == "clean"
    in_one_place = [r for r in world.requests if "/locations/" in r.path]
    assert len(world.requests) - len(in_one_place) <= 45
    assert len(in_one_place) <= 8 * (len(world.regions) + len(world.multi_regions))
