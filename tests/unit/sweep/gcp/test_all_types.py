"""Every type: found with its marks, read again unchanged, deleted, gone."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sweep.gcp import KINDS
from mlstacks_dagster.sweep.gcp.catalog import GcpKind
from mlstacks_dagster.sweep.inventory.model import Item
from tests.unit.sweep.gcp.conftest import MakeCloud
from tests.unit.sweep.gcp.fake_google import World
from tests.unit.sweep.gcp.scenario import PROJECT, REGION, ZONE

MARKS = {"mlstacks-install": "inst", "mlstacks-stack": "sabc"}
ZONAL = ("instances", "disks", "instanceGroups", "instanceGroupManagers", "networkEndpointGroups")
EMAIL = f"ml-sabc@{PROJECT}.iam.gserviceaccount.com"


def path_of(kind: GcpKind) -> str:
    if kind.type == "storage:bucket":
        return "storage/v1/b/ml-sabc-bucket"
    root = f"{kind.version}/projects/{PROJECT}"
    name = EMAIL if kind.type == "iam:service-account" else "ml-sabc"
    if kind.host == "compute" and kind.is_global:
        return f"{root}/global/{kind.collection}/{name}"
    if kind.host == "compute":
        where = f"zones/{ZONE}" if kind.collection in ZONAL else f"regions/{REGION}"
        return f"{root}/{where}/{kind.collection}/{name}"
    if kind.is_global or kind.host == "sqladmin":
        return f"{root}/{kind.collection}/{name}"
    return f"{root}/locations/{REGION}/{kind.collection}/{name}"


def body_of(kind: GcpKind, path: str) -> dict[str, Any]:
    data: dict[str, Any] = {"createTime": "2026-01-01T08:00:00.123456Z"}
    if kind.host not in ("compute", "container", "storage", "sqladmin", "dns"):
        # these APIs say the whole name, with the project's number
        data["name"] = "projects/4711/" + path.split("/", 3)[3]
    if "description mlstacks" in kind.proofs[0]:
        return data | {"description": "mlstacks:inst:sabc"}
    labels: dict[str, Any] = {**MARKS}
    keys = ["properties", "labels"] if kind.collection == "instanceTemplates" else []
    for key in reversed(keys or kind.labels_at.split(".")):
        labels = {key: labels}
    return data | labels | {"location": REGION, "region": REGION}


def plant(world: World, kind: GcpKind) -> str:
    path = path_of(kind)
    world.add(path, kind.asset if kind.by_asset else "", **body_of(kind, path))
    return path


def only(items: tuple[Item, ...], type_: str) -> Item:
    found = [item for item in items if item.ref.type == type_]
    assert len(found) == 1, found
    return found[0]


def test_there_are_enough_types() -> None:
    assert len(KINDS) >= 35


@pytest.mark.parametrize("type_", sorted(KINDS))
def test_a_marked_object_of_each_type_lives_through_find_read_delete_verify(
    type_: str, world: World, make_cloud: MakeCloud
) -> None:
    path = plant(world, KINDS[type_])
    cloud = make_cloud()
    item = only(cloud.snapshot([type_]).items, type_)
    tags = item.tags or {}
    assert {key: tags.get(key) for key in MARKS} == MARKS
    assert item.ref.region == ("global" if KINDS[type_].is_global else REGION)
    again = cloud.read([item.ref])[item.ref]
    assert again is not None
    assert again.fingerprint == item.fingerprint
    assert cloud.delete(item).status == "deleted"
    assert path not in world.objects
    assert cloud.read([item.ref]) == {item.ref: None}
    snapshot = cloud.snapshot([type_])
    assert (snapshot.items, snapshot.unverified) == ((), ())
    assert cloud.delete(item).status == "deleted"


@pytest.mark.parametrize("type_", sorted(KINDS))
def test_a_denied_list_is_told_for_each_type(
    type_: str, world: World, make_cloud: MakeCloud
) -> None:
    from tests.unit.sweep.gcp.fake_google import error

    plant(world, KINDS[type_])
    world.faults.append(
        lambda request: (
            None
            if request.path.endswith("/regions")
            else error(403, "forbidden", "Required permission is missing")
        )
    )
    snapshot = make_cloud().snapshot([type_])
    assert snapshot.items == ()
    ends = {row.status for row in snapshot.coverage if row.type == type_}
    assert ends == {"denied"}
