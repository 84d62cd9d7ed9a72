"""File systems: what is inside them goes first, and a last backup where there can be one."""

from __future__ import annotations

from typing import Any

import pytest

from mlstacks_dagster.sweep.inventory.model import Item
from tests.unit.sweep.aws.plants import Plant, pairs
from tests.unit.sweep.aws.scripted import Scripted, refusal
from tests.unit.sweep.aws.services import MARKS, OURS, Bench, bench, clients

__all__ = ["bench", "clients"]

_ID = "fs-0123456789abcdef0"


def _fsx(kind: str, **more: Any) -> dict[str, Any]:
    base = {"FileSystemId": _ID, "FileSystemType": kind, "Lifecycle": "AVAILABLE"}
    return {**base, "Tags": pairs(MARKS), "StorageCapacity": 1024, **more}


def _faked(bench: Bench, raw: dict[str, Any], **answers: Any) -> tuple[Scripted, Item]:
    answers = {"delete_file_system": {"FileSystemId": _ID, "Lifecycle": "DELETING"}, **answers}
    fake = Scripted("fsx", {"describe_file_systems": {"FileSystems": [raw]}, **answers})
    bench.fake("fsx", fake)
    return fake, bench.find("fsx:file-system")[_ID]


def test_an_efs_file_system_holds_the_subnets_of_its_mount_targets(bench: Bench) -> None:
    name = Plant(bench).efs_file_system(f"{OURS}-x", MARKS)

    item = bench.find("efs:file-system")[name]

    assert [ref.type for ref in item.uses] == ["ec2:subnet", "ec2:subnet"]
    assert item.facts["mount-targets"] == "2"


def test_others_file_systems_cost_no_call_each(bench: Bench) -> None:
    for number in range(3):
        Plant(bench).efs_file_system(f"other-{number}", {})
    before = bench.caller.calls

    assert bench.find("efs:file-system") == {}
    assert bench.caller.calls == before + 1


def test_an_efs_file_system_waits_for_its_mount_targets(bench: Bench) -> None:
    name = Plant(bench).efs_file_system(f"{OURS}-x", MARKS)
    item = bench.find("efs:file-system")[name]
    target = {
        "MountTargetId": "fsmt-1",
        "FileSystemId": name,
        "SubnetId": "s",
        "LifeCycleState": "deleting",
    }
    slow = {"describe_mount_targets": {"MountTargets": [target]}}
    fake = Scripted("efs", slow, bench.client("efs"))
    bench.fake("efs", fake)

    assert "1 mount targets" in (bench.delete(item) or "")
    assert "delete_mount_target" not in fake.names()
    assert name in bench.find("efs:file-system")


@pytest.mark.parametrize(
    ("raw", "argument", "options"),
    [
        (_fsx("WINDOWS"), "WindowsConfiguration", {"SkipFinalBackup": False}),
        (
            _fsx("LUSTRE", LustreConfiguration={"DeploymentType": "PERSISTENT_2"}),
            "LustreConfiguration",
            {"SkipFinalBackup": False},
        ),
        (_fsx("LUSTRE", LustreConfiguration={"DeploymentType": "SCRATCH_2"}), "", None),
        (
            _fsx(
                "LUSTRE",
                LustreConfiguration={
                    "DeploymentType": "PERSISTENT_1",
                    "DataRepositoryConfiguration": {"ImportPath": "s3://b"},
                },
            ),
            "",
            None,
        ),
        (
            _fsx("OPENZFS"),
            "OpenZFSConfiguration",
            {"SkipFinalBackup": False, "Options": ["DELETE_CHILD_VOLUMES_AND_SNAPSHOTS"]},
        ),
    ],
)
def test_an_fsx_file_system_leaves_a_backup_where_it_can(
    bench: Bench, raw: dict[str, Any], argument: str, options: dict[str, Any] | None
) -> None:
    fake, item = _faked(bench, raw)

    bench.delete_all(item)

    expected = {"FileSystemId": _ID, **({argument: options} if argument else {})}
    assert fake.calls[-1] == ("delete_file_system", expected)


def test_no_backup_is_left_when_the_data_may_go(bench: Bench) -> None:
    raw = _fsx("WINDOWS", Tags=pairs({**MARKS, "mlstacks-data": "delete"}))
    fake, item = _faked(bench, raw)

    bench.delete_all(item)

    assert fake.calls[-1][1]["WindowsConfiguration"] == {"SkipFinalBackup": True}


def test_an_ontap_file_system_goes_after_its_volumes_and_machines(bench: Bench) -> None:
    volumes = [
        {"VolumeId": "fsvol-0123456789abcdef0", "Lifecycle": "AVAILABLE"},
        {
            "VolumeId": "fsvol-00000000000000001",
            "OntapConfiguration": {"StorageVirtualMachineRoot": True},
        },
    ]
    machines = [{"StorageVirtualMachineId": "svm-0123456789abcdef0", "Lifecycle": "CREATED"}]

    def drop(from_: list[dict[str, Any]]) -> Any:
        def answer(_params: dict[str, Any]) -> dict[str, Any]:
            del from_[0]
            return {}

        return answer

    fake, item = _faked(
        bench,
        _fsx("ONTAP"),
        describe_volumes=lambda _params: {"Volumes": list(volumes)},
        describe_storage_virtual_machines=lambda _p: {"StorageVirtualMachines": list(machines)},
        delete_volume=drop(volumes),
        delete_storage_virtual_machine=drop(machines),
    )

    said = bench.delete_all(item)

    assert len(said) == 2
    deletes = [name for name in fake.names() if name.startswith("delete")]
    assert deletes == ["delete_volume", "delete_storage_virtual_machine", "delete_file_system"]


def test_an_fsx_file_system_that_is_gone_is_read_as_gone(bench: Bench) -> None:
    error = refusal("DescribeFileSystems", "FileSystemNotFound")
    bench.fake("fsx", Scripted("fsx", {"describe_file_systems": error}))

    assert bench.read("fsx:file-system", _ID) == {}
