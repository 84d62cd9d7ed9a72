"""What deleting needs beyond one call: emptying, unbinding, waiting, and reading errors."""

from __future__ import annotations

import pytest

from mlstacks_dagster.sweep.gcp import GcpAccess, GcpCloud
from mlstacks_dagster.sweep.gcp.calls import ApiError
from mlstacks_dagster.sweep.gcp.removal import outcome_of
from mlstacks_dagster.sweep.inventory.model import Item, Scope
from tests.unit.sweep.gcp.conftest import MakeCloud
from tests.unit.sweep.gcp.fake_google import World, error
from tests.unit.sweep.gcp.scenario import PROJECT, REGION, ROOT, ZONE

AI = f"v1/projects/{PROJECT}/locations/{REGION}"
DISK = f"{ROOT}/zones/{ZONE}/disks/d"


def found(cloud: GcpCloud, type_: str) -> Item:
    return next(item for item in cloud.snapshot([type_]).items if item.ref.type == type_)


def test_a_bucket_goes_with_all_versions_of_its_objects(
    world: World, make_cloud: MakeCloud
) -> None:
    world.add("storage/v1/b/ours")
    world.add("storage/v1/b/theirs")
    world.page = 2
    for name in ("ours", "theirs"):
        for generation in ("1", "2", "3"):
            world.add(f"storage/v1/b/{name}/o/a b#{generation}", generation=generation)
    for path, data in world.objects.items():
        if "/o/" in path:
            data["name"] = "a b"
    cloud = make_cloud()
    bucket = next(i for i in cloud.snapshot(["storage:bucket"]).items if i.name == "ours")
    outcome = cloud.delete(bucket)
    while outcome.status == "retry":
        outcome = cloud.delete(bucket)
    assert outcome.status == "deleted"
    assert len(world.objects) == 4


def test_a_service_account_takes_its_bindings_along_and_no_others(
    world: World, make_cloud: MakeCloud
) -> None:
    email = f"ours@{PROJECT}.iam.gserviceaccount.com"
    path = f"v1/projects/{PROJECT}/serviceAccounts/{email}"
    world.add(path, email=email)
    world.objects[path]["name"] = path.removeprefix("v1/")
    ours, theirs = f"serviceAccount:{email}", "user:them@example.com"
    world.policies[PROJECT] = {"version": 3, "etag": "7", "bindings": [
        {"role": "roles/a", "members": [ours, theirs]},
        {"role": "roles/b", "members": [ours], "condition": {"expression": "true"}},
        {"role": "roles/c", "members": [theirs]},
    ]}  # fmt: skip
    cloud = make_cloud()
    account = found(cloud, "iam:service-account")
    assert account.name == email
    assert cloud.delete(account).status == "deleted"
    assert world.policies[PROJECT]["bindings"] == [
        {"role": "roles/a", "members": [theirs]},
        {"role": "roles/c", "members": [theirs]},
    ]


def test_a_policy_that_changes_in_between_is_read_again(
    world: World, make_cloud: MakeCloud
) -> None:
    role = f"projects/{PROJECT}/roles/mlstacks_s"
    world.add(f"v1/{role}")
    world.objects[f"v1/{role}"]["name"] = role
    world.policies[PROJECT] = {
        "version": 3, "etag": "1", "bindings": [{"role": role, "members": ["user:a"]}]
    }  # fmt: skip
    cloud = make_cloud()
    item = found(cloud, "iam:role")
    late: list[int] = []

    def change(request: object) -> None:
        if "setIamPolicy" in str(request) and not late:
            late.append(1)
            world.policies[PROJECT]["etag"] = "2"
            world.policies[PROJECT]["bindings"].append({"role": "r", "members": ["user:b"]})

    world.faults.append(change)
    assert cloud.delete(item).status == "deleted"
    assert world.policies[PROJECT]["bindings"] == [{"role": "r", "members": ["user:b"]}]


def test_an_endpoint_is_emptied_of_models_first(world: World, make_cloud: MakeCloud) -> None:
    path = f"{AI}/endpoints/7"
    world.add(path, "aiplatform.googleapis.com/Endpoint", deployedModels=[{"id": "1"}, {"id": "2"}])
    cloud = make_cloud()
    assert cloud.delete(found(cloud, "aiplatform:endpoint")).status == "deleted"
    assert path not in world.objects


