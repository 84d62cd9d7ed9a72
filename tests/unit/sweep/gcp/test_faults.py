"""Lists that fail, whole or in part: nothing is dropped, nothing is called clean."""

from __future__ import annotations

import random

import pytest

from mlstacks_dagster.sweep.gcp import ApiError, GcpAccess, GcpCloud, find_projects
from mlstacks_dagster.sweep.inventory.model import Item, Scope, Snapshot
from tests.unit.sweep.gcp.conftest import MakeCloud
from tests.unit.sweep.gcp.fake_google import Answer, Request, World, error
from tests.unit.sweep.gcp.scenario import (
    GONE,
    LIVE,
    PROJECT,
    REGION,
    ROOT,
    ZONE,
    Leftovers,
    neighbours,
    run_cluster,
)


def statuses(snapshot: Snapshot, type_: str) -> dict[str, str]:
    return {row.region: row.status for row in snapshot.coverage if row.type == type_}


def test_each_type_and_region_is_told_once(world: World, make_cloud: MakeCloud) -> None:
    snapshot = make_cloud().snapshot()
    keys = [(row.type, row.region) for row in snapshot.coverage]
    assert len(keys) == len(set(keys))
    assert statuses(snapshot, "compute:disk") == dict.fromkeys(world.regions, "listed")
    assert statuses(snapshot, "compute:firewall") == {"global": "listed"}
    assert set(statuses(snapshot, "compute:forwarding-rule")) == {*world.regions, "global"}


def test_thirty_percent_throttling_changes_nothing(world: World, make_cloud: MakeCloud) -> None:
    neighbours(world)
    Leftovers(world, GONE)
    world.page = 3
    cloud = make_cloud(GONE.fact())
    calm = cloud.snapshot()
    dice = random.Random(3)

    def throttle(_request: Request) -> Answer | None:
        if dice.random() > 0.3:
            return None
        code = dice.choice([403, 429, 503])
        return error(code, "rateLimitExceeded" if code < 500 else "backendError", "slow down")

    world.faults.append(throttle)
    stormy = cloud.snapshot()
    assert (stormy.items, stormy.coverage) == (calm.items, calm.coverage)
    assert stormy.calls < calm.calls * 2


def test_a_page_that_fails_makes_the_type_failed_and_keeps_what_was_read(
    world: World, make_cloud: MakeCloud
) -> None:
    world.page = 1
    for name in ("d1", "d2", "d3"):
        world.add(f"{ROOT}/zones/{ZONE}/disks/{name}")

    def third(request: Request) -> Answer | None:
        broken = request.path.endswith("/disks") and request.query.get("pageToken") == "2"
        return error(500, "backendError", "broken") if broken else None

    world.faults.append(third)
    snapshot = make_cloud().snapshot()
    assert [i.name for i in snapshot.items if i.ref.type == "compute:disk"] == ["d1", "d2"]
    assert set(statuses(snapshot, "compute:disk").values()) == {"failed"}
    assert set(statuses(snapshot, "compute:address").values()) == {"listed"}


def test_a_region_that_is_unreachable_is_failed_and_the_others_are_listed(
    world: World, make_cloud: MakeCloud
) -> None:
    world.unreachable = ("europe-west1",)
    cloud = make_cloud()
    snapshot = cloud.snapshot()
    assert statuses(snapshot, "compute:disk") == {"europe-west1": "failed", REGION: "listed"}
    assert statuses(snapshot, "container:cluster") == {"europe-west1": "failed", REGION: "listed"}
    (disk,) = _disk(world, cloud)
    refs = [
        disk.ref.model_copy(update={"region": "europe-west1", "id": f"projects/p/x/y/z/{n}"})
        for n in (1, 2)
    ]
    with pytest.raises(ApiError, match="doesn't answer"):
        cloud.read(refs)


def _disk(world: World, cloud: GcpCloud) -> list[Item]:
    world.add(f"{ROOT}/zones/{ZONE}/disks/d")
    return [item for item in cloud.snapshot(["compute:disk"]).items if item.name == "d"]


def test_without_a_list_of_regions_nothing_regional_is_clean(
    world: World, make_cloud: MakeCloud
) -> None:
    world.faults.append(
        lambda r: error(403, "forbidden", "no") if r.path.endswith("/regions") else None
    )
    snapshot = make_cloud().snapshot()
    assert statuses(snapshot, "compute:disk")["*"] == "failed"
    assert statuses(snapshot, "compute:network") == {"global": "listed"}


def test_a_scope_of_regions_leaves_the_others_out(world: World, make_cloud: MakeCloud) -> None:
    world.add(f"{ROOT}/zones/{ZONE}/disks/here")
    world.add(f"{ROOT}/zones/europe-west1-b/disks/there")
    snapshot = make_cloud(regions=(REGION,)).snapshot()
    assert [item.name for item in snapshot.items] == ["here"]
    assert {row.region for row in snapshot.coverage} == {REGION, "global"}


