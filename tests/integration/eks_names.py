"""Plants names: zones, records that external-dns wrote, and certificates (row 21)."""

from __future__ import annotations

from tests.integration.eks_ground import Ground, Owner, Planted, pairs
from tests.integration.eks_neighbours import Neighbours

__all__ = ["plant_names"]


def plant_names(ground: Ground, owner: Owner, planted: Planted) -> Neighbours:
    """Plant a zone and a certificate of a stack's, and its cluster's records in others' zone.

    Returns that zone and the records in it that are not of the stack's cluster.
    """
    zone = _zone(ground, f"{owner.cluster}.example.com", owner)
    _record(ground, zone, f"www.{owner.cluster}.example.com.")
    planted.data.add(ground.ref("route53:hosted-zone", zone))
    made = ground.client("acm").request_certificate(
        DomainName=f"{owner.cluster}.example.com", Tags=pairs(owner.marks())
    )
    planted.plain.add(ground.ref("acm:certificate", made["CertificateArn"]))

    shared = _zone(ground, f"for-{owner.stack_id}.example.org")
    found = {ground.ref("route53:hosted-zone", shared)}
    for name, cluster in (("mlflow", owner.cluster), ("blue", f"{owner.cluster}2"), ("www", "")):
        record = f"{name}.for-{owner.stack_id}.example.org."
        ids = {_record(ground, shared, record)}
        if cluster:
            ids.add(_record(ground, shared, f"a-{record}", cluster))
        refs = {ground.ref("route53:record-set", f"{shared}/{one}") for one in ids}
        if cluster == owner.cluster:
            planted.plain |= refs
        else:
            found |= refs
    return Neighbours(found)


def _zone(ground: Ground, name: str, owner: Owner | None = None) -> str:
    route53 = ground.client("route53")
    made = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]
    zone = str(made["Id"]).removeprefix("/hostedzone/")
    if owner is not None:
        tags = pairs(owner.marks())
        route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=tags)
    return zone


def _record(ground: Ground, zone: str, name: str, cluster: str = "") -> str:
    """Make an address, or what external-dns of a cluster notes of one; returns name and type."""
    text = f'"heritage=external-dns,external-dns/owner={cluster},external-dns/resource=x"'
    kind, value = ("TXT", text) if cluster else ("A", "10.0.0.1")
    record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    ground.client("route53").change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
    return f"{name}/{kind}"
