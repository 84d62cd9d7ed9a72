"""Route 53: zones of ours, and records that external-dns of a cluster of ours wrote."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlstacks_dagster.sweep.aws.look import Handler, Look, Raw, batches
from mlstacks_dagster.sweep.aws.names import owner_hint
from mlstacks_dagster.sweep.aws.prices import flat
from mlstacks_dagster.sweep.aws.services import (
    NAME_PROOF,
    ask,
    may_be_ours,
    own_tags,
    unless_gone,
)
from mlstacks_dagster.sweep.inventory.handlers import Kind
from mlstacks_dagster.sweep.inventory.model import Item
from mlstacks_dagster.sweep.marks import has_marks

__all__ = ["HANDLERS"]

_TAGS_PER_CALL = 10
_RECORD_PAGE = 300
_CHANGES_PER_CALL = 100
_HERITAGE = re.compile(r"heritage=external-dns,external-dns/owner=([^,\"]+)")
_NAME_TYPES = ("a", "aaaa", "cname", "ns", "mx", "srv", "naptr")
"""What newer versions of external-dns put before the name of the record that a text is about."""


@dataclass(frozen=True)
class _Zone:
    raw: Raw
    tags: Mapping[str, str]

    @property
    def id(self) -> str:
        return _zone_id(self.raw)


def _zones(look: Look) -> tuple[_Zone, ...]:
    return look.once("route53:zones", lambda: tuple(_read_all_zones(look)))


def _read_all_zones(look: Look) -> Iterator[_Zone]:
    pages = look.pages("route53", "list_hosted_zones", "HostedZones")
    raws = [raw for raw in pages if not raw.get("LinkedService")]
    for some in batches(raws, _TAGS_PER_CALL):
        tags = _tags(look, [_zone_id(raw) for raw in some])
        yield from (_Zone(raw, tags[_zone_id(raw)]) for raw in some if _zone_id(raw) in tags)


def _zone_id(raw: Raw) -> str:
    return str(raw["Id"]).removeprefix("/hostedzone/")


def _tags(look: Look, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the tags of zones by their ids, without those that are gone."""
    answer = ask(
        look,
        "route53",
        "list_tags_for_resources",
        ResourceType="hostedzone",
        ResourceIds=list(ids),
    )
    if answer is None:  # one of them is gone; which one isn't said
        each = [_tags(look, [zone_id]) for zone_id in ids] if len(ids) > 1 else []
        return {zone_id: tags for found in each for zone_id, tags in found.items()}
    found = {s["ResourceId"]: own_tags(s.get("Tags", ())) for s in answer["ResourceTagSets"]}
    return {zone_id: found[zone_id] for zone_id in ids}


def _find_zones(look: Look) -> Iterator[Item]:
    return filter(may_be_ours, (_zone(look, zone) for zone in _zones(look)))


def _read_zones(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    for zone_id in ids:
        answer = ask(look, "route53", "get_hosted_zone", Id=zone_id)
        tags = {} if answer is None else _tags(look, [zone_id])
        if answer is not None and zone_id in tags:
            yield _zone(look, _Zone(answer["HostedZone"], tags[zone_id]))


def _zone(look: Look, zone: _Zone) -> Item:
    return look.item(
        "route53:hosted-zone",
        zone.id,
        name=zone.raw["Name"],
        tags=zone.tags,
        facts={
            "records": zone.raw.get("ResourceRecordSetCount"),
            "private": "true" if zone.raw.get("Config", {}).get("PrivateZone") else "",
            "arn": f"arn:aws:route53:::hostedzone/{zone.id}",
        },
    )


def _delete_zone(look: Look, item: Item) -> str | None:
    """Delete all records but those that come with a zone, then the zone."""
    zone_id = item.ref.id
    records = [
        record
        for record in _records(look, zone_id)
        if not (record["Name"] == item.name and record["Type"] in ("NS", "SOA"))
    ]
    for some in batches(records, _CHANGES_PER_CALL):
        _remove(look, zone_id, some)
    look.call("route53", "delete_hosted_zone", Id=zone_id)
    return None


def _remove(look: Look, zone_id: str, records: Sequence[Raw]) -> None:
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in records]
    look.call(
        "route53",
        "change_resource_record_sets",
        HostedZoneId=zone_id,
        ChangeBatch={"Changes": changes},
    )


def _records(look: Look, zone_id: str) -> Iterator[Raw]:
    """Yield a zone's records, page by page: the next one is named by its first record."""
    start: dict[str, Any] = {}
    while True:
        answer = look.call(
            "route53",
            "list_resource_record_sets",
            HostedZoneId=zone_id,
            MaxItems=str(_RECORD_PAGE),
            **start,
        )
        yield from answer["ResourceRecordSets"]
        if not answer.get("IsTruncated"):
            return
        start = {
            f"StartRecord{part}": answer[f"NextRecord{part}"]
            for part in ("Name", "Type", "Identifier")
            if answer.get(f"NextRecord{part}")
        }