def test_a_switched_off_api_is_answered_by_the_index(world: World, make_cloud: MakeCloud) -> None:
    world.off = ("sql/",)
    world.add(
        f"sql/v1beta4/projects/{PROJECT}/instances/left", "sqladmin.googleapis.com/Instance",
        labels={"mlstacks-stack": "s1"},
    )  # fmt: skip
    snapshot = make_cloud().snapshot(["sqladmin:instance"])
    assert [item.name for item in snapshot.items] == ["left"]
    assert (snapshot.items[0].tags or {}) == {"mlstacks-stack": "s1"}
    assert snapshot.unverified == ()
    assert any("switched off" in row.why for row in snapshot.coverage)


def test_when_the_index_fails_too_nothing_is_clean(world: World, make_cloud: MakeCloud) -> None:
    world.off = ("sql/",)
    world.faults.append(lambda r: error(403, "forbidden", "no") if "searchAll" in r.path else None)
    snapshot = make_cloud().snapshot()
    assert set(statuses(snapshot, "sqladmin:instance").values()) == {"denied"}
    assert set(statuses(snapshot, "aiplatform:model").values()) == {"listed"}


@pytest.mark.parametrize("seed", range(12))
def test_with_a_list_failing_at_random_clean_is_never_said(
    world: World, make_cloud: MakeCloud, seed: int
) -> None:
    listing = [r.path for r in _requests_of(world, make_cloud)]
    victim = random.Random(seed).choice(sorted(set(listing)))
    world.faults.append(
        lambda r: error(500, "internalError", "broken") if r.path == victim else None
    )
    assert make_cloud().snapshot().unverified, victim


def _requests_of(world: World, make_cloud: MakeCloud) -> list[Request]:
    make_cloud().snapshot()
    return list(world.requests)


def test_an_answer_that_is_no_json_is_a_failure(world: World, make_cloud: MakeCloud) -> None:
    world.faults.append(
        lambda r: (200, []) if r.path.endswith("secrets") else None  # type: ignore[return-value,arg-type]
    )
    assert set(statuses(make_cloud().snapshot(), "secretmanager:secret").values()) == {"failed"}


def test_no_answer_at_all_is_a_failure_everywhere() -> None:
    from mlstacks_dagster.sweep.gcp import Caller

    caller = Caller(attempts=1, sleep=lambda _s: None)
    access = GcpAccess(endpoint="http://127.0.0.1:9", caller=caller)
    snapshot = GcpCloud(Scope(provider="gcp", account="p", regions=(REGION,)), access).snapshot()
    assert {row.status for row in snapshot.coverage} == {"failed"}


def test_reading_raises_when_it_cannot_tell(world: World, make_cloud: MakeCloud) -> None:
    cloud = make_cloud()
    items = _disk(world, cloud)
    world.faults.append(lambda r: error(403, "forbidden", "no") if "disks" in r.path else None)
    with pytest.raises(ApiError):
        cloud.read([item.ref for item in items])


def test_running_clusters_have_their_zone_and_their_region(
    world: World, make_cloud: MakeCloud
) -> None:
    run_cluster(world, LIVE)
    assert make_cloud().running_clusters() == {
        (ZONE, LIVE.name): True, (REGION, LIVE.name): True
    }  # fmt: skip


def test_clusters_that_cannot_be_listed_are_unknown(world: World, make_cloud: MakeCloud) -> None:
    world.faults.append(lambda r: error(403, "forbidden", "no") if "clusters" in r.path else None)
    told = make_cloud(GONE.fact()).running_clusters()
    assert told[(REGION, "*")] is None
    assert told[(ZONE, "*")] is None
    assert told[("*", "*")] is None


def test_a_zone_without_answer_is_unknown(world: World, make_cloud: MakeCloud) -> None:
    world.unreachable = (ZONE,)
    assert make_cloud().running_clusters() == {(ZONE, "*"): None, (REGION, "*"): None}


def test_projects_are_found_page_by_page(world: World, access: GcpAccess) -> None:
    world.page = 1
    for name, state in (("ml-a", "ACTIVE"), ("ml-b", "ACTIVE"), ("ml-c", "DELETE_REQUESTED")):
        world.add(f"v3/projects/{name}", projectId=name, state=state, displayName=name.upper())
    for data in world.objects.values():
        data["name"] = "projects/1"
    scopes = find_projects(access, regions=(REGION,))
    assert [(s.account, s.alias, s.regions) for s in scopes] == [
        ("ml-a", "ML-A", (REGION,)), ("ml-b", "ML-B", (REGION,))
    ]  # fmt: skip
    assert [s.account for s in find_projects(access, only=("ml-b",))] == ["ml-b"]


