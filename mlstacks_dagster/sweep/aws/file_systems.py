"""EFS and FSx file systems, with the mount targets, machines and volumes inside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw
from mlstacks_dagster.sweep.aws.names import epoch
from mlstacks_dagster.sweep.aws.prices import per_gib
from mlstacks_dagster.sweep.aws.services import NAME_PROOF, ask, may_be_ours, unless_gone
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.marks import PREFIX

__all__ = ["HANDLERS"]

_PAGE = 100
_PROOFS = ("T1 our tags", "T2 tag of a cluster of ours", NAME_PROOF)
_GIB = 1024**3


def _find_efs(look: Look) -> Iterator[Item]:
    """Yield what may be ours; the mount targets of only these cost a call each."""
    for raw in look.pages("efs", "describe_file_systems", "FileSystems", _PAGE):
        if may_be_ours(_efs(look, raw, ())):
            yield from _with_targets(look, raw)


def _read_efs(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "efs", "describe_file_systems", FileSystemId=name)
        for raw in (answer or {}).get("FileSystems", ()):
            yield from _with_targets(look, raw)


def _with_targets(look: Look, raw: Raw) -> Iterator[Item]:
    targets = unless_gone(partial(_targets, look, raw["FileSystemId"]))
    if targets is not None and raw.get("LifeCycleState") != "deleted":
        yield _efs(look, raw, targets)


def _targets(look: Look, name: str) -> list[Raw]:
    pages = look.pages("efs", "describe_mount_targets", "MountTargets", _PAGE, FileSystemId=name)
    return list(pages)


def _efs(look: Look, raw: Raw, targets: Sequence[Raw]) -> Item:
    return look.item(
        "efs:file-system",
        raw["FileSystemId"],
        name=raw.get("Name", ""),
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreationTime")),
        uses=look.refs("ec2:subnet", [target.get("SubnetId") for target in targets]),
        facts={
            "state": raw.get("LifeCycleState"),
            "size-gib": round(raw.get("SizeInBytes", {}).get("Value", 0) / _GIB, 3) or "",
            "mount-targets": len(targets) or "",
            "arn": raw.get("FileSystemArn"),
        },
    )


def _delete_efs(look: Look, item: Item) -> str | None:
    name = item.ref.id
    targets = _targets(look, name)
    for target in targets:
        if target.get("LifeCycleState") not in ("deleting", "deleted"):
            target_id = target["MountTargetId"]
            look.call_unless_gone("efs", "delete_mount_target", MountTargetId=target_id)
    if targets and (left := _targets(look, name)):
        return f"{len(left)} mount targets of {name} are being deleted"
    look.call("efs", "delete_file_system", FileSystemId=name)
    return None


def _find_fsx(look: Look) -> Iterator[Item]:
    pages = look.pages("fsx", "describe_file_systems", "FileSystems", _PAGE)
    return (_fsx(look, raw) for raw in pages)


def _read_fsx(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for name in ids:
        answer = ask(look, "fsx", "describe_file_systems", FileSystemIds=[name])
        yield from (_fsx(look, raw) for raw in (answer or {}).get("FileSystems", ()))


def _fsx(look: Look, raw: Raw) -> Item:
    lustre = raw.get("LustreConfiguration", {})
    return look.item(
        "fsx:file-system",
        raw["FileSystemId"],
        tags=raw.get("Tags", ()),
        created=epoch(raw.get("CreationTime")),
        inside=look.refs("ec2:vpc", [raw.get("VpcId")]),
        uses=look.refs("ec2:subnet", raw.get("SubnetIds", ())),
        facts={
            "state": raw.get("Lifecycle"),
            "kind": raw.get("FileSystemType"),
            "deployment": lustre.get("DeploymentType"),
            "repository": lustre.get("DataRepositoryConfiguration", {}).get("ImportPath"),
            "size-gib": raw.get("StorageCapacity"),
            "host": raw.get("DNSName"),
            "arn": raw.get("ResourceARN"),
        },
    )


def _delete_fsx(look: Look, item: Item) -> str | None:
    """Delete with a last backup where there can be one, unless the marks say the data may go."""
    if item.facts.get("state") == "DELETING":
        return None
    kind, skip = item.facts.get("kind"), {"SkipFinalBackup": _may_lose(item)}
    options: dict[str, Any] = {}
    if kind == "ONTAP":
        later = _empty_ontap(look, item)
        if later:
            return later
    elif kind == "WINDOWS":
        options["WindowsConfiguration"] = skip
    elif kind == "OPENZFS":
        children = {"Options": ["DELETE_CHILD_VOLUMES_AND_SNAPSHOTS"]}
        options["OpenZFSConfiguration"] = {**skip, **children}
    elif kind == "LUSTRE" and _backs_up(item):
        options["LustreConfiguration"] = skip
    look.call("fsx", "delete_file_system", FileSystemId=item.ref.id, **options)
    return None


def _may_lose(item: Item) -> bool:
    return (item.tags or {}).get(f"{PREFIX}data") == "delete"


def _backs_up(item: Item) -> bool:
    """Tell whether a Lustre file system can be backed up: not scratch, not a copy of a bucket."""
    scratch = item.facts.get("deployment", "").startswith("SCRATCH")
    return not scratch and "repository" not in item.facts


def _empty_ontap(look: Look, item: Item) -> str | None:
    """Delete volumes, then virtual machines; say what is still there, nothing when all is gone."""
    inside = [{"Name": "file-system-id", "Values": [item.ref.id]}]
    skip = {"SkipFinalBackup": _may_lose(item)}
    volumes = [
        volume
        for volume in look.pages("fsx", "describe_volumes", "Volumes", None, Filters=inside)
        if not volume.get("OntapConfiguration", {}).get("StorageVirtualMachineRoot")
    ]
    for volume in volumes:
        if volume.get("Lifecycle") != "DELETING":
            name = volume["VolumeId"]
            look.call_unless_gone("fsx", "delete_volume", VolumeId=name, OntapConfiguration=skip)
    if volumes:
        return f"{len(volumes)} volumes of {item.ref.id} are being deleted"
    listed = look.pages(
        "fsx",
        "describe_storage_virtual_machines",
        "StorageVirtualMachines",
        None,
        Filters=inside,
    )
    machines = list(listed)
    for machine in machines:
        if machine.get("Lifecycle") != "DELETING":
            name = machine["StorageVirtualMachineId"]
            look.call_unless_gone(
                "fsx", "delete_storage_virtual_machine", StorageVirtualMachineId=name
            )
    return f"{len(machines)} virtual machines of {item.ref.id} go first" if machines else None


HANDLERS = (
    Handler(
        Kind(
            "efs:file-system",
            "EFS file system",
            46,
            data=True,
            usd_per_month=per_gib(0.30),
            proofs=_PROOFS,
        ),
        _find_efs,
        _delete_efs,
        _read_efs,
    ),
    Handler(
        Kind(
            "fsx:file-system",
            "FSx file system",
            46,
            data=True,
            usd_per_month=per_gib(0.14),
            proofs=_PROOFS,
        ),
        _find_fsx,
        _delete_fsx,
        _read_fsx,
    ),
)