def _find_records(look: Look) -> Iterator[Item]:
    """Yield external-dns's records with an owner that looks like ours, in others' zones.

    The records in a marked zone are its content and go with it.
    """
    for zone in _zones(look):
        if not has_marks(zone.tags):
            yield from _zone_records(look, zone.id)


def _read_records(look: Look, ids: Sequence[str]) -> Iterator[Item]:
    wanted = set(ids)
    for zone_id in dict.fromkeys(identifier.partition("/")[0] for identifier in ids):
        yield from (item for item in _zone_records(look, zone_id) if item.ref.id in wanted)


def _zone_records(look: Look, zone_id: str) -> Iterator[Item]:
    records = unless_gone(lambda: list(_records(look, zone_id))) or []
    texts = [(record, owner) for record in records if (owner := _owner_of(record))]
    about: dict[tuple[str, str], list[tuple[Raw, str]]] = defaultdict(list)
    for record, owner in texts:
        for name in _about(record["Name"]):
            about[name, record.get("SetIdentifier", "")].append((record, owner))
    guarded: dict[str, list[str]] = defaultdict(list)
    for record in records:
        found = about.get((record["Name"], record.get("SetIdentifier", "")), [])
        owners = {owner for _, owner in found}
        if record["Type"] in ("A", "AAAA", "CNAME") and len(owners) == 1:
            for text, _ in found:
                guarded[_record_id(zone_id, text)].append(_record_id(zone_id, record))
            if owner_hint(owner := owners.pop()):
                yield _record(look, zone_id, record, owner)
    for record, owner in texts:
        if owner_hint(owner):
            users = guarded[_record_id(zone_id, record)]
            yield _record(look, zone_id, record, owner, users)


def _owner_of(record: Raw) -> str:
    """Return the owner that external-dns noted in a text record, else nothing."""
    if record["Type"] != "TXT":
        return ""
    values = [str(value["Value"]) for value in record.get("ResourceRecords", ())]
    return next((m[1] for value in values if (m := _HERITAGE.search(value))), "")


def _about(name: str) -> Iterator[str]:
    """Yield the names of the records that a text record may be about."""
    yield name
    begin, _, rest = name.partition("-")
    if begin in _NAME_TYPES:
        yield rest


def _record_id(zone_id: str, record: Raw) -> str:
    end = f"/{record['SetIdentifier']}" if record.get("SetIdentifier") else ""
    return f"{zone_id}/{record['Name']}/{record['Type']}{end}"


def _record(look: Look, zone_id: str, record: Raw, owner: str, users: Sequence[str] = ()) -> Item:
    # An owner that is word for word a cluster's name is as good as a cluster's tag.
    texts = [f"Amazon EKS {owner}"] if owner_hint(owner) == owner else []
    return look.item(
        "route53:record-set",
        _record_id(zone_id, record),
        name=record["Name"],
        used_by=look.refs("route53:record-set", users),
        texts=texts,
        facts={"kind": record["Type"], "owner-hint": owner},
    )


def _delete_record(look: Look, item: Item) -> str | None:
    """Delete the record as it is now; AWS refuses if it changes meanwhile."""
    zone_id, name, type_, *rest = item.ref.id.split("/", 3)
    start = {"StartRecordName": name, "StartRecordType": type_}
    if rest:
        start["StartRecordIdentifier"] = rest[0]
    answer = look.call(
        "route53", "list_resource_record_sets", HostedZoneId=zone_id, MaxItems="1", **start
    )
    found = [r for r in answer["ResourceRecordSets"] if _record_id(zone_id, r) == item.ref.id]
    if found:
        _remove(look, zone_id, found)
    return None


HANDLERS = (
    Handler(
        Kind(
            "route53:record-set",
            "DNS record",
            32,
            is_global=True,
            proofs=("T2 external-dns's owner is a cluster of ours", NAME_PROOF),
        ),
        _find_records,
        _delete_record,
        _read_records,
        codes={"InvalidChangeBatch": "busy"},
    ),
    Handler(
        Kind(
            "route53:hosted-zone",
            "DNS zone",
            96,
            data=True,
            is_global=True,
            usd_per_month=flat(0.50),
            proofs=("T1 our tags", NAME_PROOF),
        ),
        _find_zones,
        _delete_zone,
        _read_zones,
        codes={"HostedZoneNotEmpty": "busy", "InvalidChangeBatch": "busy"},
    ),
)