def test_half_a_list_of_projects_is_an_error(world: World, access: GcpAccess) -> None:
    world.faults.append(lambda r: error(403, "forbidden", "no") if "search" in r.path else None)
    with pytest.raises(ApiError):
        find_projects(access)


VERTEX = f"v1/projects/{PROJECT}/locations/{REGION}/endpoints"
MARKED = {"mlstacks-install": "inst", "mlstacks-stack": "s1"}


def _stale_hit(path: str) -> dict[str, object]:
    return {"results": [{
        "name": f"//aiplatform.googleapis.com/{path.removeprefix('v1/')}",
        "assetType": "aiplatform.googleapis.com/Endpoint", "location": REGION, "labels": MARKED,
    }]}  # fmt: skip


def test_what_the_index_does_not_have_yet_is_found(world: World, make_cloud: MakeCloud) -> None:
    world.faults.append(lambda r: (200, {}) if "searchAll" in r.path else None)
    world.add(f"{VERTEX}/7", labels=MARKED)
    repository = f"v1/projects/{PROJECT}/locations/europe/repositories/r"
    world.add(repository, labels=MARKED)
    wanted = ["aiplatform:endpoint", "artifactregistry:repository"]
    items = make_cloud().snapshot(wanted).items
    assert [(item.ref.type, item.ref.region) for item in items] == [
        ("aiplatform:endpoint", REGION), ("artifactregistry:repository", "global")
    ]  # fmt: skip


def test_what_the_index_still_has_though_it_is_gone_is_not_found(
    world: World, make_cloud: MakeCloud
) -> None:
    hits = _stale_hit(f"{VERTEX}/7")
    world.faults.append(lambda r: (200, hits) if "searchAll" in r.path else None)
    assert make_cloud().snapshot(["aiplatform:endpoint"]).items == ()


def test_a_hit_of_the_index_that_may_be_ours_is_asked_for(
    world: World, make_cloud: MakeCloud
) -> None:
    hits = _stale_hit(f"{VERTEX}/7")
    hits["results"].append(  # type: ignore[attr-defined]
        {**hits["results"][0], "name": f"//a/{VERTEX[3:]}/8", "labels": {}}  # type: ignore[index]
    )
    world.faults.append(lambda r: (200, hits) if "searchAll" in r.path else None)
    off = error(403, "accessNotConfigured", "switched off", "SERVICE_DISABLED")
    world.faults.append(lambda r: off if r.path.endswith("/locations") else None)
    assert [i.name for i in make_cloud().snapshot(["aiplatform:endpoint"]).items] == ["8"]
    assert world.calls("GET", "endpoints/") == [f"{VERTEX}/7"]
    world.add(f"{VERTEX}/7", labels=MARKED)
    assert len(make_cloud().snapshot(["aiplatform:endpoint"]).items) == 2


@pytest.mark.parametrize(
    ("path", "place", "regions"),
    [
        (VERTEX, REGION, ()),
        (f"v1/projects/{PROJECT}/locations/europe/repositories", "global", (REGION,)),
    ],
)
def test_a_location_that_fails_is_never_clean(
    world: World, make_cloud: MakeCloud, path: str, place: str, regions: tuple[str, ...]
) -> None:
    broken = error(500, "internalError", "broken")
    world.faults.append(lambda r: broken if r.path == path else None)
    failed = make_cloud(regions=regions).snapshot().unverified
    assert [(row.region, row.status) for row in failed] == [(place, "failed")]


def test_a_service_without_a_location_is_never_clean(world: World, make_cloud: MakeCloud) -> None:
    world.faults.append(lambda r: (200, {}) if r.path.endswith("/locations") else None)
    assert set(statuses(make_cloud().snapshot(), "run:service").values()) == {"failed"}


def test_a_type_that_is_not_known_is_never_clean(make_cloud: MakeCloud) -> None:
    snapshot = make_cloud().snapshot(["compute:typo"])
    assert [row.type for row in snapshot.unverified] == ["compute:typo"]


def test_the_snapshot_says_which_regions_were_looked_at(
    world: World, make_cloud: MakeCloud
) -> None:
    assert make_cloud().snapshot().scope.regions == world.regions
    assert make_cloud(regions=(REGION,)).snapshot().scope.regions == (REGION,)


def test_places_that_an_answer_calls_unreachable_are_failed(
    world: World, make_cloud: MakeCloud
) -> None:
    link = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{ZONE}"
    world.faults.append(
        lambda r: (200, {"items": {}, "unreachables": [link]}) if "/disks" in r.path else None
    )
    told = statuses(make_cloud().snapshot(), "compute:disk")
    assert told == {"europe-west1": "listed", REGION: "failed"}