def test_a_running_job_is_cancelled_first(world: World, make_cloud: MakeCloud) -> None:
    path = f"{AI}/customJobs/7"
    world.add(path, "aiplatform.googleapis.com/CustomJob", state="JOB_STATE_RUNNING")
    cloud = make_cloud()
    item = found(cloud, "aiplatform:custom-job")
    item = item.model_copy(update={"facts": {"state": "JOB_STATE_RUNNING"}})
    assert cloud.delete(item).status == "deleted"


def test_a_zone_goes_with_its_records(world: World, make_cloud: MakeCloud) -> None:
    zone = f"dns/v1/projects/{PROJECT}/managedZones/z"
    world.add(zone, dnsName="ml.example.")
    for name, kind in (("ml.example.", "NS"), ("ml.example.", "SOA"), ("*.ml.example.", "A")):
        path = f"{zone}/rrsets/{name}/{kind}"
        world.add(path, type=kind)
        world.objects[path]["name"] = name
    world.faults.append(
        lambda request: (200, {"rrsets": [
            data for path, data in world.objects.items() if "/rrsets/" in path
        ]}) if request.path.endswith("/rrsets") else None
    )  # fmt: skip
    cloud = make_cloud()
    assert cloud.delete(found(cloud, "dns:managed-zone")).status == "deleted"
    assert world.calls("DELETE", "rrsets") == [f"{zone}/rrsets/*.ml.example./A"]


def test_a_disk_in_use_is_to_be_retried_and_a_protected_vm_refused(
    world: World, make_cloud: MakeCloud
) -> None:
    machine = f"{ROOT}/zones/{ZONE}/instances/vm"
    world.add(machine, deletionProtection=True)
    world.add(DISK, users=["https://www.googleapis.com/" + machine])
    cloud = make_cloud()
    disk = found(cloud, "compute:disk")
    assert [ref.type for ref in disk.used_by] == ["compute:instance"]
    assert cloud.delete(disk).status == "retry"
    assert cloud.delete(found(cloud, "compute:instance")).status == "refused"
    assert not world.calls("DELETE", "/instances/")


@pytest.mark.parametrize(
    ("code", "status"),
    [("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "retry"), ("RESOURCE_NOT_FOUND", "deleted"),
     ("PERMISSIONS_ERROR", "refused")],
)  # fmt: skip
def test_an_operation_that_fails_is_no_deletion(
    world: World, make_cloud: MakeCloud, code: str, status: str
) -> None:
    world.add(DISK)
    world.failing[DISK] = code
    cloud = make_cloud()
    assert cloud.delete(found(cloud, "compute:disk")).status == status


def test_an_operation_without_end_is_left_for_later(world: World, access: GcpAccess) -> None:
    world.add(DISK)
    world.polls = 10**6
    cloud = GcpCloud(Scope(provider="gcp", account=PROJECT), access, patience=20)
    outcome = cloud.delete(found(cloud, "compute:disk"))
    assert outcome.status == "retry"
    assert "still being deleted" in outcome.why


@pytest.mark.parametrize(
    ("status", "reason", "message", "outcome"),
    [
        (404, "notFound", "", "deleted"),
        (403, "forbidden", "", "refused"),
        (403, "rateLimitExceeded", "", "retry"),
        (429, "", "", "retry"),
        (503, "backendError", "", "retry"),
        (0, "transport", "", "retry"),
        (409, "conflict", "", "retry"),
        (400, "resourceInUseByAnotherResource", "", "retry"),
        (400, "resourceNotReady", "", "retry"),
        (400, "FAILED_PRECONDITION", "Cluster is running incompatible operation", "retry"),
        (400, "invalid", "Invalid value", "refused"),
        (403, "retentionPolicyNotMet", "", "refused"),
    ],
)
def test_errors_of_deletions_are_told_apart(
    status: int, reason: str, message: str, outcome: str
) -> None:
    assert outcome_of(ApiError(status, reason, message)).status == outcome


def test_a_denied_deletion_is_refused(world: World, make_cloud: MakeCloud) -> None:
    world.add(DISK)
    cloud = make_cloud()
    disk = found(cloud, "compute:disk")
    world.faults.append(
        lambda request: error(403, "forbidden", "no") if request.verb == "DELETE" else None
    )
    assert cloud.delete(disk).status == "refused"
    assert DISK in world.objects
